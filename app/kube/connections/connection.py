"""One HTTP/1.1 connection to the API server that carries one request at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from httptools import HttpParserError, HttpResponseParser

from app.kube.connections.coalescing import Coalescing

_Result = TypeVar("_Result")


class Headers(Mapping[str, str]):
    """The headers of a response, by name in lower case. Most responses are used without them.

    Args:
        received: names and values, in the order in which they arrived.
    """

    def __init__(self, received: list[tuple[bytes, bytes]]) -> None:
        self._received = received
        self._texts: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return repr(self._decoded())

    def _decoded(self) -> dict[str, str]:
        """Returns the headers; the values of a repeated one are joined, as RFC 9110 says."""
        if self._texts is None:
            self._texts = {}
            for name, value in self._received:
                key, text = name.decode("latin-1").lower(), value.decode("latin-1")
                before = self._texts.get(key)
                self._texts[key] = text if before is None else f"{before}, {text}"
        return self._texts


class Response(NamedTuple):
    """A whole response.

    Args:
        status: HTTP status code.
        body: the whole body.
        headers: by name in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


class Endpoint(NamedTuple):
    """The server to connect to, and how to verify it.

    Args:
        server: scheme, host and port.
        tls: how to verify the server; unused without TLS.
        tls_name: name in the server's certificate, if it is not the host's.
    """

    server: str
    tls: ssl.SSLContext
    tls_name: str | None


class Shared(NamedTuple):
    """What the connections of a pool share.

    Args:
        buffer: what is received is written here, and parsed at once. Without it, uvloop allocates
            256 KiB for each read.
        coalescing: is told when something arrives.
        opened: called when a connection is established, TLS included.
        closed: called when it is gone.
    """

    buffer: memoryview
    coalescing: Coalescing
    opened: Callable[[Connection], None]
    closed: Callable[[Connection], None]


class Connection(asyncio.BufferedProtocol):
    """One connection. The event loop and httptools call the methods in the second half.

    Args:
        endpoint: the server.
        shared: what it shares with the other connections of its pool.
    """

    def __init__(self, endpoint: Endpoint, shared: Shared) -> None:
        self.endpoint = endpoint
        self.is_reusable = False
        """Whether another request may be sent after the response that has arrived."""
        self.idle_since = 0.0
        """When the pool got it back (monotonic, seconds)."""
        self._buffer, self._coalescing, self._opened, self._closed = shared
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._response: asyncio.Future[Response] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._in_body = False

    async def send(self, request: bytes, seconds: float | None = None) -> Response:
        """Sends a request and returns the response.

        Args:
            request: head and body.
            seconds: limit of the request; None for no limit.

        Raises:
            OSError: there is no response, or only a part of it. ``TimeoutError`` is a subclass.
        """
        try:
            return await within(self._begin(request), seconds)
        finally:
            self._response = None

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._transport.abort()

    def _begin(self, request: bytes) -> asyncio.Future[Response]:
        """Sends a request; the result is what will complete with its response."""
        self.is_reusable = False
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._response = response
        self._transport.write(request)
        return response

    def _fail(self, error: OSError) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)

    def _complete(self) -> None:
        self._in_body = False
        if self._response is not None and not self._response.done():
            status = self._parser.get_status_code()
            body = b"".join(self._pieces)
            self._response.set_result(Response(status, body, Headers(self._headers)))

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes the transport."""
        self._transport = transport  # type: ignore[assignment]  # of a stream: asyncio.Transport
        self._opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where to write what the server sends."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parses what the server sent."""
        if self._response is None:  # there is no request
            self.abort()
            return
        self._coalescing.arrived(is_full=nbytes == len(self._buffer))
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except HttpParserError as exc:
            self._fail(ConnectionError(f"an answer that is no HTTP: {exc}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the present request."""
        self._closed(self)
        if exc is None and self._in_body and not _has_length(Headers(self._headers)):
            self._complete()  # a body without a length ends with its connection
        elif isinstance(exc, OSError):
            self._fail(exc)
        else:
            self._fail(ConnectionResetError("the connection ended before the answer did"))

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Begins a response."""
        self.is_reusable = False  # perhaps a second response to the same request
        self._headers = []
        self._pieces = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begins the body; 1xx responses have none."""
        self._in_body = self._parser.get_status_code() >= 200

    def on_body(self, piece: bytes) -> None:
        """Takes a piece of the body."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Ends a response; after a 1xx response the real one follows."""
        if self._in_body and self._response is not None and not self._response.done():
            is_sent = self._transport.get_write_buffer_size() == 0
            self.is_reusable = is_sent and self._parser.should_keep_alive()
            self._complete()


def _has_length(headers: Mapping[str, str]) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


async def within(future: asyncio.Future[_Result], seconds: float | None) -> _Result:
    """Returns the result of a future that nothing else waits for.

    A timer costs a third of ``asyncio.timeout``, which cancels the task and catches that.

    Args:
        future: the future.
        seconds: how long to wait; None for no limit.

    Raises:
        TimeoutError: the time is over. The future then has this error.
    """
    timer = None
    if seconds is not None:
        timer = asyncio.get_running_loop().call_later(seconds, _time_out, future)
    try:
        return await future
    finally:
        if timer is not None:
            timer.cancel()


def _time_out(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
