"""Where a model and its working files are, and which names from a listing are allowed.

The working files of ``CACHE/NAME`` are in ``CACHE/.model-booster/NAME``, on the same volume, so a
finished download is renamed into its place. If the target is itself a mount point, they are in
``TARGET/.model-booster``, and the files are renamed one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from downloader.errors import DownloadError, Reason

WORK = ".model-booster"
"""Folder with working files."""

MANIFEST = ".model-booster.json"
"""File in a model's folder that says that the folder is whole."""

_MAX_NAME = 255
_MAX_PATH = 1024


@dataclass(frozen=True)
class Place:
    """The folders of one download.

    Args:
        target: where the model goes, an absolute path.
        work: where locks, journal and files of a download in progress are.
        is_mount: whether the target is a mount point, which cannot be renamed.
    """

    target: str
    work: str
    is_mount: bool

    @property
    def staging(self) -> str:
        """The folder that a download fills."""
        return f"{self.work}/files"

    @property
    def manifest(self) -> str:
        """The manifest of the model."""
        return f"{self.target}/{MANIFEST}"


def place_of(output: str) -> Place:
    """Returns the folders of a download into ``output``; ``~`` is expanded."""
    target = os.path.realpath(os.path.expanduser(output))
    parent, name = os.path.split(target)
    if os.path.ismount(target):
        return Place(target, f"{target}/{WORK}", is_mount=True)
    return Place(target, os.path.join(parent, WORK, name), is_mount=False)


def check_names(paths: Iterable[str]) -> None:
    """Refuses a listing with names that could leave the target or hide our own files.

    Raises:
        DownloadError: the first such name.
    """
    files = set()
    folders = set()
    for path in paths:
        if fault := _fault(path):
            raise _unsafe(path, fault)
        if path in files:
            raise _unsafe(path, "occurs twice")
        files.add(path)
        while path := path.rpartition("/")[0]:
            folders.add(path)
    if both := sorted(files & folders):
        raise _unsafe(both[0], "is a file and a folder")


def _fault(path: str) -> str:
    segments = path.split("/")
    if path.startswith("/"):
        return "is absolute"
    if ".." in segments or "." in segments:
        return "has the segment '.' or '..'"
    if "" in segments:
        return "has an empty segment"
    if "\\" in path or any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "has a backslash or a control character"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in path):
        return "is not valid Unicode"
    if segments[0] in (WORK, MANIFEST):
        return "is a name that the downloader uses itself"
    if len(path.encode()) > _MAX_PATH or any(len(name.encode()) > _MAX_NAME for name in segments):
        return "is too long"
    return ""


def _unsafe(path: str, fault: str) -> DownloadError:
    shown = path if len(path) <= 100 else path[:99] + "…"
    return DownloadError(
        Reason.UNSAFE,
        f"the source lists the file {shown!r}, which {fault}",
        "rename it at the source; nothing was downloaded",
    )


def parent_folder(root: str, path: str) -> str:
    """Creates the folder of a file below a root, and returns it.

    Raises:
        DownloadError: a folder on the way is a link, so the file would leave the root.
        OSError: it cannot be created.
    """
    folder = root
    os.makedirs(folder, exist_ok=True)
    for name in path.split("/")[:-1]:
        folder = f"{folder}/{name}"
        if os.path.islink(folder):
            raise DownloadError(
                Reason.UNSAFE, f"{folder} is a symbolic link", "remove it and start again"
            )
        os.makedirs(folder, exist_ok=True)
    return folder


def sync_folder(path: str) -> None:
    """Makes the names in a folder durable, where the file system can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems have no fsync for folders
        pass
    finally:
        os.close(descriptor)


def sync_tree(root: str) -> None:
    """Makes the names in a folder and below it durable."""
    for folder, _, _ in os.walk(root):
        sync_folder(folder)


def write_whole(path: str, text: str) -> None:
    """Replaces a file in one step; readers see the old text or the new one.

    Raises:
        OSError: it cannot be written.
    """
    new = f"{path}.{os.getpid()}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
