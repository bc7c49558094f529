"""The body of a request: which is read at all, and how it is turned into JSON within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

MOST_BYTES = 8 * 1024 * 1024
"""An object and its predecessor, 1.5 MB each at most in etcd, written out and escaped."""

MOST_CONTAINERS = 32_768
"""Lists and objects in a body; a right one has some thousands, and each takes 56 to 232 bytes."""

MOST_VALUES = 50_000
"""Commas in a body; 10 000 variables and their predecessors have 45 000."""

_UID = re.compile(rb'"request"\s*:\s*\{\s*"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_UID_WITHIN_BYTES = 4096
"""Where the API server writes the uid, so that a review need not be read to be refused."""


class Refused(Exception):
    """The request is answered with a status and a text, and nothing is looked at.

    Args:
        status: HTTP status code.
        text: why, without anything of the request.
        headers: further headers of the answer, ``_`` standing for ``-``.
    """

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers: tuple[tuple[bytes, bytes], ...] = tuple(
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        )


class Unreadable(Exception):
    """A review of which no more than the uid is to be read."""

    def __init__(self, uid: str, why: str) -> None:
        super().__init__(why)
        self.uid = uid


def head_refusal(headers: Mapping[bytes, bytes]) -> Refused | None:
    """Returns why the body that follows a header will not be read, or None if it will be.

    Args:
        headers: the request's; names in small letters.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return Refused(415, "no content-encoding is accepted", connection="close")
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        return Refused(415, "the content type must be application/json", connection="close")
    if int(headers.get(b"content-length", 0)) > MOST_BYTES:
        return too_long()
    return None


def too_long() -> Refused:
    """Returns the refusal of a body that is longer than one may be."""
    return Refused(413, f"the body is longer than {MOST_BYTES} bytes", connection="close")


TOO_MUCH_HELD = "the bodies of all requests together are too large"


def overloaded(text: str) -> Refused:
    """Returns the refusal of a request for which there is no room now.

    The API server asks again after the time in ``Retry-After``, within its own time limit.
    """
    return Refused(503, text, retry_after="1", connection="close")


def decoded(body: bytes | bytearray) -> Any:
    """Returns the JSON of a body; of a key that comes twice the last counts.

    Raises:
        Unreadable: a review that would take more memory, or more levels, than any right one.
        Refused: it is no JSON, or such a body without a review.
    """
    if _holds_too_much(body):
        uid = _uid_within(body)
        if uid is None:
            raise Refused(400, "the body holds too many values")
        raise Unreadable(uid, "the object holds too many values")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        uid = _uid_within(body)
        if uid is not None and exc.msg.startswith("depth limit"):
            raise Unreadable(uid, "the object is nested too deeply") from exc
        raise Refused(400, "the body is not JSON") from exc


def _holds_too_much(body: bytes | bytearray) -> bool:
    """Whether decoding would take far more memory than the body, or judging far more time.

    Brackets and commas in texts count as well; a right body is far from either bound.
    """
    if len(body) < 2 * MOST_CONTAINERS:
        return False
    containers = body.count(b"[") + body.count(b"{")
    return containers > MOST_CONTAINERS or body.count(b",") > MOST_VALUES


def _uid_within(body: bytes | bytearray) -> str | None:
    uid = _UID.search(body, 0, _UID_WITHIN_BYTES)
    return uid[1].decode() if uid else None


def uid_of(review: Any) -> str:
    """Returns the uid of whatever was decoded, for the log; ``""`` if there is none."""
    request = review.get("request") if isinstance(review, dict) else None
    return str(request.get("uid"))[:128] if isinstance(request, dict) else ""
