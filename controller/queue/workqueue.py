"""Keys that wait for a pass.

The rules are client-go's: a key added twice waits once, and a key that is being worked on is never
handed out a second time; if it was added meanwhile, it comes back when that work is done. On top
of them, what was added in passing (first listing, resync) waits behind what changed, and among
equals the namespaces take turns, so that nobody waits for a tenant with ten thousand changes.

The queue holds keys, never objects or events: what happened does not matter, only what is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import Protocol

from app.kube.backoff import Clock, Jitter, TokenBucket
from app.values.meta import Key
from controller.queue.delayed import DelayedKeys
from controller.queue.turns import Turns

FIRST_RETRY_SECONDS = 0.005
MAX_RETRY_SECONDS = 120.0
RETRIES_PER_SECOND = 10.0
RETRY_BURST = 100


class QueueShutDown(Exception):
    """The queue hands out no more keys."""


class QueueMetrics(Protocol):
    """What a queue tells whoever measures it."""

    def added(self) -> None:
        """A key joined those that wait."""

    def started(self, waited_seconds: float) -> None:
        """A key was handed out."""

    def finished(self, worked_seconds: float) -> None:
        """The work on a key is done."""

    def retried(self) -> None:
        """A key is to come back after a failure."""


class _Unmeasured:
    def added(self) -> None: ...

    def started(self, waited_seconds: float) -> None: ...

    def finished(self, worked_seconds: float) -> None: ...

    def retried(self) -> None: ...


class WorkQueue:
    """Keys that wait, that are being worked on, and that will come back.

    Args:
        metrics: told of what happens.
        clock: the time, in seconds.
        jitter: random spread of the pauses.
    """

    def __init__(
        self,
        metrics: QueueMetrics | None = None,
        clock: Clock = time.monotonic,
        jitter: Jitter = random.random,
    ) -> None:
        self._metrics = metrics or _Unmeasured()
        self._clock = clock
        self._jitter = jitter
        self._bucket = TokenBucket(RETRIES_PER_SECOND, RETRY_BURST, clock)
        self._lines = {False: Turns(), True: Turns()}  # by "low"
        self._waiting: dict[Key, tuple[bool, float]] = {}  # low, since when
        self._running: dict[Key, float] = {}  # since when
        self._again: dict[Key, bool] = {}  # running, and added meanwhile; low
        self._delayed = DelayedKeys()
        self._failures: dict[Key, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_shut_down = False

    def __len__(self) -> int:
        """How many keys wait for a worker now."""
        return len(self._waiting)

    @property
    def delayed(self) -> int:
        """How many entries are held for keys that are due later; at most one for each key."""
        return len(self._delayed)

    @property
    def running(self) -> dict[Key, float]:
        """How many seconds each key that is out has been worked on."""
        now = self._clock()
        return {key: now - since for key, since in self._running.items()}

    def add(self, key: Key, *, low: bool = False) -> None:
        """Lets a key wait for a worker.

        Args:
            key: what to work on.
            low: behind everything that is not low; an addition that is not low moves it up.
        """
        if self._is_shut_down:
            return
        if key in self._running:
            self._again[key] = low and self._again.get(key, True)
            return
        if key in self._waiting:
            was_low, since = self._waiting[key]
            if was_low and not low:
                self._lines[True].remove(key)
                self._lines[False].push(key)
                self._waiting[key] = (False, since)
            return
        self._metrics.added()
        self._waiting[key] = (low, self._clock())
        self._lines[low].push(key)
        self._wake_one()

    def add_after(self, key: Key, seconds: float, *, low: bool = False) -> None:
        """Adds a key later; of several times the earliest counts."""
        if self._is_shut_down:
            return
        if seconds <= 0:
            self.add(key, low=low)
            return
        if self._delayed.add(key, self._clock() + seconds, low=low):
            self._set_timer()

    async def get(self) -> Key:
        """Waits for a key and returns it; ``done`` must follow.

        Raises:
            QueueShutDown: there will be no more.
        """
        while True:
            if self._is_shut_down:
                raise QueueShutDown
            key = self.take()
            if key is not None:
                return key
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            self._set_timer()
            try:
                await getter
            except asyncio.CancelledError:
                if getter in self._getters:
                    self._getters.remove(getter)
                elif not getter.cancelled():  # we were woken for a key: let another have it
                    self._wake_one()
                raise

    def take(self) -> Key | None:
        """Returns the key whose turn it is, None if none waits; ``done`` must follow."""
        self._admit_due()
        line = self._lines[False] or self._lines[True]
        if not line:
            return None
        key = line.pop()
        _, since = self._waiting.pop(key)
        now = self._clock()
        self._running[key] = now
        self._metrics.started(now - since)
        return key

    def done(self, key: Key) -> None:
        """Ends the work on a key; if it was added meanwhile, it waits again."""
        self._metrics.finished(self._clock() - self._running.pop(key))
        low = self._again.pop(key, None)
        if low is not None:
            self.add(key, low=low)

    def retry(self, key: Key, *, at_least_seconds: float = 0) -> None:
        """Lets a key come back after a failure: later each time, and not too many a second.

        Args:
            key: what failed.
            at_least_seconds: what the failure itself asks for.
        """
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        # 2**15 times 5 ms is past the limit; a larger power would overflow after a day of failures.
        pause = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 15), MAX_RETRY_SECONDS)
        pause *= 0.8 + 0.4 * self._jitter()
        self._metrics.retried()
        self.add_after(key, max(pause, at_least_seconds, self._bucket.reserve()))

    def forget(self, key: Key) -> None:
        """Lets the next failure of a key count as its first."""
        self._failures.pop(key, None)

    def drop(self, key: Key) -> None:
        """Forgets a key whose object is gone: its failures, and when it was to come back."""
        self.forget(key)
        self._delayed.discard(key)

    def failures(self, key: Key) -> int:
        """How many times in a row a key has failed."""
        return self._failures.get(key, 0)

    def next_due_seconds(self) -> float | None:
        """How long until a key that was added for later comes up; None if there is none."""
        first = self._delayed.first()
        return None if first is None else max(0.0, first.at - self._clock())

    def shut_down(self) -> None:
        """Hands out no more keys; those that are out can still be settled."""
        self._is_shut_down = True
        if self._timer is not None:
            self._timer.cancel()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    def _admit_due(self) -> None:
        while (left := self.next_due_seconds()) is not None and left <= 0:
            due = self._delayed.pop()
            self.add(due.key, low=due.low)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        """Sees to it that somebody who waits is woken when the next key comes up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = self.next_due_seconds()
        if self._getters and left is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._on_time)

    def _on_time(self) -> None:
        self._admit_due()
        self._set_timer()
