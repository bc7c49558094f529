"""What an informer does after a failure: how long it waits, and whether it must list anew."""

from __future__ import annotations

import random
import time
from collections import deque
from typing import NamedTuple

from app.errors import ApiError, Garbled, Gone, Unreachable
from app.kube.pace import Backoff, Clock, Dice
from controller.pace import Pace

_RESUMES_PER_MINUTE = 3


class Step(NamedTuple):
    """What to do next.

    Args:
        must_list: False if the watch can go on from where it ended.
        pause_seconds: how long to wait first.
    """

    must_list: bool
    pause_seconds: float


class Recovery:
    """Remembers the failures of one informer and decides after each.

    Args:
        pace: the pauses.
        clock: the time.
        dice: for jitter.
    """

    def __init__(
        self, pace: Pace, clock: Clock = time.monotonic, dice: Dice = random.random
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._backoff = Backoff(
            pace.first_pause_seconds, pace.longest_pause_seconds, clock=clock, dice=dice
        )
        self._resumed: deque[float] = deque(maxlen=_RESUMES_PER_MINUTE)
        self._listed_at: float | None = None

    def listed(self) -> None:
        """Notes that everything has just been listed."""
        self._listed_at = self._clock()

    def after(self, error: ApiError | Unreachable) -> Step:
        """Returns what to do after a watch failed, or could not be opened."""
        pause = self.pause_after(error)
        match error:
            case Gone():
                # A server that forgets what it has just listed must not make us list in a loop.
                return Step(True, 0 if self._listed_long_ago() else pause)
            case Garbled():
                return Step(True, pause)  # what stood in the line that we could not read is lost
            case Unreachable() | ApiError(status=429):
                return Step(False, pause)
            case ApiError(status=status) if status >= 500:
                return Step(self._resumed_often(), pause)
        return Step(True, pause)

    def pause_after(self, error: ApiError | Unreachable) -> float:
        """Returns how long to wait after a failure: our own back-off, or longer if asked to."""
        pause = self._backoff.pause_seconds()
        if isinstance(error, ApiError) and error.retry_after_seconds is not None:
            pause = max(pause, error.retry_after_seconds * (0.9 + 0.2 * self._dice()))
        return pause

    def _resumed_often(self) -> bool:
        now = self._clock()
        is_often = len(self._resumed) == _RESUMES_PER_MINUTE and now - self._resumed[0] < 60
        if is_often:
            self._resumed.clear()
        else:
            self._resumed.append(now)
        return is_often

    def _listed_long_ago(self) -> bool:
        return self._listed_at is None or self._clock() - self._listed_at > 60
