"""Decodes responses of the API server: objects, errors, ``Retry-After``, lines of a watch."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from app.errors import ApiError, Conflict, Forbidden, Garbled, Gone, Invalid, NotFound
from app.values.meta import Object
from app.values.text import shortened
from app.values.untyped import as_dict

MAX_LINE_BYTES = 16 << 20
"""Longest line of a watch. etcd stores no object of more than about 1.5 MB."""

MAX_RETRY_AFTER_SECONDS = 60.0
"""Longest pause that a server may request. A misconfigured one must not stop us for a day."""

_MAX_MESSAGE_CHARS = 1024
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
    """Returns the JSON object in a response.

    Raises:
        Garbled: the body is not a JSON object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Garbled(f"an answer that is not JSON ({exc}): {_start_of(body)!r}") from exc
    if not isinstance(value, dict):
        raise Garbled(f"an answer that is not a JSON object: {_start_of(body)!r}")
    return value


_MANAGED_FIELDS = b'"managedFields":['
_END_OF_MANAGED_FIELDS = b'],"name":"'
_LEFT_OUT = "left out"


def decoded_unmanaged(body: bytes, holder: str = "") -> Object:
    """Returns the JSON object in a response, without ``managedFields`` of the object in it.

    They are half of the text, and take half of the time to decode. So they are cut out before, if
    they are written as the API server does: ``name`` is the next field, and the list holds no other
    ``[``, so the next ``]`` outside of a text ends it. Any other form is decoded as a whole.

    Args:
        body: JSON.
        holder: the field that holds the object; ``""`` if the body is the object.

    Raises:
        Garbled: the body is not a JSON object.
    """
    begin = body.find(_MANAGED_FIELDS)
    first = begin + len(_MANAGED_FIELDS)
    end = body.find(_END_OF_MANAGED_FIELDS, first) if begin >= 0 else -1
    if end >= 0 and body.find(b"[", first, end) < 0:
        # The text in place of the list shows whether that list is the one of the metadata. If it
        # is inside of another list, the rest may be no JSON.
        rest: Object = {}
        with suppress(Garbled):
            rest = decoded(b'%b"%b"%b' % (body[: first - 1], _LEFT_OUT.encode(), body[end + 1 :]))
        metadata = _metadata_in(rest, holder)
        if metadata.get("managedFields") == _LEFT_OUT:
            del metadata["managedFields"]
            return rest
    whole = decoded(body)
    _metadata_in(whole, holder).pop("managedFields", None)
    return whole


def _metadata_in(value: Object, holder: str) -> Object:
    return as_dict(as_dict(value.get(holder) if holder else value).get("metadata"))


def error_from_response(status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """Returns the error for a response that is not 2xx.

    Args:
        status: HTTP status code; it overrides the one in the body.
        body: a Status object, or any text of a proxy.
        retry_after: value of the ``Retry-After`` header.
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
    """Returns the error for the Status object of an ERROR event."""
    code = status.get("code")
    details = as_dict(status.get("details"))
    seconds = details.get("retryAfterSeconds")
    pause = retry_after_seconds(str(seconds)) if isinstance(seconds, int) else None
    return _error(code if isinstance(code, int) else 500, status, pause)


def warnings_in(header: str) -> list[str]:
    """Returns the texts of a ``Warning`` header, as admission webhooks cause it (RFC 7234)."""
    return [_ESCAPED.sub(r"\1", text) for text in _WARNING.findall(header)]


_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def is_too_large_version(error: ApiError) -> bool:
    """Whether the server has not reached the requested resource version yet."""
    causes = error.details.get("causes")
    if isinstance(causes, list) and any(
        as_dict(cause).get("reason") == "ResourceVersionTooLarge" for cause in causes
    ):
        return True
    return error.status == 504 and "Too large resource version" in error.message


def is_unknown_kind(error: ApiError) -> bool:
    """Whether a 404 means that the server does not serve the kind.

    For a missing object the Status names the object. For a path that is not served it names none,
    or the body is plain text.
    """
    return isinstance(error, NotFound) and not error.details.get("name")


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Returns the pause that ``Retry-After`` requests, at most 60 seconds.

    Args:
        header: seconds or a date (RFC 9110, section 10.2.3). Anything else is ignored.
        now: the time to compare a date with; the present time by default.
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
        if until.tzinfo is None:  # "-0000": UTC
            until = until.replace(tzinfo=UTC)
        seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


class Lines:
    """Splits a stream of bytes into lines. A partial line is kept for the next chunk.

    A partial line at the end of the stream is dropped: half an event must never be used.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._partial = bytearray()

    @property
    def partial(self) -> bytes:
        """The line whose end has not arrived yet."""
        return bytes(self._partial)

    def copy(self) -> Lines:
        """Returns a splitter that has been fed the same."""
        copied = Lines(self._max_bytes)
        copied._partial += self._partial
        return copied

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the lines that end in this chunk, without line ends. Empty lines are skipped.

        Raises:
            Garbled: a line is longer than any event can be.
        """
        lines: list[bytes] = []
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:  # split() looks at each byte
            line = chunk[begin:end]
            if self._partial:
                line = bytes(self._partial + line)
                self._partial.clear()
            lines.append(line)
            begin = end + 1
        self._partial += chunk[begin:]
        if len(self._partial) > self._max_bytes or any(
            len(line) > self._max_bytes for line in lines
        ):
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
        shortened(message, _MAX_MESSAGE_CHARS),
        retry_after_seconds=pause,
        details=as_dict(answer.get("details")),
    )


def _start_of(body: bytes | bytearray) -> str:
    return bytes(body[:200]).decode("utf-8", "replace")
