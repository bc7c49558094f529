"""The threads that fetch segments of files.

Threads are enough: reading, writing and hashing release the interpreter's lock.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from downloader.errors import DownloadError, Reason, TransientError, disk_error
from downloader.hashes import PIECE
from downloader.progress.meter import Meter
from downloader.sources.base import RemoteFile, Source
from downloader.transfer.journal import Journal
from downloader.transfer.queue import Queue
from downloader.transfer.task import FileTask, Segment

TRIES = 6
"""Requests in a row that bring no byte before a download fails: about a minute."""

FIRST_WAIT = 0.5
"""Seconds before the second request; every further one waits twice as long."""

_LONGEST_WAIT = 60.0
_JOURNAL_BYTES = 8 << 20
_JOURNAL_SECONDS = 0.5
"""A position is recorded after so many bytes, or seconds. A killed process fetches them again."""

_RESTARTS = 1
_RECHECK_SECONDS = 0.1
"""After this time a thread that waits asks again whether it can help."""


@dataclass
class Stop:
    """Tells all threads to end.

    Args:
        event: set when they should.
        error: what happened first.
    """

    event: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def because(self, error: BaseException) -> None:
        """Stops the threads; the first error counts."""
        if self.error is None:
            self.error = error
        self.event.set()


_Result = TypeVar("_Result")


def with_retries(call: Callable[[], _Result], stop: threading.Event, what: str) -> _Result:
    """Returns what a call returns, after some tries.

    Raises:
        DownloadError: it failed, also at the last try.
    """
    for count in range(1, TRIES + 1):
        try:
            return call()
        except TransientError as exc:
            pause(exc, count, stop, what)
    raise AssertionError  # pragma: no cover - pause() raised


def pause(exc: TransientError, count: int, stop: threading.Event, what: str) -> None:
    """Waits before another try.

    Raises:
        DownloadError: there were enough.
    """
    if count >= TRIES or stop.is_set():
        step = "check the network, the proxy and the server; the next start goes on from here"
        raise exc.final or DownloadError(
            Reason.UNREACHABLE, f"{what} failed {count} times: {exc}", step
        ) from exc
    # Jitter spreads requests, it keeps no secret.
    wait = min(_LONGEST_WAIT, FIRST_WAIT * 2 ** (count - 1)) * random.uniform(0.7, 1.3)  # noqa: S311
    stop.wait(min(_LONGEST_WAIT, exc.after) if exc.after is not None else wait)


class Workers:
    """Downloads the files of a model.

    Args:
        source: where they come from.
        tasks: the files that are missing.
        journal: where progress is recorded.
        meter: counts bytes.
        stop: ends the threads.
        folder: folder of the download, for messages.
    """

    def __init__(
        self,
        source: Source,
        tasks: Sequence[FileTask],
        journal: Journal,
        meter: Meter,
        stop: Stop,
        folder: str,
    ) -> None:
        self._source = source
        self._queue = Queue(tasks)
        self._journal = journal
        self._meter = meter
        self._stop = stop
        self._folder = folder
        self._lock = threading.Lock()
        self.complete: list[RemoteFile] = []

    def run(self, count: int) -> None:
        """Downloads all files with some threads.

        Raises:
            DownloadError: a file could not be downloaded.
        """
        threads = [
            threading.Thread(target=self._guarded, name=f"fetch-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a signal is handled between
                if self._stop.event.is_set():
                    break
        if self._stop.error is not None:
            raise self._stop.error

    def _guarded(self) -> None:
        try:
            own: FileTask | None = None
            while not self._stop.event.is_set():
                if (taken := self._queue.take(own)) is None:
                    if self._queue.is_empty:
                        return
                    self._queue.wait(_RECHECK_SECONDS)
                    continue
                own, segment = taken
                self._fetch(own, segment)
                own.catch_up()
                if self._queue.release(own, segment) and not self._stop.event.is_set():
                    self._complete(own)
        except OSError as exc:
            self._stop.because(disk_error(exc, self._folder))
        except BaseException as exc:
            self._stop.because(exc)

    def _fetch(self, task: FileTask, segment: Segment) -> None:
        stop = self._stop.event
        with_retries(lambda: task.begin(self._source), stop, task.file.path)
        self._meter.file(task.file.path)
        failures = 0
        while segment.next < segment.end and not stop.is_set():
            before = segment.next
            try:
                self._read(task, segment)
            except TransientError as exc:
                failures = 0 if segment.next > before else failures + 1
                if failures:
                    pause(exc, failures, stop, task.file.path)

    def _read(self, task: FileTask, segment: Segment) -> None:
        stop = self._stop.event
        reader = self._source.open(task.file, segment.next, segment.end)
        recorded, at = segment.next, time.monotonic()
        try:
            while segment.next < segment.end and not stop.is_set():
                most = min(PIECE, segment.end - segment.next)
                piece = reader.read(most)
                if not piece:
                    raise TransientError("the connection ended before the file did")
                segment.has_read(len(piece), most)
                task.write(segment, piece)
                self._meter.add(len(piece))
                now = time.monotonic()
                if segment.next - recorded >= _JOURNAL_BYTES or now - at >= _JOURNAL_SECONDS:
                    self._journal.step(task.number, segment.number, segment.next)
                    recorded, at = segment.next, now
        finally:
            self._journal.step(task.number, segment.number, segment.next)
            reader.close()

    def _complete(self, task: FileTask) -> None:
        found = task.finish()
        wanted = task.file.digest
        if not wanted or found == wanted:
            done = RemoteFile(task.file.path, task.file.size, found)
            self._journal.completed(done)
            with self._lock:
                self.complete.append(done)
            self._meter.file_done(task.file.path)
            return
        if task.restarts >= _RESTARTS:
            raise DownloadError(
                Reason.CORRUPT,
                f"{task.file.path} arrived twice with other bytes than the source states "
                f"({wanted} expected, {found} found)",
                "a proxy or mirror may hold a damaged copy; nothing was put into place",
            )
        self._journal.restarted(task.number)
        self._meter.add(-task.bytes_there)
        task.restart()
        self._queue.put_back(task)
