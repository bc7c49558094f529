"""One file of a download: its segments, its hash, and its place on disk."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from downloader.hashes import PIECE, Hasher, new_hasher
from downloader.paths import parent_folder
from downloader.sources.base import RemoteFile, Source

SEGMENT = 64 << 20
"""Bytes of a segment, which one request fetches. Idle threads take segments of others' files."""


@dataclass(eq=False)
class Segment:
    """A part of a file.

    Args:
        number: its position among the segments of the file.
        start: its first byte.
        end: the byte after its last one.
        next: the first byte that is missing.
        fullness: how much of what was asked for recent reads returned, from 0 to 1.
    """

    number: int
    start: int
    end: int
    next: int
    fullness: float = 1.0

    def has_read(self, count: int, most: int) -> None:
        """Records that a read returned ``count`` of at most ``most`` bytes."""
        self.fullness += (count / most - self.fullness) / 16

    @property
    def is_network_ahead(self) -> bool:
        """Whether bytes arrive faster than the thread takes them: its reads return all they can."""
        return self.fullness > 0.5


class FileTask:
    """A file that is being downloaded. A segment belongs to one thread at a time.

    Args:
        number: position of the file in the listing.
        file: the file.
        root: folder that the download fills.
        steps: by segment, the first missing byte that an earlier run recorded.
    """

    def __init__(self, number: int, file: RemoteFile, root: str, steps: dict[int, int]) -> None:
        self.number = number
        self.file = file
        self.path = f"{root}/{file.path}"
        self.restarts = 0
        self.waiting: list[Segment] = []
        self.running = 0
        self._root = root
        self._descriptor = -1
        self._lock = threading.Lock()
        self._hashing = threading.Lock()
        self._is_described = False
        self.segments = self._cut(steps if self._is_there() else {})
        self.is_resumed = any(each.next > each.start for each in self.segments)

    def _is_there(self) -> bool:
        try:
            state = os.lstat(self.path)
        except OSError:
            return False
        return state.st_size == self.file.size and not os.path.islink(self.path)

    def _cut(self, steps: dict[int, int]) -> list[Segment]:
        found = []
        for number, start in enumerate(range(0, max(self.file.size, 1), SEGMENT)):
            end = min(start + SEGMENT, self.file.size)
            position = min(max(steps.get(number, start), start), end)
            found.append(Segment(number, start, end, position))
        self.waiting = [each for each in found if each.next < each.end] or found[-1:]
        self._hashed = 0
        self._hasher: Hasher | None = None
        self._prefix = ""
        return found

    @property
    def bytes_there(self) -> int:
        """Bytes that need not be fetched."""
        return sum(each.next - each.start for each in self.segments)

    def begin(self, source: Source) -> None:
        """Opens the file, and asks the source for what it knows of it, once.

        Raises:
            DownloadError: the source does not hand it out.
            TransientError: another try may help.
            OSError: the file cannot be created.
        """
        with self._lock:
            if not self._is_described:
                self.file = source.described(self.file)
                self._is_described = True
            if self._descriptor < 0:
                parent_folder(self._root, self.file.path)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                self._descriptor = os.open(self.path, flags, 0o644)
                os.ftruncate(self._descriptor, self.file.size)
            if self._hasher is None:
                self._prefix, self._hasher = new_hasher(self.file.digest, self.file.size)

    def write(self, segment: Segment, piece: bytes) -> None:
        """Writes the next bytes of a segment, and hashes them if they are next in the file.

        Raises:
            OSError: they cannot be written.
        """
        start = position = segment.next
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._descriptor, view, position)
            position += written
            view = view[written:]
        segment.next = (
            position  # before they are hashed: ``_written`` is never less than ``_hashed``
        )
        # Bytes in memory need not be read again. While another thread hashes, it takes these too.
        if self._hashed == start and self._hashing.acquire(blocking=False):
            try:
                if self._hashed == start and self._hasher is not None:
                    self._hasher.update(piece)
                    self._hashed = position
            finally:
                self._hashing.release()

    def catch_up(self) -> None:
        """Hashes the bytes that are written, from the first one that is not hashed on.

        Several threads write a file, and its hash takes the bytes in order. Without this, all that
        was not written in order would be hashed when nothing is left to fetch. If another thread
        does it already, nothing is done.

        Raises:
            OSError: they cannot be read.
        """
        if self._hasher is None or not self._hashing.acquire(blocking=False):
            return
        try:
            buffer = memoryview(bytearray(PIECE))
            while count := min(self._written() - self._hashed, PIECE):
                count = os.preadv(self._descriptor, [buffer[:count]], self._hashed)
                if not count:
                    return
                self._hasher.update(buffer[:count])
                self._hashed += count
        finally:
            self._hashing.release()

    def _written(self) -> int:
        """Returns the first byte that is not written; those before it are there."""
        number = self._hashed // SEGMENT
        for segment in self.segments[number:]:
            if segment.next < segment.end:
                return segment.next
        return self.file.size

    def finish(self) -> str:
        """Hashes what is not hashed yet, makes the file durable, and returns its hash.

        Raises:
            OSError: it cannot be read or synced.
        """
        self.catch_up()
        hasher = self._hasher
        assert hasher is not None  # noqa: S101 - begin() made it
        os.fsync(self._descriptor)
        self.close()
        return self._prefix + hasher.hexdigest()

    def restart(self) -> None:
        """Forgets all bytes."""
        self.restarts += 1
        self.is_resumed = False
        self.segments = self._cut({})

    def close(self) -> None:
        """Closes the file; a running thread's next write fails."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
