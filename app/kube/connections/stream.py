"""A connection whose response can be read in pieces, with flow control."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Protocol

from app.kube.connections.connection import (
    Connection,
    Endpoint,
    Headers,
    Response,
    Shared,
    within,
)

READ_AHEAD_BYTES = 1 << 20
"""No more is read from the socket while this much waits for its reader."""


class Opened(Protocol):
    """A response whose head has arrived. ``close`` must be called in the end."""

    @property
    def status(self) -> int:
        """HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case."""

    async def read(self, seconds: float | None = None) -> bytes:
        """Returns what has arrived of the body since the last call; ``b""`` at its end.

        Args:
            seconds: how long to wait until something arrives; None for no limit.

        Raises:
            OSError: the connection broke; ``TimeoutError`` if nothing arrived in time.
        """

    def close(self) -> None:
        """Ends the response. If all of it was read, its connection may serve another request."""


async def read_within(response: Opened, until: float, silence_seconds: float | None) -> bytes:
    """Reads from a response, within time limits.

    Args:
        response: the response.
        until: when its body must have ended (monotonic, seconds).
        silence_seconds: how long nothing may arrive; None for no limit.

    Raises:
        OSError: the connection broke; ``TimeoutError`` if a limit was exceeded.
    """
    left = until - time.monotonic()
    if left <= 0:  # a reader that never has to wait would never notice
        raise TimeoutError
    return await response.read(left if silence_seconds is None else min(left, silence_seconds))


async def whole_of(response: Opened) -> Response:
    """Returns a response with its whole body, without a time limit, and closes it."""
    pieces = []
    with closing(response):
        while piece := await response.read():
            pieces.append(piece)
    return Response(response.status, b"".join(pieces), response.headers)


class StreamConnection(Connection):
    """A connection for requests of both kinds: ``send`` as in the base class, or ``open``."""

    def __init__(self, endpoint: Endpoint, shared: Shared) -> None:
        super().__init__(endpoint, shared)
        self._is_streaming = False
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._is_paused = False
        self._error: OSError | None = None
        self._arrival: asyncio.Future[None] | None = None

    async def open(self, request: bytes) -> Response:
        """Sends a request and returns the head of the response; ``read`` returns the body.

        Args:
            request: head and body.

        Raises:
            OSError: there is no response.
        """
        self._is_streaming, self._error = True, None
        return await self._begin(request)

    async def read(self, seconds: float | None = None) -> bytes:
        """Returns what has arrived of the body since the last call; ``b""`` at its end.

        Args:
            seconds: how long to wait until something arrives; None for no limit.

        Raises:
            OSError: the connection broke before the body ended, or nothing arrived in time.
        """
        while not self._unread:
            if self._error is not None:
                raise self._error
            if not self._is_streaming:
                return b""
            self._arrival = asyncio.get_running_loop().create_future()
            await within(self._arrival, seconds)
        return self.read_arrived()

    @property
    def is_paused(self) -> bool:
        """Whether so much has arrived that more may wait in the socket."""
        return self._is_paused

    def arrived(self) -> bytes:
        """Returns what the next ``read`` would return without waiting, and leaves it there."""
        if len(self._unread) > 1:
            self._unread = [b"".join(self._unread)]
        return self._unread[0] if self._unread else b""

    def read_arrived(self) -> bytes:
        """Returns what has arrived of the body since the last call, without waiting."""
        data = self.arrived()
        self._unread.clear()
        self._unread_bytes = 0
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    @property
    def has_unread(self) -> bool:
        """Whether something of a body waits for its reader."""
        return bool(self._unread)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _fail(self, error: OSError) -> None:
        super()._fail(error)
        if self._is_streaming and self._error is None:
            self._error = error
            self._wake()

    def _complete(self) -> None:
        if not self._is_streaming:
            super()._complete()
            return
        self._in_body = self._is_streaming = False
        self._response = None
        self._wake()

    # Called by httptools.

    def on_headers_complete(self) -> None:
        """Gives out the head."""
        super().on_headers_complete()
        if self._is_streaming and self._in_body and self._response and not self._response.done():
            status = self._parser.get_status_code()
            self._response.set_result(Response(status, b"", Headers(self._headers)))

    def on_body(self, piece: bytes) -> None:
        """Takes a piece of the body, and pauses the server if there are many."""
        if not self._is_streaming:
            super().on_body(piece)
            return
        self._unread.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > READ_AHEAD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Ends a response; after a 1xx response the real one follows."""
        if not self._is_streaming:
            super().on_message_complete()
        elif self._in_body:
            self.is_reusable = self._parser.should_keep_alive()
            self._complete()
