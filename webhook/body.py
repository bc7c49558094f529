"""The body of a request: read within bounds, and turned into JSON within bounds."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

Message = MutableMapping[str, Any]
"""A message of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

Receive = Callable[[], Awaitable[Message]]

MOST_BYTES = 8 * 1024 * 1024
"""An object and its predecessor, 1.5 MB each at most in etcd, written out and escaped."""

MOST_CONTAINERS = 250_000
"""Lists and objects in a body: a right one has some thousands, and each takes 64 bytes or more."""

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
        self.headers = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]


class Unreadable(Exception):
    """A review of which no more than the uid is to be read."""

    def __init__(self, uid: str, why: str) -> None:
        super().__init__(why)
        self.uid = uid


async def body_of(headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytearray:
    """Reads the body, and no more of it than there may be.

    Args:
        headers: the request's; names in small letters.
        receive: what brings the body, in pieces.

    Raises:
        Refused: it is too long, encoded, or says that it is no JSON.
    """
    given = dict(headers)
    if given.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415, "no content-encoding is accepted", connection="close")
    if given.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        raise Refused(415, "the content type must be application/json", connection="close")
    if int(given.get(b"content-length", 0)) > MOST_BYTES:
        raise _too_long()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the body ended early")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise _too_long()
        if not message.get("more_body", False):
            return body


def _too_long() -> Refused:
    return Refused(413, f"the body is longer than {MOST_BYTES} bytes", connection="close")


def decoded(body: bytearray) -> Any:
    """Returns the JSON of a body; of a key that comes twice the last counts.

    Raises:
        Unreadable: a review that would take more memory, or more levels, than any right one.
        Refused: it is no JSON, or such a body without a review.
    """
    uid = _UID.search(body, 0, _UID_WITHIN_BYTES)
    if body.count(b"[") + body.count(b"{") > MOST_CONTAINERS:
        if uid is None:
            raise Refused(400, "the body holds too many lists and objects")
        raise Unreadable(uid[1].decode(), "the object holds too many lists and objects")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if uid is not None and exc.msg.startswith("depth limit"):
            raise Unreadable(uid[1].decode(), "the object is nested too deeply") from exc
        raise Refused(400, "the body is not JSON") from exc


def uid_of(review: Any) -> str:
    """Returns the uid of whatever was decoded, for the log; ``""`` if there is none."""
    request = review.get("request") if isinstance(review, dict) else None
    return str(request.get("uid"))[:128] if isinstance(request, dict) else ""
