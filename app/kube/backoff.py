"""How long to wait before trying again, and how often to ask at all.

Clocks and dice are arguments: what is decided here can be tested without waiting for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from app.errors import ApiError, Conflict, Forbidden, Invalid, Unreachable
from app.kube.responses import is_unknown_kind

Clock = Callable[[], float]
"""Seconds that never go back; only differences mean anything."""

Dice = Callable[[], float]
"""A number in [0, 1)."""


def least_wait_seconds(error: Exception, failures: int, dice: Dice = random.random) -> float:
    """Returns how long to wait at least before the same thing is tried again.

    Args:
        error: what came of the last try.
        failures: how many tries in a row have failed, this one included.
        dice: for jitter, so that replicas and keys do not come back all at once.
    """
    doubling = 2.0 ** min(failures - 1, 30)
    match error:
        case Invalid(status=422 | 500):
            return 600  # the object or the schema must change; both wake the key by themselves
        case Invalid():
            return 60  # our own fault, or an object that is too large
        case Forbidden():
            return min(300.0, 0.005 * doubling)
        case Conflict():
            return 0
        case ApiError() if is_unknown_kind(error):
            return min(300.0, 0.005 * doubling)
        case ApiError(retry_after_seconds=float() | int() as asked):
            return asked * (0.9 + 0.2 * dice())
        case ApiError(status=429) | Unreachable():
            return dice() * min(30.0, doubling)
        case ApiError(status=status) if status >= 500:
            return dice() * min(30.0, doubling)
    return 0


class Backoff:
    """A pause that doubles with every failure: 0.8 s up to 30 s, and up to as much again by chance.

    Args:
        first_seconds: the first pause.
        cap_seconds: the longest, before chance.
        calm_seconds: time without a failure after which the next one counts as the first.
        clock: the time.
        dice: the chance.
    """

    def __init__(
        self,
        first_seconds: float = 0.8,
        cap_seconds: float = 30.0,
        calm_seconds: float = 120.0,
        clock: Clock = time.monotonic,
        dice: Dice = random.random,
    ) -> None:
        self._first = first_seconds
        self._cap = cap_seconds
        self._calm = calm_seconds
        self._clock = clock
        self._dice = dice
        self._next = first_seconds
        self._failed_at: float | None = None

    def pause_seconds(self) -> float:
        """Returns how long to wait after a failure that has just happened."""
        now = self._clock()
        if self._failed_at is not None and now - self._failed_at >= self._calm:
            self._next = self._first
        pause = self._next * (1 + self._dice())
        self._next = min(self._next * 2, self._cap)
        # The pause itself is no time without a failure.
        self._failed_at = now + pause
        return pause


class Bucket:
    """Tokens that drip in at a steady rate: a burst goes at once, what follows is spaced out.

    Args:
        per_second: how many tokens come in every second.
        burst: how many the bucket holds.
        clock: the time.
    """

    def __init__(self, per_second: float, burst: int, clock: Clock = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = max(burst, 1)
        self._clock = clock
        self._tokens = float(self._burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Takes one token and returns how many seconds to wait until it is there."""
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens = min(self._tokens + gained, self._burst) - 1
        self._filled_at = now
        return max(0.0, -self._tokens / self._per_second)
