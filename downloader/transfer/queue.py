"""Which thread fetches which segment.

A thread first takes the segments of its own file, and then a file that no other thread has begun.
While it is the only one on a file, it hashes each piece in memory. After that it may help: it
fetches segments of a file that another thread has begun. These must be read again for the hash.
Help is faster where the network is the limit, because several connections bring more than one.
Where the processors are the limit, it is slower, so such a thread waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from downloader.transfer.task import FileTask, Segment


class Queue:
    """The segments that no thread has taken yet.

    Args:
        tasks: the files that are missing.
        processors: how many there are; None for those that this process may use.
    """

    def __init__(self, tasks: Sequence[FileTask], processors: int | None = None) -> None:
        # Large files first: the small ones fill the gaps at the end.
        self._tasks = sorted(tasks, key=lambda task: -task.file.size)
        self._processors = processors or len(os.sched_getaffinity(0))
        self._taken: list[Segment] = []
        self._lock = threading.Lock()
        self._last_taken = threading.Condition(self._lock)

    @property
    def is_empty(self) -> bool:
        """Whether all segments are taken."""
        with self._lock:
            return self._is_empty()

    def _is_empty(self) -> bool:
        return not any(task.waiting for task in self._tasks)

    def wait(self, seconds: float) -> None:
        """Waits for some time, but not longer than until all segments are taken."""
        with self._lock:
            self._last_taken.wait_for(self._is_empty, seconds)

    def take(self, own: FileTask | None) -> tuple[FileTask, Segment] | None:
        """Returns a segment to fetch, and its file; None if the thread should not fetch now.

        Args:
            own: the file that the thread has fetched last.
        """
        with self._lock:
            unfinished = [task for task in self._tasks if task.waiting]
            if not unfinished:
                return None
            # The first of equals: its file stays with a thread.
            task = min(unfinished, key=lambda each: (each.running, each is not own))
            if task.running and self._are_processors_busy():
                return None
            segment = task.waiting.pop(0)
            task.running += 1
            self._taken.append(segment)
            if self._is_empty():
                self._last_taken.notify_all()
            return task, segment

    def _are_processors_busy(self) -> bool:
        """Returns whether as many connections as there are processors deliver faster than read."""
        return sum(each.is_network_ahead for each in self._taken) >= self._processors

    def release(self, task: FileTask, segment: Segment) -> bool:
        """Gives a segment back; returns whether it was the last one of its file."""
        with self._lock:
            self._taken.remove(segment)
            task.running -= 1
            if task.running or task.waiting:
                return False
            self._tasks.remove(task)
            return True

    def put_back(self, task: FileTask) -> None:
        """Adds a file again, all of whose segments are to be fetched once more."""
        with self._lock:
            self._tasks.append(task)
