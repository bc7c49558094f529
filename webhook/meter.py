"""Request metrics of one path, with the names of controller-runtime."""

from __future__ import annotations

import time

from prometheus_client import Counter

from app.metrics import Metrics


class RequestMeter:
    """Counts the requests of one path.

    Args:
        metrics: the metrics of the process.
        path: the path, used as the label ``webhook``.
    """

    def __init__(self, metrics: Metrics, path: str) -> None:
        self._path = path
        self._metrics = metrics
        self._seconds = metrics.review_seconds.labels(webhook=path)
        self._codes: dict[int, Counter] = {}
        self._in_flight = 0
        # Read at each scrape: updating a gauge takes longer than counting here.
        metrics.reviews_in_flight.labels(webhook=path).set_function(lambda: self._in_flight)

    def start(self) -> float:
        """Counts a request in; returns the start time for ``finish``."""
        self._in_flight += 1
        return time.perf_counter()

    def finish(self, started: float, code: int) -> None:
        """Counts a request out.

        Args:
            started: what ``start`` returned.
            code: status code of the reply.
        """
        self._in_flight -= 1
        self._seconds.observe(time.perf_counter() - started)
        if code not in self._codes:
            self._codes[code] = self._metrics.reviews.labels(webhook=self._path, code=str(code))
        self._codes[code].inc()
