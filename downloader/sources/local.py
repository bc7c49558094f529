"""Models on a mounted volume (``pvc://``), copied to where they are asked for."""

from __future__ import annotations

import hashlib
import os
import stat

from downloader.errors import DownloadError, Reason, disk_error
from downloader.paths import MANIFEST, WORK
from downloader.settings import Settings
from downloader.sources.base import Listing, RemoteFile, listing_of


class LocalReader:
    """The bytes of a file."""

    def __init__(self, path: str, start: int) -> None:
        # A link is followed: its target was checked when the folder was listed.
        self._descriptor = os.open(path, os.O_RDONLY)
        os.lseek(self._descriptor, start, os.SEEK_SET)

    def read(self, most: int) -> bytes:
        """Returns the next bytes; ``b""`` at the end."""
        return os.read(self._descriptor, most)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


class LocalFolder:
    """A folder that the container has mounted.

    Args:
        settings: what to copy; ``pvc://models/m`` is the folder ``/models/m``.

    Raises:
        DownloadError: there is no such folder.
    """

    def __init__(self, settings: Settings) -> None:
        self._root = os.path.realpath("/" + settings.source.removeprefix("pvc://").strip("/"))
        if not os.path.exists(self._root):
            raise DownloadError(
                Reason.NOT_FOUND,
                f"the downloader sees no folder {self._root}",
                "it mounts only the volume of cacheURI: write cacheURI pvc://CLAIM and "
                "modelURI pvc://CLAIM/FOLDER",
            )
        if not os.path.isdir(self._root):
            raise DownloadError(
                Reason.BAD_SOURCE, f"{self._root} exists but is not a directory", "name its folder"
            )

    def listing(self) -> Listing:
        """Returns all files below the folder; a link counts as the file that it leads to.

        Raises:
            DownloadError: a link leads out of the folder, or a file cannot be read.
        """
        files = []
        times = hashlib.sha256()
        try:
            for folder, names, entries in os.walk(self._root, onerror=_raised):
                names[:] = sorted(set(names) - {WORK, "lost+found"})
                for name in sorted(entries):
                    path = f"{folder}/{name}"
                    state = os.stat(path)
                    if name == MANIFEST or not stat.S_ISREG(state.st_mode):
                        continue
                    if not os.path.realpath(path).startswith(f"{self._root}/"):
                        raise DownloadError(
                            Reason.UNSAFE,
                            f"{path} is a link that leads out of {self._root}",
                            "replace it by the file",
                        )
                    files.append(RemoteFile(path.removeprefix(f"{self._root}/"), state.st_size))
                    times.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
        except OSError as exc:
            raise disk_error(exc, self._root) from exc
        return listing_of(files, f"files-{times.hexdigest()[:40]}", self._root)

    def described(self, file: RemoteFile) -> RemoteFile:
        """Returns the file as it is."""
        return file

    def open(self, file: RemoteFile, start: int, end: int) -> LocalReader:
        """Returns the bytes from ``start`` on.

        Raises:
            DownloadError: the file cannot be read.
        """
        del end
        try:
            return LocalReader(f"{self._root}/{file.path}", start)
        except OSError as exc:
            raise disk_error(exc, self._root) from exc


def _raised(exc: OSError) -> None:
    raise exc
