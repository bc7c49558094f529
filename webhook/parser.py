"""Parses HTTP/1.1 requests, with bounds on their headers.

httptools (llhttp) parses strictly: it rejects conflicting lengths, and a length next to chunks.
"""

from __future__ import annotations

import logging
import urllib.parse
from typing import Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidURLError,
    HttpRequestParser,
    parse_url,
)

from webhook.connections import Limits
from webhook.managed import Reading
from webhook.reply import BAD_REQUEST, HEADER_TOO_LONG, Reply
from webhook.request import Message

log = logging.getLogger("webhook.http")
# Malformed requests are not logged: a client could fill the log with them.
log.setLevel(logging.ERROR)


class _BadRequest(ValueError):
    """A request breaks a bound on the header, or asks for another protocol."""


class Listener(Protocol):
    """Gets what the parser reads."""

    def on_header(self, scope: Message, keep_alive: bool) -> None:
        """Starts a request.

        Args:
            scope: ASGI scope of the request.
            keep_alive: whether the client allows another request on the connection.
        """

    def on_body(self, piece: bytes) -> None:
        """Adds a piece of the body."""

    def on_end(self) -> None:
        """Ends the body."""


class RequestParser:
    """Parses the requests of one connection.

    Args:
        listener: gets the requests.
        limits: bounds on the header.
        scheme: ``http`` or ``https``.
    """

    def __init__(self, listener: Listener, limits: Limits, scheme: str) -> None:
        self._listener = listener
        self._limits = limits
        self._scheme = scheme
        self._parser = HttpRequestParser(self)
        self.reading = Reading.NOTHING
        """What the data read so far ends in."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._ended_request = False

    def feed(self, data: memoryview) -> Reply | None:
        """Parses data and calls the listener.

        Returns:
            The reply to data that cannot be parsed, after which no more may be fed; else None.
        """
        self._ended_request = False
        if self.reading is Reading.NOTHING:
            self.reading = Reading.HEADER
            self._header_bytes = 0
        try:
            self._parser.feed_data(data)
        except HttpParserError as exc:
            cause = exc.__context__
            if isinstance(exc, HttpParserCallbackError) and not isinstance(cause, _BadRequest):
                log.error("request could not be read", exc_info=cause)
            return BAD_REQUEST
        if self.reading is Reading.HEADER and not self._ended_request:
            # httptools does not report a line before its end.
            self._header_bytes += len(data)
            if self._header_bytes > 2 * self._limits.header_bytes:
                return HEADER_TOO_LONG
        return None

    def close(self) -> None:
        """Releases httptools' parser, which refers to this object."""
        del self._parser

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """Starts the header of a request."""
        self._target = b""
        self._headers = []
        self._header_bytes = 0
        self.reading = Reading.HEADER

    def on_url(self, part: bytes) -> None:
        """Reads a part of the request target."""
        self._count_header_bytes(len(part))
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Reads a header field, or a field of the trailer after chunks."""
        self._count_header_bytes(len(name) + len(value) + len(b": \r\n"))
        self._headers.append((name.lower(), value))
        if len(self._headers) > self._limits.header_fields:
            raise _BadRequest("too many header fields")

    def on_headers_complete(self) -> None:
        """Ends the header."""
        if self._parser.should_upgrade():
            raise _BadRequest("no other protocol is supported")
        self.reading = Reading.BODY
        raw_path, query = self._split_target()
        version = self._parser.get_http_version()
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._parser.get_method().decode(),
            "scheme": self._scheme,
            "path": urllib.parse.unquote(raw_path.decode())
            if b"%" in raw_path
            else raw_path.decode(),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "client": None,
            "server": None,
        }
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        self._listener.on_header(scope, keep_alive)

    def on_body(self, piece: bytes) -> None:
        """Reads a piece of the body."""
        self._listener.on_body(piece)

    def on_message_complete(self) -> None:
        """Ends the body."""
        self._ended_request = True
        self.reading = Reading.NOTHING
        self._listener.on_end()

    def _count_header_bytes(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.header_bytes:
            raise _BadRequest("the header is too long")

    def _split_target(self) -> tuple[bytes, bytes]:
        """Returns path and query of the request target."""
        target = self._target
        if not target.isascii():
            raise _BadRequest("the request target is not ASCII")
        if target.startswith(b"/"):
            path, _, query = target.partition(b"?")
            return path, query
        # Absolute form: https://host/path.
        try:
            url = parse_url(target)
        except HttpParserInvalidURLError as exc:
            raise _BadRequest("the request target is invalid") from exc
        return url.path or b"", url.query or b""
