"""HTTP/1.1 connections on which a review costs little.

For each request uvicorn makes a task, an event and some dicts, which together take several times as
long as framing and encryption. Here a request that an endpoint takes is answered as soon as its
last byte is there, and in one piece; any other one (another method or path, HTTP/1.0, one that was
sent before the last was answered) goes to the application, by uvicorn. Framing is httptools'
(llhttp, strict): two lengths, or a length beside chunks, end the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from httptools import HttpParserCallbackError, HttpParserError
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from webhook.connections import Connections
from webhook.endpoint import Endpoint, Exchange, Headers, Reply, read_seconds
from webhook.timed import ANSWER, BODY, HEADER, IDLE, TimedConnection, log

Endpoints = Mapping[bytes, Endpoint]
"""By path."""


class _Unbearable(ValueError):
    """A request breaks a bound of ours."""


class Connection(TimedConnection):
    """One connection.

    Args:
        config: uvicorn's; holds the application.
        state: uvicorn's; shared by all connections of a server.
        all_of_them: the others.
        endpoints: what is answered here.
    """

    def __init__(
        self, config: Config, state: ServerState, all_of_them: Connections, endpoints: Endpoints
    ) -> None:
        super().__init__(config, state, all_of_them)
        self._endpoints = endpoints
        self._header_bytes = 0
        self._exchange: Exchange | None = None
        self._query = b""
        self._fresh = True
        """Whether no request has come to its end in the bytes that are being read."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._lose_exchange()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Cuts it; what its request holds is free at once."""
        self._lose_exchange()
        super().abort()

    def _lose_exchange(self) -> None:
        if self._exchange is not None:
            self._exchange.lost()
            self._exchange = None

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what is unfinished afterwards has a time to be finished in."""
        if self.ended:
            return
        self.idle_since = None
        self._fresh = True
        if self.phase is IDLE:
            self.phase = HEADER
            self._header_bytes = 0
        try:
            self.parser.feed_data(data)
        except HttpParserError as exc:
            if isinstance(exc, HttpParserCallbackError) and not isinstance(
                exc.__context__, _Unbearable
            ):
                log.error("a request could not be read", exc_info=exc.__context__)
            self.send_400_response("Invalid HTTP request received.")
        if self.phase is IDLE:
            self.used = True
            self.idle_since = self.loop.time()
        elif self.phase is HEADER and self._fresh:
            # Of a line that does not end the parser says nothing.
            self._header_bytes += len(data)
            if self._header_bytes > 2 * self.limits.header_bytes:
                self.send_400_response("The header is too long.")
        self.watch()

    def on_message_begin(self) -> None:
        """A request begins, perhaps behind another one."""
        self.url = b""
        self.headers = []
        self.phase = HEADER
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the header, or of the trailer behind chunks."""
        self._count(len(name) + len(value) + len(b": \r\n"))
        self.headers.append((name.lower(), value))
        if len(self.headers) > self.limits.header_fields:
            raise _Unbearable("too many header fields")

    def on_headers_complete(self) -> None:
        """The header is there: whoever answers is told."""
        if self.parser.should_upgrade():
            raise _Unbearable("no other protocol is spoken here")
        if self.ended:
            return
        self.phase = BODY
        path, _, self._query = self.url.partition(b"?")
        endpoint = self._endpoints.get(path)
        if endpoint is None or not self._answers_here():
            self._hand_on()
            return
        headers = dict(self.headers)
        exchange = self._exchange = Exchange(endpoint, self._reply)
        reply = exchange.opened(headers)
        if reply is not None:
            self._reply(reply)
        elif headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._exchange is not None:
            reply = self._exchange.take(body)
            if reply is not None:
                self._reply(reply)
        elif not self.ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there."""
        self._fresh = False
        if self.ended:
            return
        self.phase = ANSWER
        if self._exchange is not None:
            self._reply(self._exchange.answer())
        else:
            super().on_message_complete()

    def body_seconds(self) -> float:
        """Returns how long the body that comes may take."""
        if self._exchange is None:
            return self.limits.body_seconds
        return min(self.limits.body_seconds, read_seconds(self._query))

    def be_late(self) -> None:
        """Ends the connection; a client whose own time was over first is told so."""
        if self._exchange is not None and read_seconds(self._query) <= self.limits.body_seconds:
            self._reply(self._exchange.late())
        else:
            self.abort()

    def _answers_here(self) -> bool:
        """Whether a request with a known path is one that can be answered at once.

        One that was sent before the last was answered is not: whoever sends many at a time is to
        share the processor with others, and to read his answers first.
        """
        return (
            self._fresh
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
        )

    def _hand_on(self) -> None:
        """Gives a request whose header was read to the application."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        if self.all_of_them.draining:
            self.cycle.keep_alive = False

    def _reply(self, reply: Reply) -> None:
        """Sends a reply, in one piece; the connection ends if it is the last one."""
        self._exchange = None
        head, last = _head(reply.status, reply.headers)
        stays = (
            self.phase is ANSWER
            and not last
            and not self.all_of_them.draining
            and self.parser.should_keep_alive()
        )
        if not (stays or last):
            head += b"connection: close\r\n"
        body = reply.body
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        if stays:
            self.phase = IDLE
            return
        if self.phase is BODY:
            # What is still being sent is not worth decrypting.
            self.transport.pause_reading()
        self.end()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.header_bytes:
            raise _Unbearable("too long a header")


@lru_cache(maxsize=64)
def _head(status: int, headers: Headers) -> tuple[bytes, bool]:
    """Returns status line and header lines, and whether they say that nothing will follow."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[status] + lines, (b"connection", b"close") in headers


def connection_factory(
    config: Config, all_of_them: Connections, endpoints: Endpoints
) -> Callable[[], Any]:
    """Returns what makes the protocol of each new connection."""
    state = ServerState()
    return lambda: Connection(config, state, all_of_them, endpoints)
