"""The bounds on requests under way and on the bytes that they hold, and the request metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

from app.metrics import Metrics
from app.values.meta import Object

MOST_IN_FLIGHT = 64
"""Requests whose bodies are read at one time; more are sent away, to come again."""

BODY_BUDGET_BYTES = 64 * 1024 * 1024
"""Default bound on the bytes of all bodies together. The chart derives its memory limit from it."""

PATIENCE_SECONDS = 1.0
"""A request that is under way for longer can lose its place to a new one."""

_YOUNG_SECONDS = 0.1
"""Added to the age of a request, so that among young requests the size decides."""


class Sheddable(Protocol):
    """A request under way that can be ended early."""

    def shed(self) -> None:
        """Answers it with 503. It leaves the gate and frees its body before this returns."""


@dataclass(slots=True)
class _Held:
    since: float
    size: int = 0


class Gate:
    """Bounds the requests under way on all connections, and the bytes that their bodies hold.

    Past a bound, the request that costs most is ended: the bytes that it holds, times the time
    that it has been under way. A client that sends a large body and then waits loses against a
    request of the API server, which arrives in one go. It makes no difference whether the client
    has asked before, because anybody can send a good request first.

    Args:
        most_bytes: bound on the bytes of all bodies together.
        most: bound on the number of requests.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        most_bytes: int = BODY_BUDGET_BYTES,
        most: int = MOST_IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_bytes = most_bytes
        self._most = most
        self._clock = clock
        self._inside: dict[Sheddable, _Held] = {}  # in the order of arrival
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """The bytes of all bodies that are held now."""
        return self._bytes

    def enter(self, request: Sheddable) -> bool:
        """Lets a request in; returns whether there is room. One that is in must leave."""
        now = self._clock()
        if len(self._inside) >= self._most:
            oldest, held = next(iter(self._inside.items()))
            if now - held.since < PATIENCE_SECONDS:
                return False
            oldest.shed()
        self._inside[request] = _Held(now)
        return True

    def hold(self, request: Sheddable, size: int) -> bool:
        """Counts bytes that arrive for a request that is in.

        Returns:
            Whether they may be kept. If not, this request costs most itself and must be ended.
        """
        held = self._inside[request]
        while self._bytes + size > self._most_bytes:
            now = self._clock()
            costliest = max(
                self._inside, key=lambda each: self._cost(each, now, size * (each is request))
            )
            if costliest is request:
                return False
            costliest.shed()
        held.size += size
        self._bytes += size
        return True

    def leave(self, request: Sheddable) -> None:
        """Makes room; a request that is not in changes nothing."""
        held = self._inside.pop(request, None)
        if held is not None:
            self._bytes -= held.size

    def _cost(self, request: Sheddable, now: float, more: int) -> float:
        held = self._inside[request]
        return (held.size + more) * (now - held.since + _YOUNG_SECONDS)


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
