"""The hashes by which sources identify the bytes of a file.

Written as text, ``kind:value``:

- ``sha256:HEX``: large files of Hugging Face, files of ModelScope, S3 checksums.
- ``git:HEX``: SHA-1 of the blob as git counts it; small files of Hugging Face.
- ``md5:HEX``: the ETag of an S3 object that was stored in one piece.
- ``md5parts:SIZE:HEX-COUNT``: the ETag of one that was uploaded in parts of SIZE bytes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

PIECE = 1 << 20
"""Bytes that are read at once to hash a file."""

_FORM = re.compile(
    r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}|md5:[0-9a-f]{32}|md5parts:[1-9][0-9]{0,15}:[0-9a-f]{32}-[0-9]{1,5}"
)


class Hasher(Protocol):
    """Takes the bytes of a file in order."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes the next bytes."""

    def hexdigest(self) -> str:
        """Returns the hash of all bytes so far."""


class _PartsMd5:
    """The MD5 of the MD5s of equal parts, which S3 uses as the ETag of a multipart upload."""

    def __init__(self, part: int) -> None:
        self._part = part
        self._left = part
        self._digests: list[bytes] = []
        self._now = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._left]
            self._now.update(taken)
            self._left -= len(taken)
            view = view[len(taken) :]
            if not self._left:
                self._close()

    def _close(self) -> None:
        self._digests.append(self._now.digest())
        self._now = hashlib.md5(usedforsecurity=False)
        self._left = self._part

    def hexdigest(self) -> str:
        digests = list(self._digests)
        if self._left < self._part or not digests:
            digests.append(self._now.digest())
        whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
        return f"{whole}-{len(digests)}"


def is_digest(text: object) -> bool:
    """Returns whether a text is a hash in one of the forms above."""
    return isinstance(text, str) and _FORM.fullmatch(text) is not None


def new_hasher(digest: str, size: int) -> tuple[str, Hasher]:
    """Returns the beginning of a digest's text, and what computes the rest.

    Args:
        digest: a hash of the same kind; ``""`` for SHA-256.
        size: bytes of the file.
    """
    kind, _, rest = digest.partition(":")
    if kind == "git":
        blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        return "git:", blob
    if kind == "md5":
        return "md5:", hashlib.md5(usedforsecurity=False)
    if kind == "md5parts":
        part = rest.partition(":")[0]
        return f"md5parts:{part}:", _PartsMd5(int(part))
    return "sha256:", hashlib.sha256()


def file_digest(path: str, digest: str = "") -> str:
    """Returns the hash of a file, of the same kind as another one (SHA-256 by default).

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        prefix, hasher = new_hasher(digest, file.seek(0, 2))
        file.seek(0)
        buffer = memoryview(bytearray(PIECE))
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return prefix + hasher.hexdigest()
