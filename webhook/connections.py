"""All connections of a server: how many there may be, what holds for each, and how they end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a client may take and how much it may send; seconds and bytes."""

    handshake_seconds: float = 3.0
    header_seconds: float = 5.0
    body_seconds: float = 10.0
    idle_seconds: float = 120.0
    """The API server keeps idle connections for 90 s; whoever closes first may lose a request."""
    closing_seconds: float = 3.0
    """For the answer to be read, and for the client to take note of the end."""
    header_bytes: int = 16 * 1024
    header_fields: int = 64
    connections: int = 256


class OneOfMany(Protocol):
    """What all of them need to know of one connection."""

    idle_since: float | None
    """Loop time since when nothing is under way; None while something is."""

    def shutdown(self) -> None:
        """Ends it, after the answer that is under way."""

    def end(self) -> None:
        """Closes it, and does not wait for a client that takes no note of it."""

    def abort(self) -> None:
        """Cuts it."""


class Connections:
    """All connections of a server.

    Args:
        limits: what holds for each of them.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        """Whether each answer is the last one on its connection."""
        self.open: set[OneOfMany] = set()
        self._changed = asyncio.Event()

    def entered(self, connection: OneOfMany) -> bool:
        """Takes in a connection, in place of the one that has been idle longest if need be.

        Returns:
            Whether there is room.
        """
        if len(self.open) >= self.limits.connections:
            idle = [other for other in self.open if other.idle_since is not None]
            if not idle:
                return False
            min(idle, key=lambda other: other.idle_since or 0.0).end()
        self.open.add(connection)
        return True

    def left(self, connection: OneOfMany) -> None:
        """Notes that a connection is gone."""
        self.open.discard(connection)
        self._changed.set()

    async def finish(self, seconds: float) -> None:
        """Closes what is idle, waits for answers under way, then cuts what is left."""
        self.draining = True
        for connection in list(self.open):
            connection.shutdown()
        try:
            async with asyncio.timeout(seconds):
                while self.open:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            for connection in list(self.open):
                connection.abort()
