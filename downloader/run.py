"""A run from its beginning to a whole model."""

from __future__ import annotations

import os
import threading

from downloader.cache.uses import record_use
from downloader.errors import DownloadError, Reason, disk_error
from downloader.install import install, kept_files
from downloader.manifest import faults, read_manifest
from downloader.once.turn import Turn, TurnLost, Waiting
from downloader.paths import Place, check_names
from downloader.progress.meter import Meter, Progress
from downloader.progress.output import Output
from downloader.settings import Settings
from downloader.sizes import size_text
from downloader.sources.base import Listing, RemoteFile, Source
from downloader.transfer.journal import Journal, read_journal
from downloader.transfer.task import FileTask
from downloader.transfer.workers import Stop, Workers, with_retries

FIRST_LINE_SECONDS, LINE_SECONDS = 2.0, 10.0


class Run:
    """Brings a model to a folder.

    Args:
        settings: what to download.
        place: where to.
        output: where to tell of it.
        refresh: whether to ask the source also if the model is whole.
    """

    def __init__(
        self,
        settings: Settings,
        place: Place,
        output: Output,
        *,
        refresh: bool = False,
    ) -> None:
        self._settings = settings
        self._place = place
        self._output = output
        self._refresh = refresh
        self._stop = Stop()
        self._meter: Meter | None = None
        self._damaged: tuple[int, int] | None = None

    def run(self) -> None:
        """Returns when the model is whole.

        Raises:
            DownloadError: it cannot be; the message says why.
        """
        while True:
            self._stop = Stop()
            try:
                turn = Waiting(self._place, self._output, self._is_whole).turn()
            except DownloadError as exc:
                if exc.reason is Reason.NOT_WRITABLE and self._is_whole_unwritten(exc):
                    return
                raise
            if turn is None:
                break
            try:
                with turn:
                    self._download(turn)
                break
            except TurnLost:
                self._output.note("another process took over; waiting for it")
            except OSError as exc:
                raise disk_error(exc, self._place.target) from exc
        manifest = read_manifest(self._place.target)
        if manifest is None:
            raise DownloadError(
                Reason.CORRUPT, f"{self._place.target} lost its manifest", "start again"
            )
        record_use(self._place)
        fetched = self._meter.fetched if self._meter else 0
        self._output.whole(
            self._place.target, len(manifest.files), manifest.size, manifest.commit, fetched
        )

    def _is_whole(self) -> bool:
        try:
            state = os.stat(self._place.manifest)
        except OSError:
            return False
        written = (state.st_ino, state.st_mtime_ns)
        if self._refresh or written == self._damaged:
            return False  # who repairs it writes a new manifest; files need not be hashed till then
        manifest = read_manifest(self._place.target)
        if manifest is None or manifest.request != self._settings.request:
            return False
        found = faults(self._place.target, manifest.files)
        if found:
            shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if found[3:] else "")
            self._output.note(f"{self._place.target} is damaged: {shown}")
            self._damaged = written
        return not found

    def _is_whole_unwritten(self, refused: DownloadError) -> bool:
        """Returns whether a folder that cannot be written to has the model all the same.

        Another downloader may have filled it, as another user; no manifest can be written then.
        """
        target = self._place.target
        if not os.path.isdir(target):
            return False
        self._output.note(f"{refused.message}; checking what is in {target}")
        source = _connected(self._settings)
        listing = with_retries(source.listing, self._stop.event, f"listing {self._settings.source}")
        self._check(listing)
        there = (f"{target}/{file.path}" for file in listing.files)
        if not all(map(os.path.isfile, there)):
            return False  # so nothing need be hashed
        kept = kept_files(self._place, self._settings.request, listing, source, self._stop.event)
        if len(kept) < len(listing.files):
            return False
        self._output.note(f"every start checks all files again: {refused.step}")
        self._output.whole(target, len(kept), listing.size, listing.commit, 0)
        return True

    def _download(self, turn: Turn) -> None:
        turn.start(self._progress, lambda: self._stop.because(TurnLost()))
        self._output.note(f"listing {self._settings.source}")
        source = _connected(self._settings)
        listing = with_retries(source.listing, self._stop.event, f"listing {self._settings.source}")
        self._check(listing)
        known = read_journal(f"{self._place.work}/journal", listing)
        if os.path.isdir(self._place.target) and os.listdir(self._place.target):
            self._output.note(f"checking what is in {self._place.target}")
        kept = kept_files(self._place, self._settings.request, listing, source, self._stop.event)
        complete = {file.path: file for file in kept}
        tasks = []
        for number, file in enumerate(listing.files):
            if file.path in complete:
                continue
            done = known.complete.get(file.path)
            if done and self._is_staged(file) and (known.is_same or _is_same(done, file)):
                complete[file.path] = done
                continue
            steps = {key[1]: value for key, value in known.steps.items() if key[0] == number}
            if known.is_other_boot and not file.digest:
                steps = {}
            tasks.append(FileTask(number, file, self._place.staging, steps))
        known.complete = {p: f for p, f in known.complete.items() if complete.get(p) is f}
        self._drop_others({task.file.path for task in tasks} | known.complete.keys())
        self._check_space(listing, tasks)
        there = sum(file.size for file in complete.values())
        there += sum(task.bytes_there for task in tasks)
        self._meter = Meter(listing.size, there, len(listing.files), len(complete))
        os.makedirs(self._place.staging, exist_ok=True)
        journal = Journal(f"{self._place.work}/journal", listing, known)
        workers = Workers(source, tasks, journal, self._meter, self._stop, self._place.target)
        ended = threading.Event()
        reporter = threading.Thread(target=self._report, args=(ended,), daemon=True)
        reporter.start()
        try:
            workers.run(self._settings.workers)
        finally:
            ended.set()
            reporter.join()
        journal.close()
        files = [*complete.values(), *workers.complete]
        if not turn.is_ours():
            raise TurnLost
        self._output.progress(self._meter.now())
        kept_paths = {file.path for file in kept}
        install(self._place, self._settings.request, listing.commit, files, kept_paths)
        self._refresh = False

    def _check(self, listing: Listing) -> None:
        settings = self._settings
        check_names(file.path for file in listing.files)
        if any(file.size < 0 for file in listing.files):
            raise DownloadError(Reason.BAD_SOURCE, f"{settings.source} lists a negative size")
        if len(listing.files) > settings.max_files:
            raise DownloadError(
                Reason.TOO_LARGE,
                f"{settings.source} lists {len(listing.files)} files, "
                f"and {settings.max_files} are allowed",
                "check the source, or raise --max-files",
            )
        if listing.size > settings.max_bytes:
            raise DownloadError(
                Reason.TOO_LARGE,
                f"{settings.source} has {size_text(listing.size)}, "
                f"and {size_text(settings.max_bytes)} are allowed",
                "check the source, or raise --max-bytes",
            )

    def _check_space(self, listing: Listing, tasks: list[FileTask]) -> None:
        needed = sum(task.file.size - task.bytes_there for task in tasks)
        state = os.statvfs(self._place.work)
        free = state.f_bavail * state.f_frsize
        if needed > free:
            raise DownloadError(
                Reason.NO_SPACE,
                f"{self._settings.source} ({size_text(listing.size)}) needs {size_text(needed)} "
                f"more, and the volume of {self._place.target} has {size_text(free)} free",
                "enlarge it, or remove old models (model-booster-downloader gc)",
            )

    def _is_staged(self, file: RemoteFile) -> bool:
        path = f"{self._place.staging}/{file.path}"
        return os.path.isfile(path) and os.path.getsize(path) == file.size

    def _drop_others(self, wanted: set[str]) -> None:
        """Removes what an earlier run of another listing left, which would take space."""
        root = self._place.staging
        for folder, _, names in os.walk(root):
            for name in names:
                if f"{folder}/{name}".removeprefix(f"{root}/") not in wanted:
                    os.unlink(f"{folder}/{name}")

    def _progress(self) -> Progress | None:
        return self._meter.now() if self._meter else None

    def _report(self, ended: threading.Event) -> None:
        wait = min(FIRST_LINE_SECONDS, LINE_SECONDS)
        while not ended.wait(wait):
            wait = LINE_SECONDS
            if progress := self._progress():
                self._output.progress(progress)


def _is_same(one: RemoteFile, other: RemoteFile) -> bool:
    """Returns whether files of two listings have the same bytes."""
    return bool(one.digest) and (one.size, one.digest) == (other.size, other.digest)


def _connected(settings: Settings) -> Source:
    # A start that finds everything in place does not load the clients.
    from downloader.sources.choice import source_of

    return source_of(settings)
