"""What the API server's answers mean: errors, pauses it asks for, lines of a watch.

Bytes in, values and errors out; nothing here waits or talks to anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app.errors import ApiError, Conflict, Forbidden, Garbled, Gone, Invalid, NotFound
from app.values.meta import Object

MAX_LINE_BYTES = 16 << 20
"""Longest line of a watch that is read; etcd holds no object of more than about 1.5 MB."""

MAX_RETRY_AFTER_SECONDS = 60.0
"""Longest pause that a server may ask for; a mistyped one must not stop us for a day."""

_MAX_MESSAGE = 1024
_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}
_UNKNOWN_FIELD = "failed to create typed patch object"


def decoded(body: bytes | bytearray) -> Object:
    """Returns the JSON object that an answer holds.

    Raises:
        Garbled: it holds none.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Garbled(f"an answer that is not JSON ({exc}): {_start_of(body)!r}") from exc
    if not isinstance(value, dict):
        raise Garbled(f"an answer that is not a JSON object: {_start_of(body)!r}")
    return value


def error_from_answer(status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """Returns the error that an answer other than 2xx stands for.

    Args:
        status: HTTP status code; it wins over the one in the body.
        body: a Status object, or whatever a proxy on the way thought fit.
        retry_after: the header of that name.
    """
    pause = retry_after_seconds(retry_after)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict) and value.get("kind") == "Status":
        return _error(status, value, pause)
    return _error(status, {"message": _start_of(body).strip() or "an empty body"}, pause)


def error_from_event(status: Object) -> ApiError:
    """Returns the error that the object of a watch's ERROR event stands for."""
    code = status.get("code")
    details = _dict(status.get("details"))
    seconds = details.get("retryAfterSeconds")
    pause = retry_after_seconds(str(seconds)) if isinstance(seconds, int) else None
    return _error(code if isinstance(code, int) else 500, status, pause)


def is_too_large_version(error: ApiError) -> bool:
    """Whether the server has not caught up yet with the resource version we asked for."""
    causes = error.details.get("causes")
    if isinstance(causes, list) and any(
        _dict(cause).get("reason") == "ResourceVersionTooLarge" for cause in causes
    ):
        return True
    return error.status == 504 and "Too large resource version" in error.message


def is_unknown_kind(error: ApiError) -> bool:
    """Whether a 404 says that the server does not know the kind, and not just the object.

    An object that is missing is answered with a Status that names it; a path that is not served,
    with one that does not, or with plain text.
    """
    return isinstance(error, NotFound) and not error.details.get("name")


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Returns the pause that ``Retry-After`` asks for, at most 60 seconds.

    Args:
        header: seconds or a date (RFC 9110, section 10.2.3); anything else counts as not sent.
        now: the time, for a date; the present if it is not given.
    """
    if not header:
        return None
    try:
        seconds = float(int(header))
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
        except ValueError:
            return None
        if until.tzinfo is None:  # "-0000": a time in UTC from a server that does not say so
            until = until.replace(tzinfo=UTC)
        seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


class Lines:
    """Cuts a stream of bytes into lines; what follows the last line end is kept for the next chunk.

    A stream that ends in the middle of a line loses that part: half an event must never be read.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the lines that end in this chunk, without their line ends and without empty ones.

        Raises:
            Garbled: a line is longer than any event can be.
        """
        lines: list[bytes] = []
        if b"\n" in chunk:
            first, *lines = chunk.split(b"\n")
            self._rest += first
            lines = [bytes(self._rest), *lines]
            self._rest = bytearray(lines.pop())
        else:
            self._rest += chunk
        if len(self._rest) > self._max_bytes or any(len(line) > self._max_bytes for line in lines):
            raise Garbled(f"a line of a watch is longer than {self._max_bytes} bytes")
        return [line for line in lines if line.strip()]


def _error(status: int, answer: Object, pause: float | None) -> ApiError:
    reason = answer.get("reason")
    message = str(answer.get("message") or "")
    kind = _BY_STATUS.get(status, ApiError)
    if status == 500 and message.startswith(_UNKNOWN_FIELD):
        kind = Invalid
    return kind(
        status,
        reason if isinstance(reason, str) else "",
        message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 3] + "...",
        retry_after_seconds=pause,
        details=_dict(answer.get("details")),
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _start_of(body: bytes | bytearray) -> str:
    return bytes(body[:200]).decode("utf-8", "replace")
