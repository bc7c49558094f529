"""The manifest of a model's folder: what was downloaded, and whether it is still there.

A folder is whole if its manifest names what is asked for, and every file that it lists is there
with its size and time of modification. Only a manifest that matches makes a start without the
network possible. It is written last, after all files are durable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from stat import S_ISREG
from typing import Any

from downloader.errors import DownloadError
from downloader.hashes import file_digest, is_digest
from downloader.paths import MANIFEST, Place, check_names, sync_folder, write_whole

SCHEMA = 1
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Args:
        source: URI of the model.
        revision: branch, tag or commit as the user wrote it; ``""`` for the default.
        endpoint: address of the server, without credentials; ``""`` for the default.
    """

    source: str
    revision: str = ""
    endpoint: str = ""


@dataclass(frozen=True)
class StoredFile:
    """A file of a whole model.

    Args:
        path: its path in the folder.
        size: bytes.
        mtime_ns: its time of modification in nanoseconds, as the file system tells it.
        digest: its hash; see ``hashes``.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """What a folder contains.

    Args:
        request: what was asked for.
        commit: the commit that the revision was; a hash of the listing for other sources.
        finished: when the download ended, RFC 3339.
        files: its files.
    """

    request: Request
    commit: str
    finished: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def read_manifest(folder: str) -> Manifest | None:
    """Returns the manifest of a folder; None if there is none that can be read."""
    path = f"{folder}/{MANIFEST}"
    try:
        if os.stat(path).st_size > _MAX_BYTES:
            return None
        with open(path, encoding="utf-8") as file:
            return _parsed(json.load(file))
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
        DownloadError,
    ):
        return None


def _parsed(data: Any) -> Manifest | None:
    if data["schema"] != SCHEMA:
        return None
    files = tuple(
        StoredFile(str(each["path"]), int(each["size"]), int(each["mtime_ns"]), each["digest"])
        for each in data["files"]
    )
    if not files or not all(is_digest(file.digest) for file in files):
        return None
    check_names(file.path for file in files)
    request = Request(str(data["source"]), str(data["revision"]), str(data["endpoint"]))
    return Manifest(request, str(data["commit"]), str(data["finished"]), files)


def write_manifest(place: Place, manifest: Manifest, folder: str | None = None) -> None:
    """Writes the manifest into the target, or into another folder.

    Raises:
        OSError: it cannot be written.
    """
    folder = folder or place.target
    data = {
        "schema": SCHEMA,
        **asdict(manifest.request),
        "commit": manifest.commit,
        "finished": manifest.finished,
        "bytes": manifest.size,
        "files": [asdict(file) for file in manifest.files],
    }
    write_whole(f"{folder}/{MANIFEST}", json.dumps(data, indent=1) + "\n")
    sync_folder(folder)


def faults(folder: str, files: Sequence[StoredFile], *, full: bool = False) -> list[str]:
    """Returns the files that are not as the manifest says, each with how.

    Args:
        folder: the model's folder.
        files: files of its manifest.
        full: whether to read and hash every file, instead of those only whose time of modification
            differs.
    """
    found = []
    for file in files:
        path = f"{folder}/{file.path}"
        try:
            state = os.lstat(path)
            if not S_ISREG(state.st_mode):
                found.append(f"{file.path} is not a regular file")
            elif state.st_size != file.size:
                found.append(f"{file.path} has {state.st_size} bytes instead of {file.size}")
            elif (full or state.st_mtime_ns != file.mtime_ns) and (
                file_digest(path, file.digest) != file.digest
            ):
                found.append(f"{file.path} has other bytes than were downloaded")
        except FileNotFoundError:
            found.append(f"{file.path} is missing")
        except OSError as exc:
            found.append(f"{file.path} cannot be read: {exc.strerror}")
    return found
