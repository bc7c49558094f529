"""The work queue: keys that wait for a pass.

The rules are client-go's. A key that is added twice is queued once. A key that is being processed
is not handed out again; if it is added meanwhile, it is queued again when that pass is done.

Three rules are ours (``ReadyQueue``). Keys of low priority (first list, resync) are served after
all others. Keys of equal priority are served round-robin by namespace, so no tenant waits for the
ten thousand changes of another. A key that had a pass a moment ago goes before keys that had none.

The queue holds keys, never objects or events: a pass reads the current state.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque

from app.kube.backoff import Clock, Jitter, TokenBucket
from app.values.meta import Key
from controller.queue.delay_queue import DelayQueue
from controller.queue.metrics_provider import MetricsProvider, NoopMetricsProvider
from controller.queue.ready_queue import ReadyQueue

FIRST_RETRY_SECONDS = 0.005
MAX_RETRY_SECONDS = 120.0
RETRIES_PER_SECOND = 10.0
RETRY_BURST = 100


class QueueShutDown(Exception):
    """The queue hands out no more keys."""


class WorkQueue:
    """Keys that are queued, processed, or due later.

    Args:
        metrics: receives what is measured.
        clock: the time, in seconds.
        jitter: random numbers from 0 to 1, for jitter.
    """

    def __init__(
        self,
        metrics: MetricsProvider | None = None,
        clock: Clock = time.monotonic,
        jitter: Jitter = random.random,
    ) -> None:
        self._metrics = metrics or NoopMetricsProvider()
        self._clock = clock
        self._dice = jitter
        self._bucket = TokenBucket(RETRIES_PER_SECOND, RETRY_BURST, clock)
        self._ready = ReadyQueue(clock)
        self._queued: dict[Key, tuple[bool, float]] = {}  # low priority, since when
        self._processing: dict[Key, float] = {}  # since when
        self._dirty: dict[Key, bool] = {}  # added while processing; low priority
        self._delayed = DelayQueue()
        self._failures: dict[Key, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_shut_down = False

    def __len__(self) -> int:
        """Returns the number of keys that are queued now."""
        return len(self._queued)

    @property
    def delayed(self) -> int:
        """The number of keys that are due later."""
        return len(self._delayed)

    @property
    def running(self) -> dict[Key, float]:
        """The seconds that each key has been processed."""
        now = self._clock()
        return {key: now - since for key, since in self._processing.items()}

    def add(self, key: Key, *, low_priority: bool = False) -> None:
        """Queues a key.

        Args:
            key: the key.
            low_priority: whether it is served after all keys of normal priority. A later addition
                with normal priority moves it up.
        """
        if self._is_shut_down:
            return
        if key in self._processing:
            self._dirty[key] = low_priority and self._dirty.get(key, True)
            return
        if key in self._queued:
            was_low, since = self._queued[key]
            if was_low and not low_priority:
                self._ready.move_up(key)
                self._queued[key] = (False, since)
            return
        self._metrics.added()
        self._queued[key] = (low_priority, self._clock())
        self._ready.push(key, low_priority=low_priority)
        self._wake_one()

    def add_after(self, key: Key, seconds: float, *, low_priority: bool = False) -> None:
        """Queues a key after a delay. The earliest time wins."""
        if self._is_shut_down:
            return
        if seconds <= 0:
            self.add(key, low_priority=low_priority)
            return
        is_earlier = self._delayed.add(key, self._clock() + seconds, low_priority=low_priority)
        first = self._delayed.first()
        if is_earlier and first is not None and first.key == key:
            self._set_timer()

    def schedule(self, key: Key, seconds: float, *, low_priority: bool = False) -> None:
        """Queues a key after a delay, in place of an earlier delay.

        For the end of a pass: it has seen the current state, so it knows when the next one is due.
        """
        self._delayed.discard(key)
        self.add_after(key, seconds, low_priority=low_priority)

    async def get(self) -> Key:
        """Waits for a key and returns it. The caller must call ``done``.

        Raises:
            QueueShutDown: there will be no more keys.
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
                elif not getter.cancelled():  # it was woken for a key: wake another getter
                    self._wake_one()
                raise

    def take(self) -> Key | None:
        """Returns the next key; None if none is queued. The caller must call ``done``."""
        self._queue_due_keys()
        key = self._ready.pop()
        if key is None:
            return None
        _, since = self._queued.pop(key)
        now = self._clock()
        self._processing[key] = now
        self._metrics.started(now - since)
        return key

    def done(self, key: Key) -> None:
        """Ends the processing of a key; it is queued again if it was added meanwhile."""
        self._metrics.finished(self._clock() - self._processing.pop(key))
        low_priority = self._dirty.pop(key, None)
        if low_priority is not None:
            self.add(key, low_priority=low_priority)

    def retry(self, key: Key, *, at_least_seconds: float = 0) -> None:
        """Queues a key after a failure, with exponential backoff and a global rate limit.

        Args:
            key: the key.
            at_least_seconds: minimum delay, for instance from ``Retry-After``.
        """
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        # 2**15 times 5 ms exceeds the limit. Larger powers would overflow after a day of failures.
        pause = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 15), MAX_RETRY_SECONDS)
        pause *= 0.8 + 0.4 * self._dice()
        self._metrics.retried()
        self.add_after(key, max(pause, at_least_seconds, self._bucket.reserve()))

    def forget(self, key: Key) -> None:
        """Resets the failures of a key."""
        self._failures.pop(key, None)

    def drop(self, key: Key) -> None:
        """Resets the failures of a deleted object's key, and removes its delayed entry."""
        self.forget(key)
        self._delayed.discard(key)
        self._ready.forget(key)

    def failures(self, key: Key) -> int:
        """Returns the number of consecutive failures of a key."""
        return self._failures.get(key, 0)

    def next_due_seconds(self) -> float | None:
        """Returns the seconds until the next delayed key is due; None if there is none."""
        first = self._delayed.first()
        return None if first is None else max(0.0, first.due_at - self._clock())

    def shut_down(self) -> None:
        """Stops handing out keys. ``done`` and ``forget`` still work."""
        self._is_shut_down = True
        if self._timer is not None:
            self._timer.cancel()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)
        self._getters.clear()

    def _queue_due_keys(self) -> None:
        while (left := self.next_due_seconds()) is not None and left <= 0:
            due = self._delayed.pop()
            self.add(due.key, low_priority=due.low_priority)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        """Sets the timer that wakes a waiting getter when the next delayed key is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = self.next_due_seconds()
        if self._getters and left is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._on_timer)

    def _on_timer(self) -> None:
        self._queue_due_keys()
        self._set_timer()
