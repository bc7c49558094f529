"""Whole answers over connections that stay open: as much of HTTP/1.1 as our requests need.

A new ModelBooster costs seven requests. A client for everything spends three to four times as long
on each of them as on the network (docs/benchmarks.md), so here is one for this: one request at a
time on a connection, no redirects, no cookies, no proxy. Framing is httptools' (llhttp, strict).
Watches, and whatever must go through a proxy, are aiohttp's.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

from app.kube.sockets import CONNECT_SECONDS, IDLE_SECONDS, connected


class Answer(NamedTuple):
    """A whole answer.

    Args:
        status: HTTP status code.
        body: all of it.
        headers: by name in lower case.
    """

    status: int
    body: bytes
    headers: dict[str, str]


class Place(NamedTuple):
    """Where a connection leads, and how far it can be trusted.

    Args:
        server: scheme, host and port.
        tls: how to check the server; not used without TLS.
        tls_name: name that the server's certificate must hold, if it is not the host's.
    """

    server: str
    tls: ssl.SSLContext
    tls_name: str | None


class Wire:
    """Connections that are open, and those of them that are free."""

    def __init__(self) -> None:
        self._open: set[_Connection] = set()
        self._free: list[_Connection] = []  # the one that was used last at the end
        self._sweep: asyncio.TimerHandle | None = None
        self._is_quiet = asyncio.Event()

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def ask(self, place: Place, request: bytes) -> Answer:
        """Sends a request and returns the answer.

        Args:
            place: where to.
            request: head and body, as they go out.

        Raises:
            OSError: no answer, or not a whole one. ``SSLCertVerificationError`` is one of these,
                and so is ``TimeoutError``.
        """
        connection = self._taken(place) or await self._opened(place)
        try:
            answer = await connection.ask(request)
        except BaseException as exc:
            connection.abort()
            if isinstance(exc, OSError):  # a caller that cancels says nothing of the others
                self.drop_idle()
            raise
        if connection.is_reusable:
            self._put_back(connection)
        else:
            connection.abort()
        return answer

    def drop_idle(self) -> None:
        """Closes idle connections: what broke or silenced one has mostly befallen them too."""
        while self._free:
            self._free.pop().abort()

    async def close(self) -> None:
        """Breaks all connections, and returns when they are gone."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._is_quiet.clear()
        for connection in [*self._open]:
            connection.abort()
        if self._open:
            await self._is_quiet.wait()

    def _taken(self, place: Place) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.place == place and not connection.is_closing:
                return connection
            connection.abort()  # the authority, our certificate or the server was replaced
        return None

    async def _opened(self, place: Place) -> _Connection:
        loop = asyncio.get_running_loop()
        parts = urlsplit(place.server)
        host, is_safe = parts.hostname or "", parts.scheme == "https"
        sock = await connected(host, parts.port or (443 if is_safe else 80))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, place),
                    sock=sock,
                    ssl=place.tls if is_safe else None,
                    server_hostname=place.tls_name or host if is_safe else None,
                )
        except BaseException:
            sock.close()
            raise
        return connection

    def _put_back(self, connection: _Connection) -> None:
        connection.free_since = time.monotonic()
        self._free.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        """Closes what nobody has used for a while."""
        self._sweep = None
        now = time.monotonic()
        idle = [c for c in self._free if now - c.free_since >= IDLE_SECONDS]
        self._free = [c for c in self._free if c not in idle]
        for connection in idle:
            connection.abort()
        if self._free:
            left = self._free[0].free_since + IDLE_SECONDS - now
            self._sweep = asyncio.get_running_loop().call_later(left, self._close_idle)

    def began(self, connection: _Connection) -> None:
        """Notes a connection that was opened."""
        self._open.add(connection)

    def ended(self, connection: _Connection) -> None:
        """Notes that a connection is gone."""
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if not self._open:
            self._is_quiet.set()


class _Connection(asyncio.Protocol):
    """One connection; httptools calls what begins with ``on_``."""

    def __init__(self, wire: Wire, place: Place) -> None:
        self.place = place
        self.is_reusable = False
        self.free_since = 0.0
        self._wire = wire
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._has_begun = False  # the body of an answer

    async def ask(self, request: bytes) -> Answer:
        self.is_reusable = False
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        try:
            return await answer
        finally:
            self._answer = None

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def abort(self) -> None:
        self._transport.abort()

    def _fail(self, error: OSError) -> None:
        if self._answer is not None and self._is_awaited:
            self._answer.set_exception(error)

    @property
    def _is_awaited(self) -> bool:
        return self._answer is not None and not self._answer.done()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream, it can do all we need
        self._wire.began(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nobody has asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as exc:
            self._fail(ConnectionError(f"an answer that is no HTTP: {exc}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._wire.ended(self)
        if error is None and self._has_begun and not _has_length(self._headers):
            self._complete()  # an answer without a length ends with its connection
        elif isinstance(error, OSError):
            self._fail(error)
        else:
            self._fail(ConnectionResetError("the connection ended before the answer did"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        self.is_reusable = False  # an answer that follows the one that was asked for
        self._headers = {}
        self._pieces = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_begun = self._parser.get_status_code() >= 200

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._has_begun and self._is_awaited:  # 1xx only says that the answer will come
            is_sent = self._transport.get_write_buffer_size() == 0
            self.is_reusable = is_sent and self._parser.should_keep_alive()
            self._complete()

    def _complete(self) -> None:
        self._has_begun = False
        if self._answer is not None and self._is_awaited:
            status = self._parser.get_status_code()
            self._answer.set_result(Answer(status, b"".join(self._pieces), self._headers))


def _has_length(headers: dict[str, str]) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers
