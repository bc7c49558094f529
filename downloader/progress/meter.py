"""Counts bytes, and says how fast they come and how long the rest takes."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass

_WINDOW_SECONDS = 15.0


@dataclass(frozen=True)
class Progress:
    """How far a download is. The names are those of the machine-readable form.

    Args:
        bytesDone: bytes that are there.
        bytesTotal: bytes of all files.
        bytesPerSecond: speed of the last seconds.
        secondsLeft: how long the rest takes at this speed; None if nothing comes.
        file: a file that is being fetched.
        filesDone: files that are complete.
        filesTotal: all files.
    """

    bytesDone: int
    bytesTotal: int
    bytesPerSecond: int = 0
    secondsLeft: int | None = None
    file: str = ""
    filesDone: int = 0
    filesTotal: int = 0

    def as_dict(self) -> dict[str, object]:
        """Returns the machine-readable form; unknown values are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Meter:
    """The counters of one download, for several threads.

    Args:
        total: bytes of all files.
        there: bytes that need not be fetched.
        files: number of files.
        files_there: files that are complete.
    """

    def __init__(self, total: int, there: int, files: int, files_there: int) -> None:
        self._lock = threading.Lock()
        self._total, self._done = total, there
        self._files, self._files_done = files, files_there
        self._fetching: dict[str, None] = {}
        self._began = time.monotonic()
        self._fetched = 0
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])

    def add(self, count: int) -> None:
        """Counts bytes that arrived; negative if bytes do not count any more."""
        with self._lock:
            self._done += count
            self._fetched += max(count, 0)

    def file(self, path: str) -> None:
        """Names a file that is being fetched."""
        with self._lock:
            self._fetching[path] = None

    def file_done(self, path: str) -> None:
        """Counts a complete file."""
        with self._lock:
            self._fetching.pop(path, None)
            self._files_done += 1

    @property
    def fetched(self) -> int:
        """Bytes that came over the network."""
        return self._fetched

    def now(self) -> Progress:
        """Returns how far the download is."""
        with self._lock:
            now = time.monotonic()
            self._samples.append((now, self._fetched))
            while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW_SECONDS:
                self._samples.popleft()
            since, before = self._samples[0]
            rate = (self._fetched - before) / max(now - since, 0.001)
            left = self._total - self._done
            seconds = int(left / rate) if rate >= 1 else (None if left else 0)
            return Progress(
                self._done,
                self._total,
                int(rate),
                seconds,
                next(reversed(self._fetching), ""),
                self._files_done,
                self._files,
            )
