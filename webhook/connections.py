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
    unused_seconds: float = 6.0
    """For the first byte after the handshake. With the time for closing it is less than 10 s. The
    API server sometimes opens a connection in reserve; it opens another one when it needs it."""
    closing_seconds: float = 3.0
    """For the answer to be read, and for the client to take note of the end."""
    header_bytes: int = 16 * 1024
    header_fields: int = 64
    connections: int = 256
    strange_bodies: int = 48
    """Strangers that may be in the middle of a body at a time; of the places that there are for
    bodies (``webhook.traffic``) some are left for others."""
    patience_seconds: float = 1.0
    """How long a request may take to come, or to come whole, where others wait for the place."""


class OneOfMany(Protocol):
    """What all of them need to know of one connection."""

    idle_since: float | None
    """Loop time since when nothing is under way; None while something is."""
    reading_since: float | None
    """Loop time since when the rest of a header or body is waited for; None if it is not."""
    used: bool
    """Whether it has carried a request to its end."""
    ended: bool
    """Whether nothing that comes is looked at any more."""

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
        self._strange_bodies: dict[OneOfMany, None] = {}  # in the order in which they came

    def begins_body(self, stranger: OneOfMany) -> None:
        """Notes that a stranger is in the middle of a body; of too many the first goes."""
        self._strange_bodies[stranger] = None
        if len(self._strange_bodies) > self.limits.strange_bodies:
            next(iter(self._strange_bodies)).abort()

    def ends_body(self, connection: OneOfMany) -> None:
        """Notes that nobody waits for the rest of a body any more."""
        self._strange_bodies.pop(connection, None)

    def entered(self, connection: OneOfMany) -> bool:
        """Takes in a connection, in place of another if need be.

        Returns:
            Whether there is room.
        """
        if len(self.open) >= self.limits.connections and not self._has_made_room():
            return False
        self.open.add(connection)
        return True

    def _has_made_room(self) -> bool:
        """Ends whoever keeps us waiting longest, else who has been idle longest, if any.

        Whoever asks for nothing could else take the places of those who do: so strangers, of whom
        no request has come yet, drive out no others once every second place is theirs.
        """
        patience = asyncio.get_running_loop().time() - self.limits.patience_seconds
        there = [other for other in self.open if not other.ended]
        waited_for = [
            (since, other)
            for other in there
            if (since := _waited_for_since(other)) is not None and since <= patience
        ]
        if waited_for:
            min(waited_for, key=lambda pair: pair[0])[1].abort()
            return True
        strangers = sum(not other.used for other in self.open)
        idle = [
            (other.idle_since, other)
            for other in there
            if other.used and other.idle_since is not None
        ]
        if not idle or 2 * strangers >= self.limits.connections:
            return False
        min(idle, key=lambda pair: pair[0])[1].end()
        return True

    def left(self, connection: OneOfMany) -> None:
        """Notes that a connection is gone."""
        self.open.discard(connection)
        self.ends_body(connection)
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


def _waited_for_since(other: OneOfMany) -> float | None:
    """Returns since when a request is waited for that should come, or come whole."""
    return (
        other.idle_since if not other.used and other.reading_since is None else other.reading_since
    )
