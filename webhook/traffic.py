"""How many requests there are: the bound on those under way, and what is counted of all."""

from __future__ import annotations

import time

from prometheus_client import Counter

from app.apis.meta import Object
from app.metrics import Metrics

MOST_IN_FLIGHT = 64
"""Requests whose bodies are read at one time; more are sent away, to come again."""


class Gate:
    """Lets so many requests in at a time."""

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self._most = most
        self._inside = 0

    def enter(self) -> bool:
        """Takes a request in; returns whether there is room. One that is in must leave."""
        if self._inside >= self._most:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Makes room for another one."""
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
        self._codes: dict[int, Counter] = {}
        self._in_flight = 0
        # A gauge that is told of each change takes longer than the change.
        metrics.reviews_in_flight.labels(webhook=path).set_function(lambda: self._in_flight)

    def begun(self) -> float:
        """Counts a request in; returns what ``ended`` wants to know."""
        self._in_flight += 1
        return time.perf_counter()

    def ended(self, begun: float, code: int | None) -> None:
        """Counts a request out; the code of its answer is None if nobody made one."""
        self._in_flight -= 1
        self._seconds.observe(time.perf_counter() - begun)
        if code is None:
            return
        if code not in self._codes:
            self._codes[code] = self._metrics.reviews.labels(webhook=self._path, code=str(code))
        self._codes[code].inc()

    def denied(self, response: Object) -> None:
        """Counts a refusal under each kind of its faults; anything else not at all."""
        if not response["allowed"]:
            status = response["status"]
            causes = status.get("details", {}).get("causes") or [status]
            for reason in sorted({cause["reason"] for cause in causes}):
                self._metrics.denials.labels(reason=reason).inc()
