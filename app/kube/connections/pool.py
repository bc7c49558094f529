"""A pool of connections: as much of HTTP/1.1 as requests to an API server need.

A new ModelBooster costs seven requests. A general HTTP client spends three to four times as long on
each of them as on the network (docs/benchmarks.md). This one sends one request at a time on each
connection, without redirects, cookies or proxies. httptools parses the responses (llhttp, strict).
Lists, watches and logs are read in pieces, over the same connections. Requests through a proxy use
aiohttp.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from app.kube.connections.coalescing import Coalescing
from app.kube.connections.connection import Connection, Endpoint, Response, Shared
from app.kube.connections.sockets import HANDSHAKE_SECONDS, IDLE_SECONDS, connect_socket
from app.kube.connections.stream import StreamConnection

READ_BYTES = 64 << 10
"""How much is read from a socket before it is parsed. More follows in the next turn of the loop."""


class ConnectionPool:
    """Open connections, in use or idle.

    Args:
        coalescing: shared by all connections.
    """

    def __init__(self, coalescing: Coalescing | None = None) -> None:
        self._open: set[Connection] = set()
        self._idle: list[StreamConnection] = []  # the last one used at the end
        self._sweep: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()
        self._coalescing = coalescing or Coalescing()
        buffer = memoryview(bytearray(READ_BYTES))
        self._shared = Shared(buffer, self._coalescing, self._open.add, self._note_closed)

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def send(
        self, endpoint: Endpoint, request: bytes, seconds: float | None = None
    ) -> Response:
        """Sends a request and returns the response.

        Args:
            endpoint: the server.
            request: head and body.
            seconds: limit of the whole request, with a new connection; None for no limit.

        Raises:
            OSError: there is no response, or only a part of it. ``SSLCertVerificationError`` and
                ``TimeoutError`` are subclasses.
        """
        connection = self._take_idle(endpoint)
        if connection is None:
            began = time.monotonic()
            async with asyncio.timeout(seconds):
                connection = await self._connect(endpoint)
            if seconds is not None:
                seconds = max(0.0, seconds - (time.monotonic() - began))
        sent = self._coalescing.sent()
        try:
            response = await connection.send(request, seconds)
        except BaseException as exc:
            self._drop(connection, exc)
            raise
        finally:
            self._coalescing.answered(sent)
        self._release(connection)
        return response

    async def open(self, endpoint: Endpoint, request: bytes) -> PooledResponse:
        """Sends a request that may be repeated; returns the response when its head has arrived.

        Args:
            endpoint: the server.
            request: head and body.

        Raises:
            OSError: there is no response.
        """
        idle = self._take_idle(endpoint)
        if idle is not None:
            with suppress(ConnectionError):  # the server may just have closed it, as unused
                return await self._opened(idle, request)
        return await self._opened(await self._connect(endpoint), request)

    async def _opened(self, connection: StreamConnection, request: bytes) -> PooledResponse:
        try:
            head = await connection.open(request)
        except BaseException as exc:
            self._drop(connection, exc)
            raise
        return PooledResponse(head, connection, self._release)

    def _drop(self, connection: StreamConnection, error: BaseException) -> None:
        connection.abort()
        if isinstance(error, OSError):  # a cancellation says nothing about other connections
            self.drop_idle()

    def _release(self, connection: StreamConnection) -> None:
        if connection.is_reusable and not connection.has_unread:
            self._put_back(connection)
        else:
            connection.abort()

    def drop_idle(self) -> None:
        """Closes idle connections: when one fails, the others mostly have failed too."""
        while self._idle:
            self._idle.pop().abort()

    async def close(self) -> None:
        """Aborts all connections, and returns when they are closed."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._all_closed.clear()
        for connection in [*self._open]:
            connection.abort()
        if self._open:
            await self._all_closed.wait()

    def _take_idle(self, endpoint: Endpoint) -> StreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.endpoint == endpoint and not connection.is_closing:
                return connection
            connection.abort()  # the server, its authority or our certificate was replaced
        return None

    async def _connect(self, endpoint: Endpoint) -> StreamConnection:
        loop = asyncio.get_running_loop()
        parts = urlsplit(endpoint.server)
        host, has_tls = parts.hostname or "", parts.scheme == "https"
        sock = await connect_socket(host, parts.port or (443 if has_tls else 80))
        is_taken = False

        def protocol() -> StreamConnection:
            nonlocal is_taken
            is_taken = True
            return StreamConnection(endpoint, self._shared)

        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                _, connection = await loop.create_connection(
                    protocol,
                    sock=sock,
                    ssl=endpoint.tls if has_tls else None,
                    server_hostname=endpoint.tls_name or host if has_tls else None,
                )
        except BaseException:
            # Once taken, the loop closes it. A TLS connection is shut down first, and meanwhile the
            # next socket must not get its number.
            if not is_taken:
                sock.close()
            raise
        return connection

    def _put_back(self, connection: StreamConnection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        """Closes connections that have not been used for ``IDLE_SECONDS``."""
        self._sweep = None
        now = time.monotonic()
        expired = [c for c in self._idle if now - c.idle_since >= IDLE_SECONDS]
        self._idle = [c for c in self._idle if c not in expired]
        for connection in expired:
            connection.abort()
        if self._idle:
            left = self._idle[0].idle_since + IDLE_SECONDS - now
            self._sweep = asyncio.get_running_loop().call_later(left, self._close_idle)

    def _note_closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._open:
            self._all_closed.set()


class PooledResponse:
    """A response whose head has arrived (``app.kube.connections.stream.Opened``).

    Args:
        head: its head.
        connection: the connection that its body arrives on.
        release: takes the connection back.
    """

    def __init__(
        self,
        head: Response,
        connection: StreamConnection,
        release: Callable[[StreamConnection], None],
    ) -> None:
        self._connection = connection
        self._release = release
        self._is_closed = False
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers

    async def read(self, seconds: float | None = None) -> bytes:
        """Returns what has arrived of the body since the last call; ``b""`` at its end."""
        return await self._connection.read(seconds)

    @property
    def is_paused(self) -> bool:
        """Whether so much has arrived that more may wait in the socket."""
        return not self._is_closed and self._connection.is_paused

    def arrived(self) -> bytes:
        """Returns what the next ``read`` would return without waiting, and leaves it there."""
        return b"" if self._is_closed else self._connection.arrived()

    def read_arrived(self) -> bytes:
        """Returns what has arrived of the body since the last call, without waiting."""
        return b"" if self._is_closed else self._connection.read_arrived()

    def close(self) -> None:
        """Ends the response. If all of it was read, its connection may serve another request."""
        if not self._is_closed:  # else another request may have the connection by now
            self._is_closed = True
            self._release(self._connection)
