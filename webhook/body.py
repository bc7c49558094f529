"""Request bodies: which ones the server reads, and how it decodes them within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from webhook.reply import Refusal

MAX_BODY_BYTES = 8 * 1024 * 1024
"""The new and the old object have at most 1.5 MB each in etcd; JSON escapes can double that."""

MAX_CONTAINERS = 32_768
"""Lists and objects in a body. A valid one has a few thousand, and each takes 56 to 232 bytes."""

MAX_COMMAS = 50_000
"""Commas in a body. 10,000 variables in the new and the old object take 45,000."""

_UID = re.compile(rb'"request"\s*:\s*\{\s*"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_UID_WITHIN_BYTES = 4096
"""The API server writes the uid here, so a review can be refused without decoding it."""

_BLOCK_BYTES = 64 * 1024


class UndecodableReview(Exception):
    """A review is too large to decode; only its uid is known.

    Args:
        uid: uid of the review.
        message: why the review is refused.
    """

    def __init__(self, uid: str, message: str) -> None:
        super().__init__(message)
        self.uid = uid


class BodyBuffer:
    """The bytes of one body, in the order of arrival.

    Most bodies arrive in one piece, which is stored as it is. Small pieces are joined into blocks
    of 64 KiB: a single growing buffer would be copied again and again, and a list of tiny pieces
    would take many times the size of the body.
    """

    __slots__ = ("_blocks", "size")

    def __init__(self) -> None:
        self._blocks: list[bytes | bytearray] = []
        self.size = 0
        """Bytes added so far."""

    def add(self, piece: bytes) -> None:
        """Appends a piece."""
        self.size += len(piece)
        if not self._blocks or len(self._blocks[-1]) >= _BLOCK_BYTES:
            self._blocks.append(piece)
            return
        block = self._blocks[-1]
        if isinstance(block, bytes):
            block = self._blocks[-1] = bytearray(block)
        block += piece

    def take(self) -> bytes:
        """Returns the body and releases the buffer."""
        blocks, self._blocks = self._blocks, []
        # join does not copy a single bytes object.
        return b"".join(blocks)


def header_refusal(headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Returns why the server does not read the body of a review, or None if it does.

    Args:
        headers: request headers; names in lower case.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return Refusal(415, "no content-encoding is accepted", connection="close")
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        return Refusal(415, "the content type must be application/json", connection="close")
    if int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES:
        return body_too_long()
    return None


def body_too_long() -> Refusal:
    """Returns the refusal of a body with more than ``MAX_BODY_BYTES``."""
    return Refusal(413, f"the body is longer than {MAX_BODY_BYTES} bytes", connection="close")


def decode_review(body: bytes) -> Any:
    """Returns a body as JSON. The last value of a repeated key counts.

    Args:
        body: the whole body.

    Raises:
        UndecodableReview: a review would take more memory or nesting levels than any valid one.
        Refusal: the body is not JSON, or is too large and has no uid.
    """
    if _is_oversized(body):
        uid = _find_uid(body)
        if uid is None:
            raise Refusal(400, "the body holds too many values")
        raise UndecodableReview(uid, "the object holds too many values")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        uid = _find_uid(body)
        if uid is not None and exc.msg.startswith("depth limit"):
            raise UndecodableReview(uid, "the object is nested too deeply") from exc
        raise Refusal(400, "the body is not JSON") from exc


def _is_oversized(body: bytes) -> bool:
    """Returns whether the decoded body would take far more memory or time than its size suggests.

    Brackets and commas in strings count too. Valid bodies stay far below both bounds.
    """
    if len(body) < 2 * MAX_CONTAINERS:
        return False
    containers = body.count(b"[") + body.count(b"{")
    return containers > MAX_CONTAINERS or body.count(b",") > MAX_COMMAS


def _find_uid(body: bytes) -> str | None:
    uid = _UID.search(body, 0, _UID_WITHIN_BYTES)
    return uid[1].decode() if uid else None


def review_uid(review: Any) -> str:
    """Returns the uid of a decoded review for the log; ``""`` if it has none."""
    request = review.get("request") if isinstance(review, dict) else None
    return str(request.get("uid"))[:128] if isinstance(request, dict) else ""
