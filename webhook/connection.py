"""HTTP/1.1 connections that cannot be held open by saying nothing.

uvicorn's protocol has a timer for idle connections only: a client that sends half a header or half
a body would be waited for without end, and would also delay the end of the process. This one gives
every phase of a request a time, bounds what a header may be and how many connections there are, and
can be told to finish. Framing is httptools' (llhttp, strict): two lengths, or a length beside
chunks, end the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from webhook.connections import Connections

# Malformed requests are the sender's affair; one line for each would be theirs to multiply.
_log = logging.getLogger("webhook.http")
_log.setLevel(logging.ERROR)


class _Phase(Enum):
    IDLE = auto()
    HEADER = auto()
    BODY = auto()
    ANSWER = auto()


class Connection(HttpToolsProtocol):
    """One connection.

    Args:
        config: uvicorn's; holds the application.
        state: uvicorn's; shared by all connections of a server.
        all_of_them: the others.
    """

    def __init__(self, config: Config, state: ServerState, all_of_them: Connections) -> None:
        super().__init__(config, state, {})
        self.logger = _log
        self._all = all_of_them
        self._limits = all_of_them.limits
        self._phase = _Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._timed_phase = _Phase.IDLE
        self._header_bytes = 0
        self.idle_since: float | None = None
        """Loop time since when nothing is under way; None while something is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there, its handshake done."""
        super().connection_made(cast(asyncio.Transport, transport))
        if not self._all.entered(self):
            self.transport.abort()
            return
        # As if it had carried a request: the API server opens some in advance, and a request that
        # meets a closing connection may be lost.
        self.idle_since = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(
            self._limits.idle_seconds, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._unwatch()
        self._unset_keepalive_if_required()
        self._all.left(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what is unfinished afterwards has a time to be finished in."""
        self.idle_since = None
        if self._phase is _Phase.IDLE:
            self._phase = _Phase.HEADER
            self._header_bytes = 0
        super().data_received(data)
        if self._phase is _Phase.HEADER:
            # Of a line that does not end the parser says nothing.
            self._header_bytes += len(data)
            if self._header_bytes > 2 * self._limits.header_bytes and not self._is_closing():
                self.send_400_response("The header is too long.")
        self._watch()

    def on_message_begin(self) -> None:
        """A request begins, perhaps behind another one."""
        super().on_message_begin()
        self._phase = _Phase.HEADER
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the header, or of the trailer behind chunks."""
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)
        if len(self.headers) > self._limits.header_fields:
            raise ValueError("too many header fields")

    def on_headers_complete(self) -> None:
        """The header is there: the application starts."""
        if self.parser.should_upgrade():
            raise ValueError("no other protocol is spoken here")
        self._phase = _Phase.BODY
        super().on_headers_complete()
        if self._all.draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The body is there."""
        self._phase = _Phase.ANSWER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written."""
        super().on_response_complete()
        if self._phase is not _Phase.ANSWER or self._is_closing():
            # An answer before the end of the question: nobody will read the rest.
            self.end()
        elif not self.pipeline:
            self._phase = _Phase.IDLE
            self.idle_since = self.loop.time()

    def shutdown(self) -> None:
        """Ends the connection, after the answer that is under way."""
        if self._phase is _Phase.ANSWER:
            self.cycle.keep_alive = False
        else:
            self.end()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a long time."""
        self.end()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed, and ends the connection."""
        super().send_400_response(msg)
        self.end()

    def end(self) -> None:
        """Closes, and does not wait for a client that takes no note of it."""
        self._unwatch()
        if not self._is_closing():
            self.transport.close()
        self.loop.call_later(self._limits.closing_seconds, self.abort)

    def abort(self) -> None:
        """Cuts it."""
        self.transport.abort()

    def _is_closing(self) -> bool:
        return bool(self.transport.is_closing())

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.header_bytes:
            raise ValueError("too long a header")

    def _watch(self) -> None:
        """Gives the phase that has just begun its time; one that goes on keeps its timer."""
        if self._phase is self._timed_phase and self._timer is not None:
            return
        self._unwatch()
        seconds = {
            _Phase.HEADER: self._limits.header_seconds,
            _Phase.BODY: self._limits.body_seconds,
        }.get(self._phase)
        if seconds is not None and not self._is_closing():
            self._timed_phase = self._phase
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connection_factory(config: Config, all_of_them: Connections) -> Callable[[], Any]:
    """Returns what makes the protocol of each new connection."""
    state = ServerState()
    return lambda: Connection(config, state, all_of_them)
