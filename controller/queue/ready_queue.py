"""The keys that may be processed now, in the order in which they are handed out.

Keys of low priority come after all others, and namespaces take turns. A key that had a pass a
moment ago goes before keys that had none: when many objects are created at once, each is finished
soon after it was begun, while its state is still cached.
"""

from __future__ import annotations

from collections import OrderedDict

from app.kube.backoff import Clock
from app.values.meta import Key
from controller.queue.fair_queue import FairQueue

BEGUN_SECONDS = 30.0
"""A key is preferred for so long after its last pass began."""

MAX_BEGUN = 2048
"""Keys that are preferred at a time: those whose passes began last."""

MAX_PREFERRED = 4
"""Preferred keys in a row while others wait, so an object that changes all the time stops none."""


class ReadyQueue:
    """Keys by priority.

    Args:
        clock: the time, in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._preferred, self._normal, self._low = FairQueue(), FairQueue(), FairQueue()
        self._begun: OrderedDict[Key, float] = OrderedDict()  # last pass began then, oldest first
        self._preferred_in_a_row = 0

    def push(self, key: Key, *, low_priority: bool) -> None:
        """Adds a key; it must not be in the queue already."""
        if low_priority:
            self._low.push(key)
            return
        began = self._begun.get(key)
        is_preferred = began is not None and not _is_over(began, self._clock())
        (self._preferred if is_preferred else self._normal).push(key)

    def move_up(self, key: Key) -> None:
        """Gives a key of low priority normal priority."""
        self._low.remove(key)
        self.push(key, low_priority=False)

    def pop(self) -> Key | None:
        """Removes the next key and returns it; None if there is none."""
        queue = self._next()
        if not queue:
            return None
        key = queue.pop()
        if queue is not self._low:
            self._record_begun(key, self._clock())
        return key

    def forget(self, key: Key) -> None:
        """Prefers a key no longer."""
        self._begun.pop(key, None)

    def _next(self) -> FairQueue:
        if self._preferred and not (self._normal and self._preferred_in_a_row >= MAX_PREFERRED):
            self._preferred_in_a_row += 1
            return self._preferred
        self._preferred_in_a_row = 0
        return self._normal or self._low

    def _record_begun(self, key: Key, now: float) -> None:
        self._begun[key] = now
        self._begun.move_to_end(key)
        while len(self._begun) > MAX_BEGUN or _is_over(next(iter(self._begun.values())), now):
            self._begun.popitem(last=False)


def _is_over(began: float, now: float) -> bool:
    return now - began >= BEGUN_SECONDS
