"""The open connections of a server: limits, eviction and shutdown."""

from __future__ import annotations

import asyncio
from typing import Protocol

from app.values.value import hashable_value

READ_BYTES = 64 * 1024
"""How much is read from a socket before it is parsed. More follows in the next turn of the loop."""


@hashable_value
class Limits:
    """Time limits of one connection in seconds, sizes in bytes, and how many there may be."""

    handshake_seconds: float = 3.0
    header_seconds: float = 5.0
    body_seconds: float = 10.0
    idle_seconds: float = 120.0
    """Between two requests. The API server closes idle connections after 90 s. If the webhook
    closed first, a request sent at that moment would be lost."""
    unused_seconds: float = 6.0
    """From the handshake to the first byte; less than 10 s together with ``closing_seconds``."""
    spare_connections: int = 16
    """Connections without a request yet that have ``idle_seconds`` instead of ``unused_seconds``.
    While an API server opens a connection, another one may get free and carry the request. It keeps
    the new one and uses it later, perhaps while the webhook closes it: that request would be lost.
    """
    closing_seconds: float = 3.0
    """For the client to read the last reply and to close its side."""
    header_bytes: int = 16 * 1024
    header_fields: int = 64
    connections: int = 256
    unproven_bodies: int = 48
    """Bodies read at a time on unproven connections. The remaining places for bodies
    (``webhook.limiter``) are left for other connections."""
    eviction_seconds: float = 1.0
    """When the server is full, a connection that delays a request for this long is evicted."""


class OpenConnection(Protocol):
    """What ``Connections`` reads of one connection."""

    idle_since: float | None
    """Loop time of the last activity; None while a request is read or answered."""
    reading_since: float | None
    """Loop time since when the server waits for the rest of a request; None if it does not."""
    proven: bool
    """Whether a request on this connection was answered."""
    closing: bool
    """Whether the server ignores further input."""

    def shutdown(self) -> None:
        """Closes the connection after the reply that is due."""

    def close(self) -> None:
        """Closes the connection; aborts it if the client does not close its side in time."""

    def abort(self) -> None:
        """Ends the connection immediately."""


class Connections:
    """All open connections of a server.

    Args:
        limits: the limits of each connection.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.buffer = memoryview(bytearray(READ_BYTES))
        """What any connection receives is written here, and parsed at once. Without it, uvloop
        allocates 256 KiB for each read."""
        self.draining = False
        """Whether each reply is the last one on its connection."""
        self._open: set[OpenConnection] = set()
        self._changed = asyncio.Event()
        self._unproven_bodies: dict[OpenConnection, None] = {}  # in the order of arrival

    def add(self, connection: OpenConnection) -> bool:
        """Adds a new connection, and evicts another one if the server is full.

        Returns:
            Whether there was room.
        """
        if len(self._open) >= self.limits.connections and not self._evict_one():
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: OpenConnection) -> None:
        """Removes a connection that was lost."""
        self._open.discard(connection)
        self.finish_body(connection)
        self._changed.set()

    def may_be_spare(self) -> bool:
        """Returns whether all connections without an answered request may be spare ones."""
        unproven = sum(not each.proven and not each.closing for each in self._open)
        return unproven <= self.limits.spare_connections

    def start_unproven_body(self, connection: OpenConnection) -> None:
        """Registers a body on an unproven connection; aborts the oldest if there are too many."""
        self._unproven_bodies[connection] = None
        if len(self._unproven_bodies) > self.limits.unproven_bodies:
            next(iter(self._unproven_bodies)).abort()

    def finish_body(self, connection: OpenConnection) -> None:
        """Removes what ``start_unproven_body`` registered, if anything."""
        self._unproven_bodies.pop(connection, None)

    async def shutdown(self, seconds: float) -> None:
        """Closes all connections after their due replies.

        Args:
            seconds: how long to wait; connections still open then are aborted.
        """
        self.draining = True
        for connection in list(self._open):
            connection.shutdown()
        try:
            async with asyncio.timeout(seconds):
                while self._open:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            for connection in list(self._open):
                connection.abort()

    def _evict_one(self) -> bool:
        """Evicts the connection that delays a request longest, else the one idle longest.

        Unproven connections may not evict idle ones once they hold half of the slots. Otherwise
        clients that send no requests could take the slots of those that do.

        Returns:
            Whether a connection was evicted.
        """
        latest = asyncio.get_running_loop().time() - self.limits.eviction_seconds
        candidates = [other for other in self._open if not other.closing]
        delaying = [
            (since, other)
            for other in candidates
            if (since := _delaying_since(other)) is not None and since <= latest
        ]
        if delaying:
            min(delaying, key=lambda pair: pair[0])[1].abort()
            return True
        unproven = sum(not other.proven for other in self._open)
        idle = [
            (other.idle_since, other)
            for other in candidates
            if other.proven and other.idle_since is not None
        ]
        if not idle or 2 * unproven >= self.limits.connections:
            return False
        min(idle, key=lambda pair: pair[0])[1].close()
        return True


def _delaying_since(connection: OpenConnection) -> float | None:
    """Returns since when the server waits for a request, or for the rest of one; None if not."""
    if connection.reading_since is None and not connection.proven:
        return connection.idle_since
    return connection.reading_since
