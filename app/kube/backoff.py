"""Backoff and rate limits of requests.

Clock and jitter are arguments, so that tests need not wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from app.errors import ApiError, Conflict, Forbidden, Invalid, Unreachable
from app.kube.responses import is_unknown_kind

Clock = Callable[[], float]
"""Returns monotonic seconds. Only differences are meaningful."""

Jitter = Callable[[], float]
"""Returns a random number in [0, 1)."""


MAX_DOWN_SECONDS = 1.0
"""Longest pause before a server that is down is asked again, without jitter.

A refused connection costs nothing, and every change waits until the server is noticed again."""


def min_wait_seconds(error: Exception, failures: int, jitter: Jitter = random.random) -> float:
    """Returns the shortest time to wait before a failed request is tried again.

    Args:
        error: the error of the last try.
        failures: how many tries in a row have failed, this one included.
        jitter: spreads retries, so that replicas and keys do not retry together.
    """
    doubling = 2.0 ** min(failures - 1, 30)
    match error:
        case Invalid(status=422 | 500):
            return 600  # until object or schema change; both trigger a pass
        case Invalid():
            return 60  # a bug, or an object that is too large
        case Forbidden():
            return min(300.0, 0.005 * doubling)
        case Conflict():
            return 0
        case ApiError() if is_unknown_kind(error):
            return min(300.0, 0.005 * doubling)
        case ApiError(retry_after_seconds=float() | int() as requested):
            return requested * (0.9 + 0.2 * jitter())
        case ApiError(status=429) | Unreachable():
            return jitter() * min(30.0, doubling)
        case ApiError(status=status) if status >= 500:
            return jitter() * min(30.0, doubling)
    return 0


class Backoff:
    """A pause that doubles with every failure, from 0.8 s to 30 s; jitter up to doubles it again.

    Args:
        first_seconds: the first pause.
        max_seconds: the longest pause, before jitter.
        reset_seconds: time without a failure after which the pause starts again.
        clock: the time.
        jitter: random numbers in [0, 1).
    """

    def __init__(
        self,
        first_seconds: float = 0.8,
        max_seconds: float = 30.0,
        reset_seconds: float = 120.0,
        clock: Clock = time.monotonic,
        jitter: Jitter = random.random,
    ) -> None:
        self._first = first_seconds
        self._max = max_seconds
        self._reset = reset_seconds
        self._clock = clock
        self._jitter = jitter
        self._next = first_seconds
        self._failed_at: float | None = None

    def pause_seconds(self) -> float:
        """Returns how many seconds to wait after a failure that has just happened."""
        now = self._clock()
        if self._failed_at is not None and now - self._failed_at >= self._reset:
            self._next = self._first
        pause = self._next * (1 + self._jitter())
        self._next = min(self._next * 2, self._max)
        # The pause itself does not count as time without a failure.
        self._failed_at = now + pause
        return pause


class TokenBucket:
    """A rate limit that allows bursts (client-go: flowcontrol, token bucket).

    Args:
        per_second: how many tokens are added every second.
        burst: how many tokens the bucket holds.
        clock: the time.
    """

    def __init__(self, per_second: float, burst: int, clock: Clock = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = max(burst, 1)
        self._clock = clock
        self._tokens = float(self._burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Takes one token; returns how many seconds to wait before using it."""
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens = min(self._tokens + gained, self._burst) - 1
        self._filled_at = now
        return max(0.0, -self._tokens / self._per_second)
