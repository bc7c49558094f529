"""How many requests there are: the bound on those under way, and what is counted of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from prometheus_client import Counter

from app.apis.meta import Object
from app.metrics import Metrics

MOST_IN_FLIGHT = 64
"""Requests whose bodies are read at one time; more are sent away, to come again."""


class Gate:
    """Lets so many requests in at a time; ``with gate as entered`` says whether one is in."""

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self._most = most
        self._inside = 0

    def __enter__(self) -> bool:
        self._inside += 1
        return self._inside <= self._most

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside -= 1


class Meter:
    """Counts the requests of one path, by controller-runtime's names.

    Args:
        metrics: where they are counted.
        path: the path, which names the webhook there.
    """

    def __init__(self, metrics: Metrics, path: str) -> None:
        self._path = path
        self._metrics = metrics
        self._seconds = metrics.review_seconds.labels(webhook=path)
        self._in_flight = metrics.reviews_in_flight.labels(webhook=path)
        self._codes: dict[int, Counter] = {}

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """Measures a request; what it yields is to be told the status of the answer."""
        begin = time.monotonic()
        self._in_flight.inc()
        try:
            yield self._answered
        finally:
            self._in_flight.dec()
            self._seconds.observe(time.monotonic() - begin)

    def denied(self, response: Object) -> None:
        """Counts a refusal under each kind of its faults; anything else not at all."""
        if not response["allowed"]:
            status = response["status"]
            causes = status.get("details", {}).get("causes") or [status]
            for reason in sorted({cause["reason"] for cause in causes}):
                self._metrics.denials.labels(reason=reason).inc()

    def _answered(self, code: int) -> None:
        if code not in self._codes:
            self._codes[code] = self._metrics.reviews.labels(webhook=self._path, code=str(code))
        self._codes[code].inc()
