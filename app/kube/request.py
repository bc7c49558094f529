"""A request to the API server, and its HTTP/1.1 form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

REQUEST_SECONDS = 10.0
"""Limit of all requests except lists and watches."""

LIST_SECONDS = 60.0
"""Limit of a list, for large clusters. Ten seconds without data end it earlier."""

_EMPTY: Mapping[str, str] = MappingProxyType({})

Guard = Callable[[], float | None]
"""Returns how many seconds a write may take, None for no limit.

Raises LeadershipLost if nothing may be written.
"""

Observe = Callable[[str, str, str, float], None]
"""Takes every response: method, host, status code or ``<error>``, seconds."""


class Request(NamedTuple):
    """One request.

    Args:
        method: HTTP method.
        path: path below the server's address, URL-encoded.
        query: parameters. Those with an empty value are left out.
        body: bytes to send; None for none.
        headers: in addition to those of every request.
        seconds: limit of the whole request.
        silence_seconds: limit of the time between two pieces of the response.
        is_urgent: whether it is exempt from the rate limit.
    """

    method: str
    path: str
    query: Mapping[str, str] = _EMPTY
    body: bytes | None = None
    headers: Mapping[str, str] = _EMPTY
    seconds: float = REQUEST_SECONDS
    silence_seconds: float | None = None
    is_urgent: bool = False


def serialize(request: Request, server: str, headers: Mapping[str, str]) -> bytes:
    """Returns a request in its HTTP/1.1 form, head and body.

    Args:
        request: the request.
        server: scheme, host, port, and the path prefix of the API if there is one.
        headers: all headers except ``Host`` and ``Content-Length``.

    Raises:
        ValueError: a header contains a line break, which would add another header.
    """
    prefix, fields = _fixed(server, tuple(headers.items()))
    length = "" if request.body is None else f"Content-Length: {len(request.body)}\r\n"
    head = (
        f"{request.method} {prefix}{request.path}{query_of(request)} HTTP/1.1\r\n"
        f"{fields}{length}\r\n"
    )
    return head.encode() + (request.body or b"")


@lru_cache(maxsize=16)  # most requests have one of four sets of headers
def _fixed(server: str, headers: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Returns the prefix of every path of a server, and the lines of its headers."""
    parts = urlsplit(server)
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if fields.count("\r") != len(headers) or fields.count("\n") != len(headers):
        raise ValueError("a header with a line break in it")
    return parts.path, f"Host: {parts.netloc}\r\n{fields}"


def query_of(request: Request) -> str:
    """Returns the query of a request with its question mark; ``""`` if there is none."""
    return _encoded(tuple(request.query.items()))


@lru_cache(maxsize=256)  # every write of a kind has the same, and encoding it costs as much as TLS
def _encoded(parameters: tuple[tuple[str, str], ...]) -> str:
    given = [(name, value) for name, value in parameters if value]
    return "?" + urlencode(given) if given else ""
