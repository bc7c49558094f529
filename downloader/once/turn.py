"""One process downloads a model; the others wait, see its progress, and take over if it dies.

Two things decide. A lock of the kernel (``flock``) on the file ``lock``: processes of one node
exclude each other by it, and the kernel releases it when its holder dies. On NFS the Linux client
passes it on to the server, unless the mount says ``nolock`` or ``local_lock``. Because nobody can
rely on that, the holder also writes a heartbeat into the file ``owner``. A process that gets the
lock while the owner on another node is alive waits all the same. A process that finds a foreign
heartbeat instead of its own steps back. Each process measures times by its own clock.

Even if two processes download at a time for some seconds, the result is right: both write the same
bytes to the same places, and a file counts only after its hash was checked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from typing import Self

from downloader.errors import disk_error
from downloader.once.mounts import lock_warning
from downloader.once.owner import Beat, Owner, read_beat, write_beat
from downloader.paths import Place
from downloader.progress.meter import Progress
from downloader.progress.output import Output

BEAT_SECONDS = 2.0
DEAD_SECONDS = 20.0
"""After this time without a heartbeat the owner on another node is dead."""

_POLL_SECONDS = 0.5
_LINE_SECONDS = 10.0


class TurnLost(Exception):
    """Another process writes its heartbeat: this one must stop, and wait."""


class Turn:
    """The right to download into a place. A context: the right ends with it.

    Args:
        place: where.
        owner: this process.
        descriptor: the open lock file.
    """

    def __init__(self, place: Place, owner: Owner, descriptor: int) -> None:
        self._path = f"{place.work}/owner"
        self._owner = owner
        self._descriptor = descriptor
        self._count = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._write(None)

    def start(self, progress: Callable[[], Progress | None], lost: Callable[[], None]) -> None:
        """Starts the heartbeat.

        Args:
            progress: returns how far the download is.
            lost: called when another process took over.
        """
        self._thread = threading.Thread(
            target=self._beat, args=(progress, lost), name="heartbeat", daemon=True
        )
        self._thread.start()

    def _beat(self, progress: Callable[[], Progress | None], lost: Callable[[], None]) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if not self.is_ours():
                lost()
                return
            try:
                self._write(progress())
            except OSError:
                continue  # the volume is full: the download will say so

    def _write(self, progress: Progress | None) -> None:
        self._count += 1
        write_beat(self._path, Beat(self._owner, self._count, progress))

    def is_ours(self) -> bool:
        """Returns whether no other process has taken over."""
        beat = read_beat(self._path)
        return beat is None or beat.owner == self._owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self.is_ours():
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        os.close(self._descriptor)


class Waiting:
    """Waits for the right to download.

    Args:
        place: where.
        output: where to say for whom it waits.
        is_whole: returns whether the model is there; then nobody needs to download.
    """

    def __init__(self, place: Place, output: Output, is_whole: Callable[[], bool]) -> None:
        self._place = place
        self._output = output
        self._is_whole = is_whole
        self._owner = Owner()
        self._seen: tuple[str, int] | None = None
        self._seen_at = 0.0
        self._said_at = 0.0
        self._can_lock = True

    def turn(self) -> Turn | None:
        """Returns the right to download; None when the model is whole.

        Raises:
            DownloadError: the folder cannot be written to.
        """
        try:
            while not self._is_whole():
                os.makedirs(self._place.work, exist_ok=True)
                if turn := self._try():
                    if self._is_whole():  # another one finished in between
                        turn.__exit__()
                        return None
                    return turn
                time.sleep(_POLL_SECONDS)
        except OSError as exc:
            raise disk_error(exc, self._place.work) from exc
        return None

    def _try(self) -> Turn | None:
        flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(f"{self._place.work}/lock", flags, 0o644)
        try:
            is_free = self._lock(descriptor)
            beat = read_beat(f"{self._place.work}/owner")
            if is_free and not self._is_alive(beat):
                return Turn(self._place, self._owner, os.dup(descriptor))
            self._say(beat)
            return None
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            if self._can_lock:
                self._can_lock = False
                self._output.note(
                    f"{self._place.work} has no locks ({exc.strerror}): "
                    "pods wait for each other by heartbeat only"
                )
            return True
        return True

    def _is_alive(self, beat: Beat | None) -> bool:
        """Returns whether an owner may be alive although its lock is free for this process."""
        if beat is None:
            return False
        if beat.owner.boot == self._owner.boot and self._can_lock:
            return False  # the kernel would not have given its lock away
        seen, now = (beat.owner.key, beat.count), time.monotonic()
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at < DEAD_SECONDS

    def _say(self, beat: Beat | None) -> None:
        now = time.monotonic()
        if self._said_at and now - self._said_at < _LINE_SECONDS:
            return
        if not self._said_at and (warning := lock_warning(self._place.work)):
            self._output.note(f"{warning}; pods of other nodes wait by heartbeat")
        self._said_at = now
        if beat is not None and beat.progress is not None:
            self._output.progress(beat.progress, waits_for=beat.owner.host)
        else:
            who = beat.owner.host if beat else "another process"
            self._output.note(f"waiting for {who}, which is about to download")
