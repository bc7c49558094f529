"""HTTP replies as the server writes them."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]
"""Header names in lower case, and their values."""

PLAIN_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)


class Reply(NamedTuple):
    """One HTTP reply.

    Args:
        status: HTTP status code.
        headers: all headers except ``content-length``.
        body: the whole body.
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def closes_connection(self) -> bool:
        """Whether the reply announces the end of the connection."""
        return (b"connection", b"close") in self.headers

    def encode(self, *, close: bool, head_only: bool) -> bytes:
        """Returns the reply as HTTP/1.1.

        Args:
            close: whether to announce the end of the connection.
            head_only: whether to omit the body, for HEAD requests.
        """
        headers = self.headers
        if close and not self.closes_connection:
            headers = (*headers, (b"connection", b"close"))
        body = b"" if head_only else self.body
        head = _encode_head(self.status, headers)
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(self.body), body)


@lru_cache(maxsize=64)
def _encode_head(status: int, headers: Headers) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return f"HTTP/1.1 {status} {phrase}\r\n".encode() + lines


class Refusal(Exception):
    """A request is refused with a status code and a short text.

    Args:
        status: HTTP status code.
        text: why. It repeats nothing of the request.
        headers: further headers of the reply; ``_`` in a name becomes ``-``.
    """

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers: Headers = tuple(
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        )

    def reply(self) -> Reply:
        """Returns the refusal as a reply."""
        return Reply(self.status, PLAIN_TEXT + self.headers, f"{self}\n".encode())


def overloaded(text: str) -> Refusal:
    """Returns the refusal of a request for which the server has no room now.

    The API server retries after ``Retry-After`` seconds, within the timeout of the webhook.

    Args:
        text: what the server has too much of.
    """
    return Refusal(503, text, retry_after="1", connection="close")


TOO_MANY_REQUESTS = "too many requests at a time"
TOO_MANY_BYTES = "the bodies of all requests together are too large"

BAD_REQUEST = Reply(
    400, (*PLAIN_TEXT, (b"connection", b"close")), b"Invalid HTTP request received."
)
HEADER_TOO_LONG = Reply(400, (*PLAIN_TEXT, (b"connection", b"close")), b"The header is too long.")
SERVER_ERROR = Reply(500, (*PLAIN_TEXT, (b"connection", b"close")), b"Internal Server Error")
