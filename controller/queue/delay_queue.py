"""Keys that are due later: a binary heap that holds each key once.

Python's ``heapq`` cannot move an entry. A queue that pushes a second entry for an earlier time
keeps the first one until it is due, which may be hours. Here the position of each key is known, so
an earlier time moves its entry, as in client-go's delaying queue.
"""

from __future__ import annotations

from typing import NamedTuple

from app.values.meta import Key


class DelayedKey(NamedTuple):
    """When a key is due.

    Args:
        at: the time, in seconds of the queue's clock.
        order: breaks ties; lower goes first.
        key: the key.
        low: whether it waits behind keys that are not low.
    """

    at: float
    order: int
    key: Key
    low: bool


class DelayQueue:
    """A priority queue by time; every operation costs O(log n)."""

    def __init__(self) -> None:
        self._heap: list[DelayedKey] = []
        self._index: dict[Key, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many entries are held; never more than one for a key."""
        return len(self._heap)

    def add(self, key: Key, at: float, *, low: bool) -> bool:
        """Schedules a key. Of several times the earliest counts.

        Returns:
            Whether the key is due earlier than before.
        """
        index = self._index.get(key)
        if index is not None and self._heap[index].at <= at:
            return False
        self._count += 1
        due = DelayedKey(at, self._count, key, low)
        if index is None:
            index = len(self._heap)
            self._heap.append(due)
        self._up(index, due)
        return True

    def discard(self, key: Key) -> None:
        """Removes the entry of a key, if there is one."""
        index = self._index.pop(key, None)
        if index is None:
            return
        last = self._heap.pop()
        if last.key != key:
            self._down(index, last)
            self._up(self._index[last.key], last)

    def first(self) -> DelayedKey | None:
        """Returns the entry that is due first, None if there is none."""
        return self._heap[0] if self._heap else None

    def pop(self) -> DelayedKey:
        """Removes the entry that is due first and returns it."""
        due = self._heap[0]
        self.discard(due.key)
        return due

    def _up(self, index: int, due: DelayedKey) -> None:
        """Puts an entry at an index, or nearer to the root if it is due before its parents."""
        while index and due < self._heap[parent := (index - 1) // 2]:
            self._put(index, self._heap[parent])
            index = parent
        self._put(index, due)

    def _down(self, index: int, due: DelayedKey) -> None:
        """Puts an entry at an index, or below it if a child is due before."""
        size = len(self._heap)
        while (child := 2 * index + 1) < size:
            if child + 1 < size and self._heap[child + 1] < self._heap[child]:
                child += 1
            if due < self._heap[child]:
                break
            self._put(index, self._heap[child])
            index = child
        self._put(index, due)

    def _put(self, index: int, due: DelayedKey) -> None:
        self._heap[index] = due
        self._index[due.key] = index
