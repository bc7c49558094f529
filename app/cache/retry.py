"""Retry policy of lists and watches: whether to list again or resume the watch, and when.

A change of a CustomResourceDefinition replaces the storage of its kind. The API server then ends
the watches of that kind, answers 429 with ``Retry-After: 1`` for a moment, and may answer 410 to a
resumed watch. In all these cases the server is up and says how long to wait. The pause grows only
for a server that does not answer, or fails.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import NamedTuple

from app.errors import ApiError, Garbled, Gone, ServerDown, Unreachable, WatchEnded
from app.kube.backoff import MAX_DOWN_SECONDS, Clock, Jitter, TokenBucket

FIRST_BACKOFF_SECONDS = 0.8
MAX_BACKOFF_SECONDS = 30.0

MIN_WATCH_SECONDS = 1.0
"""A watch that the server ends earlier, without an event, has failed."""

ACCEPTED_SECONDS = 30.0
"""A watch that lasted this long was accepted, however it ended. Opening one takes less time."""

_MAX_REQUESTED_PAUSES = 5
_MAX_RESUMES_PER_MINUTE = 3
_LIST_BURST = 20
_LISTS_PER_SECOND = 0.2


class Retry(NamedTuple):
    """What to do after a failure.

    Args:
        must_list: whether to list everything; False if the watch can be resumed.
        pause_seconds: how long to wait first.
    """

    must_list: bool
    pause_seconds: float


class WatchRetry:
    """The retry policy of one watch, with its state.

    | what happened | next | pause |
    |---|---|---|
    | the server ended the watch in time | resume | none |
    | it ended the watch within a second, without an event | resume | half the first backoff |
    | 429 or 5xx with ``Retry-After`` | as without it | as requested, ± 10 %; see below |
    | 410 | list | none |
    | no answer; 429 | resume | backoff |
    | other 5xx | resume; list after three in a minute | backoff |
    | an event that cannot be read; any other answer | list | backoff |
    | a list failed, 410 included | list | backoff, or as requested |
    | nothing listens at the address | as above | backoff, at most 1 s |

    The backoff is 0.8 s and doubles with each failure up to 30 s. Jitter adds up to the same time
    again. The backoff is reset by a success: an event, a bookmark, or a watch that lasted. A list
    alone is no success, because the watch after it may fail each time.

    From the sixth ``Retry-After`` in a row the pause is at least the backoff, up to 1 s for 429,
    because a proxy may send that header for a server that is down. A watch may list 20 times in a
    burst, then once in 5 s.

    Args:
        first_seconds: the first backoff.
        max_seconds: the longest backoff, before jitter.
        min_watch_seconds: a watch that ends earlier without an event has failed.
        clock: the time, in seconds.
        jitter: random numbers in [0, 1).
    """

    def __init__(
        self,
        first_seconds: float = FIRST_BACKOFF_SECONDS,
        max_seconds: float = MAX_BACKOFF_SECONDS,
        min_watch_seconds: float = MIN_WATCH_SECONDS,
        clock: Clock = time.monotonic,
        jitter: Jitter = random.random,
    ) -> None:
        self._first = first_seconds
        self._max = max_seconds
        self._min_watch = min_watch_seconds
        self._clock = clock
        self._jitter = jitter
        self._lists = TokenBucket(_LISTS_PER_SECOND, _LIST_BURST, clock)
        self._resumed: deque[float] = deque(maxlen=_MAX_RESUMES_PER_MINUTE)
        self._opened_at = clock()
        self._has_event = False
        self._failures = 0
        self._requested_pauses = 0

    def opening(self) -> None:
        """Notes that a watch is about to be opened."""
        self._opened_at, self._has_event = self._clock(), False

    def received(self) -> None:
        """Notes that an event or a bookmark arrived."""
        self._has_event = True
        self._succeeded()

    def ended(self) -> None:
        """Notes that the server ended the watch.

        Raises:
            WatchEnded: it ended so early that it must not be opened again without a pause.
        """
        if self._has_event or self._lasted() >= self._min_watch:
            self._succeeded()
            return
        raise WatchEnded("the watch ended at once")

    def after_watch(self, error: ApiError | Unreachable) -> Retry:
        """Returns what to do after a watch broke, or was rejected."""
        if self._lasted() >= ACCEPTED_SECONDS:
            self._succeeded()
        must_list, pause = self._after_watch(error)
        if must_list:
            pause = max(pause, self._lists.reserve())
        return Retry(must_list, pause)

    def after_list(self, error: ApiError | Unreachable) -> float:
        """Returns how many seconds to wait after a list that failed."""
        return self._pause_after(error)

    def _after_watch(self, error: ApiError | Unreachable) -> Retry:
        match error:
            case WatchEnded():
                return Retry(False, self._first / 2 * (1 + self._jitter()))
            case Gone():
                return Retry(True, 0)
            case Garbled():
                return Retry(True, self._pause_after(error))  # the event is lost
            case Unreachable() | ApiError(status=429):
                return Retry(False, self._pause_after(error))
            case ApiError(status=status) if status >= 500:
                return Retry(self._resumes_too_often(), self._pause_after(error))
        return Retry(True, self._pause_after(error))

    def _pause_after(self, error: ApiError | Unreachable) -> float:
        if not isinstance(error, ApiError) or error.retry_after_seconds is None:
            return self._backoff(MAX_DOWN_SECONDS if isinstance(error, ServerDown) else self._max)
        self._requested_pauses += 1
        pause = error.retry_after_seconds * (0.9 + 0.2 * self._jitter())
        if self._requested_pauses <= _MAX_REQUESTED_PAUSES:
            return pause
        # A server that answers 429 is up. After a start it may prepare a large kind for a minute.
        return max(pause, self._backoff(MAX_DOWN_SECONDS if error.status == 429 else self._max))

    def _backoff(self, most: float) -> float:
        pause = min(self._first * 2.0 ** min(self._failures, 30), most, self._max)
        if pause < most:  # else the next failure of another sort would wait for the longest time
            self._failures += 1
        return pause * (1 + self._jitter())

    def _succeeded(self) -> None:
        self._failures = self._requested_pauses = 0

    def _lasted(self) -> float:
        return self._clock() - self._opened_at

    def _resumes_too_often(self) -> bool:
        now = self._clock()
        is_too_often = len(self._resumed) == _MAX_RESUMES_PER_MINUTE and now - self._resumed[0] < 60
        if is_too_often:
            self._resumed.clear()
        else:
            self._resumed.append(now)
        return is_too_often
