"""Bounds on the requests in flight and on the memory of their bodies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_IN_FLIGHT = 64
"""Requests whose bodies are read at the same time. Further ones get 503 and are retried."""

BODY_BUDGET_BYTES = 64 * 1024 * 1024
"""Default bound on the bytes of all bodies. The chart derives the memory limit from it."""

EVICTION_SECONDS = 1.0
"""A request in flight for this long can be evicted in favour of a new one."""

_MIN_AGE_SECONDS = 0.1
"""Added to the age of each request, so that the size decides among young requests."""


class Evictable(Protocol):
    """A request in flight that can be ended early."""

    def evict(self) -> None:
        """Replies with 503. The request is removed from the limiter before this returns."""


@dataclass(slots=True)
class _Usage:
    since: float
    size: int = 0


class InFlightLimiter:
    """Bounds the requests in flight on all connections, and the bytes that their bodies hold.

    When a bound is reached, the most expensive request is evicted: size of its body times its age.
    A client that sends a large body and then waits loses against a request of the API server,
    which arrives at once. Earlier requests on the connection do not count, because any client can
    send a valid request first.

    Args:
        max_bytes: bound on the bytes of all bodies.
        max_requests: bound on the number of requests.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        max_bytes: int = BODY_BUDGET_BYTES,
        max_requests: int = MAX_IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._clock = clock
        self._in_flight: dict[Evictable, _Usage] = {}  # in the order of arrival
        self._bytes = 0

    @property
    def reserved_bytes(self) -> int:
        """The bytes of all bodies in flight."""
        return self._bytes

    def start(self, request: Evictable) -> bool:
        """Adds a request if there is room, and returns whether there was.

        A request that was added must be passed to ``finish``.
        """
        now = self._clock()
        if len(self._in_flight) >= self._max_requests:
            oldest, usage = next(iter(self._in_flight.items()))
            if now - usage.since < EVICTION_SECONDS:
                return False
            oldest.evict()
        self._in_flight[request] = _Usage(now)
        return True

    def reserve(self, request: Evictable, size: int) -> bool:
        """Reserves bytes for a request in flight.

        Returns:
            Whether they are reserved. If not, the request itself is the most expensive one, and
            the caller must end it.
        """
        usage = self._in_flight[request]
        while self._bytes + size > self._max_bytes:
            now = self._clock()
            costliest = max(
                self._in_flight, key=lambda each: self._cost(each, now, size * (each is request))
            )
            if costliest is request:
                return False
            costliest.evict()
        usage.size += size
        self._bytes += size
        return True

    def finish(self, request: Evictable) -> None:
        """Removes a request and releases its bytes; does nothing if it is not in flight."""
        usage = self._in_flight.pop(request, None)
        if usage is not None:
            self._bytes -= usage.size

    def _cost(self, request: Evictable, now: float, more: int) -> float:
        usage = self._in_flight[request]
        return (usage.size + more) * (now - usage.since + _MIN_AGE_SECONDS)
