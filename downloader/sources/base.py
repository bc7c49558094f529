"""What a source is: it lists the files of a model, and opens them at any byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from downloader.errors import DownloadError, Reason


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source.

    Args:
        path: its path below the model's folder.
        size: bytes.
        digest: its hash as the source states it (see ``hashes``); ``""`` if it states none.
    """

    path: str
    size: int
    digest: str = ""


@dataclass(frozen=True)
class Listing:
    """All files of a model, by path.

    Args:
        commit: what the revision was resolved to; a hash of the files if the source has no commits.
        files: the files in order of their paths.
    """

    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """A hash of the commit and all files; equal listings have the same bytes."""
        return _hash(self.files, self.commit)


class Reader(Protocol):
    """The bytes of a file from some byte on."""

    def read(self, most: int) -> bytes:
        """Returns the next bytes, as soon as there are some; ``b""`` at the end.

        Raises:
            TransientError: the connection broke.
        """

    def close(self) -> None:
        """Releases the connection."""


class Source(Protocol):
    """A place that models come from. Several threads use it at a time after ``listing``."""

    def listing(self) -> Listing:
        """Returns all files of the model.

        Raises:
            DownloadError: the model cannot be listed.
            TransientError: another try may help.
        """

    def described(self, file: RemoteFile) -> RemoteFile:
        """Returns a file with what is known only when it is asked for by itself.

        Raises:
            DownloadError: the file cannot be read.
            TransientError: another try may help.
        """

    def open(self, file: RemoteFile, start: int, end: int) -> Reader:
        """Returns the bytes from ``start`` up to, without, ``end``.

        Raises:
            DownloadError: the file cannot be read.
            TransientError: another try may help.
        """


def listing_of(files: Iterable[RemoteFile], commit: str, source: str) -> Listing:
    """Returns a listing in order of paths.

    Raises:
        DownloadError: there is no file, or no byte.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    if not any(file.size for file in ordered):
        raise DownloadError(
            Reason.EMPTY,
            f"{source} has no files" if not ordered else f"all files of {source} are empty",
            "check its name: nothing was downloaded",
        )
    return Listing(commit or f"files-{_hash(ordered, '')[:40]}", ordered)


def _hash(files: Iterable[RemoteFile], commit: str) -> str:
    text = json.dumps([commit, [[file.path, file.size, file.digest] for file in files]])
    return hashlib.sha256(text.encode()).hexdigest()
