"""A request to the API server, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

REQUEST_SECONDS = 10.0
"""Limit of everything but lists and watches."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """One request, as it goes out.

    Args:
        method: HTTP method.
        path: path below the server's address, already quoted.
        query: parameters; those with an empty value are left out.
        body: bytes to send, None for none.
        headers: on top of those that every request has.
        seconds: limit of the whole exchange.
        silence_seconds: limit of the time between two pieces of a stream.
        is_urgent: goes out at once, whatever the rate of all others is limited to.
    """

    method: str
    path: str
    query: Mapping[str, str] = _NOTHING
    body: bytes | None = None
    headers: Mapping[str, str] = _NOTHING
    seconds: float = REQUEST_SECONDS
    silence_seconds: float | None = None
    is_urgent: bool = False


def written(request: Request, server: str, headers: Mapping[str, str]) -> bytes:
    """Returns a request as HTTP/1.1 has it, head and body.

    Args:
        request: what is asked.
        server: scheme, host, port, and perhaps the path below which the API stands.
        headers: all of them, but for the two that follow from the rest.

    Raises:
        ValueError: a header has more than one line, which would make several of it.
    """
    parts = urlsplit(server)
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if fields.count("\r") != len(headers) or fields.count("\n") != len(headers):
        raise ValueError("a header with a line break in it")
    length = "" if request.body is None else f"Content-Length: {len(request.body)}\r\n"
    head = (
        f"{request.method} {parts.path}{request.path}{query_of(request)} HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\n{fields}{length}\r\n"
    )
    return head.encode() + (request.body or b"")


def query_of(request: Request) -> str:
    """Returns the query of a request with its question mark; ``""`` if there is none."""
    return _encoded(tuple(request.query.items()))


@lru_cache(maxsize=256)  # every write of a kind has the same, and encoding it costs as much as TLS
def _encoded(parameters: tuple[tuple[str, str], ...]) -> str:
    given = [(name, value) for name, value in parameters if value]
    return "?" + urlencode(given) if given else ""
