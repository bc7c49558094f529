"""What happens after a list or a watch failed: list again or resume the watch, and how soon.

A change of a CustomResourceDefinition replaces the storage behind its kind. The API server then
ends the watches of that kind, answers 429 with ``Retry-After: 1`` for a moment, and may answer 410
to the version that we resume from. All of these are answers: the server is up, and says itself how
long to wait. Only a server that does not answer, or fails, meets a growing pause.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import NamedTuple

from app.errors import ApiError, Garbled, Gone, Unreachable, WatchEnded
from app.kube.backoff import Bucket, Clock, Dice

FIRST_SECONDS = 0.8
CAP_SECONDS = 30.0

SHORTEST_WATCH_SECONDS = 1.0
"""A watch that the server ends earlier, without an event, has not worked."""

ACCEPTED_SECONDS = 30.0
"""A watch that lasted this long had been accepted, however it ended: opening one takes less."""

_ASKED_IN_A_ROW = 5
_RESUMES_PER_MINUTE = 3
_LIST_BURST = 20
_LISTS_PER_SECOND = 0.2


class Step(NamedTuple):
    """What to do after a failure.

    Args:
        must_list: whether everything must be listed; False if the watch can be resumed.
        pause_seconds: how long to wait first.
    """

    must_list: bool
    pause_seconds: float


class WatchRetry:
    """The retry policy of one watch, with the state that it needs.

    | what happened | next | pause |
    |---|---|---|
    | the server ended the watch at its time | resume | none |
    | it ended the watch within a second, without an event | resume | half the first back-off |
    | 429 or 5xx with ``Retry-After`` | as without | as asked, ± 10 %; see below |
    | 410 | list | none |
    | no answer; 429 | resume | back-off |
    | other 5xx | resume; after three in a minute list | back-off |
    | an event that cannot be read; any other answer | list | back-off |
    | a list failed, 410 included | list | back-off, or as asked |

    The back-off is 0.8 s and doubles with each failure up to 30 s; each time up to as much again is
    added by chance. It starts again at 0.8 s after a success: an event, a bookmark, or a watch that
    lasted. A list alone is no success, because the watch after it may fail each time.

    From the sixth ``Retry-After`` in a row the pause is at least the back-off: a proxy may send
    that header for a server that is down. A watch may list 20 times in a burst, then once in 5 s.

    Args:
        first_seconds: the first back-off.
        cap_seconds: the longest back-off, before chance.
        shortest_watch_seconds: a watch that ends earlier without an event has not worked.
        clock: the time, in seconds.
        dice: for jitter.
    """

    def __init__(
        self,
        first_seconds: float = FIRST_SECONDS,
        cap_seconds: float = CAP_SECONDS,
        shortest_watch_seconds: float = SHORTEST_WATCH_SECONDS,
        clock: Clock = time.monotonic,
        dice: Dice = random.random,
    ) -> None:
        self._first = first_seconds
        self._cap = cap_seconds
        self._shortest = shortest_watch_seconds
        self._clock = clock
        self._dice = dice
        self._lists = Bucket(_LISTS_PER_SECOND, _LIST_BURST, clock)
        self._resumed: deque[float] = deque(maxlen=_RESUMES_PER_MINUTE)
        self._opened_at = clock()
        self._was_told = False
        self._failures = 0
        self._asked = 0

    def opening(self) -> None:
        """Notes that a watch is about to be opened."""
        self._opened_at, self._was_told = self._clock(), False

    def told(self) -> None:
        """Notes an event or a bookmark."""
        self._was_told = True
        self._succeeded()

    def ended(self) -> None:
        """Notes that the server ended the watch.

        Raises:
            WatchEnded: so early that it must not be opened again without a pause.
        """
        if self._was_told or self._lasted() >= self._shortest:
            self._succeeded()
            return
        raise WatchEnded("the watch ended at once")

    def after_watch(self, error: ApiError | Unreachable) -> Step:
        """Returns what to do after a watch broke off, or was refused."""
        if self._lasted() >= ACCEPTED_SECONDS:
            self._succeeded()
        must_list, pause = self._after_watch(error)
        if must_list:
            pause = max(pause, self._lists.reserve())
        return Step(must_list, pause)

    def after_list(self, error: ApiError | Unreachable) -> float:
        """Returns how many seconds to wait after a list that failed."""
        return self._pause_after(error)

    def _after_watch(self, error: ApiError | Unreachable) -> Step:
        match error:
            case WatchEnded():
                return Step(False, self._first / 2 * (1 + self._dice()))
            case Gone():
                return Step(True, 0)
            case Garbled():
                return Step(True, self._pause_after(error))  # what the event was about is unknown
            case Unreachable() | ApiError(status=429):
                return Step(False, self._pause_after(error))
            case ApiError(status=status) if status >= 500:
                return Step(self._resumed_often(), self._pause_after(error))
        return Step(True, self._pause_after(error))

    def _pause_after(self, error: ApiError | Unreachable) -> float:
        asked = error.retry_after_seconds if isinstance(error, ApiError) else None
        if asked is None:
            return self._backoff()
        self._asked += 1
        pause = asked * (0.9 + 0.2 * self._dice())
        return pause if self._asked <= _ASKED_IN_A_ROW else max(pause, self._backoff())

    def _backoff(self) -> float:
        pause = min(self._first * 2.0 ** min(self._failures, 30), self._cap)
        self._failures += 1
        return pause * (1 + self._dice())

    def _succeeded(self) -> None:
        self._failures = self._asked = 0

    def _lasted(self) -> float:
        return self._clock() - self._opened_at

    def _resumed_often(self) -> bool:
        now = self._clock()
        is_often = len(self._resumed) == _RESUMES_PER_MINUTE and now - self._resumed[0] < 60
        if is_often:
            self._resumed.clear()
        else:
            self._resumed.append(now)
        return is_often
