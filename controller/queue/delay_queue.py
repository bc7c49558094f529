"""Keys that are due later: a binary heap that holds each key once.

``heapq`` cannot move an entry. A second entry for an earlier time would leave the first one in the
heap until it is due, which may take hours. This heap tracks the position of each key, so an earlier
time moves the entry, as in client-go's delaying queue.
"""

from __future__ import annotations

from typing import NamedTuple

from app.values.meta import Key


class DelayedKey(NamedTuple):
    """A key and when it is due.

    Args:
        due_at: the time, in seconds of the queue's clock.
        order: breaks ties; lower goes first.
        key: the key.
        low_priority: whether it is served after keys of normal priority.
    """

    due_at: float
    order: int
    key: Key
    low_priority: bool


class DelayQueue:
    """A priority queue by time; every operation costs O(log n)."""

    def __init__(self) -> None:
        self._heap: list[DelayedKey] = []
        self._index: dict[Key, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Returns the number of entries, at most one for each key."""
        return len(self._heap)

    def add(self, key: Key, due_at: float, *, low_priority: bool) -> bool:
        """Schedules a key. The earliest time wins.

        Returns:
            Whether the key is due earlier than before.
        """
        index = self._index.get(key)
        if index is not None and self._heap[index].due_at <= due_at:
            return False
        self._count += 1
        entry = DelayedKey(due_at, self._count, key, low_priority)
        if index is None:
            index = len(self._heap)
            self._heap.append(entry)
        self._sift_up(index, entry)
        return True

    def discard(self, key: Key) -> None:
        """Removes the entry of a key, if there is one."""
        index = self._index.pop(key, None)
        if index is None:
            return
        last = self._heap.pop()
        if last.key != key:
            self._sift_down(index, last)
            self._sift_up(self._index[last.key], last)

    def first(self) -> DelayedKey | None:
        """Returns the entry that is due first; None if there is none."""
        return self._heap[0] if self._heap else None

    def pop(self) -> DelayedKey:
        """Removes the entry that is due first and returns it."""
        entry = self._heap[0]
        self.discard(entry.key)
        return entry

    def _sift_up(self, index: int, entry: DelayedKey) -> None:
        while index and entry < self._heap[parent := (index - 1) // 2]:
            self._put(index, self._heap[parent])
            index = parent
        self._put(index, entry)

    def _sift_down(self, index: int, entry: DelayedKey) -> None:
        size = len(self._heap)
        while (child := 2 * index + 1) < size:
            if child + 1 < size and self._heap[child + 1] < self._heap[child]:
                child += 1
            if entry < self._heap[child]:
                break
            self._put(index, self._heap[child])
            index = child
        self._put(index, entry)

    def _put(self, index: int, entry: DelayedKey) -> None:
        self._heap[index] = entry
        self._index[entry.key] = index
