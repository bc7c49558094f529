"""Puts a finished download into its place, and finds what is there already."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from downloader.hashes import file_digest
from downloader.manifest import (
    Manifest,
    Request,
    StoredFile,
    faults,
    read_manifest,
    write_manifest,
)
from downloader.paths import Place, parent_folder, sync_folder, sync_tree
from downloader.sources.base import Listing, RemoteFile, Source
from downloader.transfer.workers import with_retries

_HASHING_THREADS = 4


def kept_files(
    place: Place, request: Request, listing: Listing, source: Source, stop: threading.Event
) -> list[RemoteFile]:
    """Returns the files of the target that are as the source has them now.

    Files of the same commit count by the manifest, all others by their hash. Files that another
    downloader left count too.

    Raises:
        DownloadError: the source does not describe a file.
    """
    if not os.path.isdir(place.target):
        return []
    manifest = read_manifest(place.target)
    known: dict[str, StoredFile] = {}
    if manifest is not None and (manifest.request.source, manifest.commit) == (
        *(request.source, listing.commit),
    ):
        known = {file.path: file for file in manifest.files}

    def checked(file: RemoteFile) -> RemoteFile | None:
        path = f"{place.target}/{file.path}"
        if not os.path.isfile(path) or os.path.islink(path) or os.path.getsize(path) != file.size:
            return None
        stored = known.get(file.path)
        if stored is not None:
            intact = not faults(place.target, [stored])
            return RemoteFile(file.path, file.size, stored.digest) if intact else None
        described = with_retries(partial(source.described, file), stop, file.path)
        if not described.digest or file_digest(path, described.digest) != described.digest:
            return None
        return described

    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        return [file for file in pool.map(checked, listing.files) if file is not None]


def install(
    place: Place,
    request: Request,
    commit: str,
    files: Sequence[RemoteFile],
    kept: Collection[str] = (),
) -> None:
    """Makes the target whole: its files first, its manifest last.

    A target that does not exist yet appears in one step. In one that has files, or in whose parent
    this user may write nothing, files are replaced one by one, and its manifest is away meanwhile.
    Files that no listing named are left alone.

    Args:
        place: where.
        request: what was asked for.
        commit: what the revision was.
        files: all files of the model, with their hashes.
        kept: paths of those that are in the target already.

    Raises:
        OSError: a file cannot be moved.
    """
    old = read_manifest(place.target)
    can_move = not place.is_mount and os.access(os.path.dirname(place.target), os.W_OK)
    is_new = can_move and not kept and _is_empty(place.target)
    folder = place.staging if is_new else place.target
    if not is_new:
        if os.path.exists(place.manifest):
            os.unlink(place.manifest)
            sync_folder(place.target)
        wanted = {file.path for file in files}
        for path in sorted(wanted - set(kept)):
            parent_folder(place.target, path)
            os.replace(f"{place.staging}/{path}", f"{place.target}/{path}")
        for stored in old.files if old else ():
            if stored.path not in wanted and os.path.lexists(f"{place.target}/{stored.path}"):
                os.unlink(f"{place.target}/{stored.path}")
    sync_tree(folder)
    stored_files = [
        StoredFile(
            file.path,
            file.size,
            os.lstat(f"{folder}/{file.path}").st_mtime_ns,
            file.digest,
        )
        for file in sorted(files, key=lambda each: each.path)
    ]
    finished = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_manifest(place, Manifest(request, commit, finished, tuple(stored_files)), folder)
    if is_new:
        if os.path.isdir(place.target):
            os.rmdir(place.target)
        os.rename(folder, place.target)
        sync_folder(os.path.dirname(place.target))
    _clean(place)


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except FileNotFoundError:
        return True


def _clean(place: Place) -> None:
    """Removes the working files of a download that is complete."""
    shutil.rmtree(place.staging, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{place.work}/journal")
