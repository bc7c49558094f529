"""A connection with time limits, which ``Connections`` can evict and close."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from enum import Enum, auto
from typing import cast

from webhook.connections import Connections


class Reading(Enum):
    """What the server reads from a connection."""

    NOTHING = auto()
    HEADER = auto()
    BODY = auto()


class ManagedConnection(asyncio.BufferedProtocol):
    """The state of one connection that does not depend on its requests.

    Args:
        connections: all connections of the server.
    """

    def __init__(self, connections: Connections) -> None:
        self.idle_since: float | None = None
        """Loop time of the last activity; None while a request is read or answered."""
        self.reading_since: float | None = None
        """Loop time since when the server waits for the rest of a request; None if it does not."""
        self.proven = False
        """Whether a request on this connection was answered."""
        self.closing = False
        """Whether the server ignores further input."""
        self.connections = connections
        self.limits = connections.limits
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self._reading_paused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of = Reading.NOTHING
        # One timer for all requests: setting one for each costs more than reading the clock.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closing_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the connection after its TLS handshake, or aborts it if there is no room."""
        self.transport = cast(asyncio.Transport, transport)
        if not self.connections.add(self):
            self.abort()
            return
        self.idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(self.limits.unused_seconds, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Releases everything that the connection holds."""
        self.closing = True
        self._cancel_deadline()
        for timer in (self._idle_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()
        self.abandon_requests()
        self.connections.remove(self)

    @abstractmethod
    def abandon_requests(self) -> None:
        """Drops all requests and releases their bodies."""

    @abstractmethod
    def shutdown(self) -> None:
        """Closes the connection after the reply that is due."""

    def close(self) -> None:
        """Closes the connection; aborts it if the client does not close its side in time."""
        self.closing = True
        self._cancel_deadline()
        if self._closing_timer is None:
            self.transport.close()
            self._closing_timer = self.loop.call_later(self.limits.closing_seconds, self.abort)

    def abort(self) -> None:
        """Ends the connection immediately."""
        self.closing = True
        self._cancel_deadline()
        self.abandon_requests()
        self.transport.abort()

    def pause_reading(self) -> None:
        """Leaves further input in the buffers of the kernel."""
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads further input, unless the connection ignores it."""
        if self._reading_paused and not self.closing:
            self._reading_paused = False
            self.transport.resume_reading()

    def stop_reading(self) -> None:
        """Ignores further input; decrypting it would be wasted."""
        self.closing = True
        self.pause_reading()

    def set_deadline(self, reading: Reading) -> None:
        """Limits the time for the rest of a header or body; further data does not extend it.

        Args:
            reading: what the rest is of; NOTHING removes the limit.
        """
        if self._deadline is not None:
            if reading is self._deadline_of and not self.closing:
                return
            self._cancel_deadline()
        if self.closing or reading is Reading.NOTHING:
            return
        self._deadline_of = reading
        self.reading_since = self.loop.time()
        is_body = reading is Reading.BODY
        seconds = self.body_seconds() if is_body else self.limits.header_seconds
        self._deadline = self.loop.call_later(seconds, self.on_deadline)
        if is_body and not self.proven:
            self.connections.start_unproven_body(self)

    def restart_deadline(self) -> None:
        """Starts the time for the rest of a header or body again, if there is a deadline."""
        if self._deadline is not None:
            reading = self._deadline_of
            self._cancel_deadline()
            self.set_deadline(reading)

    @abstractmethod
    def body_seconds(self) -> float:
        """Returns how long the body that is read may take."""

    @abstractmethod
    def on_deadline(self) -> None:
        """Ends the connection because a header or body did not arrive in time."""

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self.reading_since = None
            self.connections.finish_body(self)

    def _check_idle(self) -> None:
        """Closes a connection that was idle too long; one of many unproven ones gets less time."""
        now = self.loop.time()
        since = now if self.idle_since is None else self.idle_since
        is_kept = self.proven or self.connections.may_be_spare()
        limit = self.limits.idle_seconds if is_kept else self.limits.unused_seconds
        left = since + limit - now
        if left <= 0:
            self.close()
        else:
            self._idle_timer = self.loop.call_later(left, self._check_idle)
