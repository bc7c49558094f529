"""A connection that cannot be held open by saying nothing.

uvicorn's protocol has a timer for idle connections only: a client that sends half a header or half
a body would be waited for without end, and would also delay the end of the process. Here every
phase of a request has a time, and a connection can be told to finish.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from webhook.connections import Connections

# Malformed requests are the sender's affair; one line for each would be theirs to multiply.
log = logging.getLogger("webhook.http")
log.setLevel(logging.ERROR)


class Phase(Enum):
    """What a connection waits for."""

    IDLE = auto()
    HEADER = auto()
    BODY = auto()
    ANSWER = auto()


IDLE, HEADER, BODY, ANSWER = Phase


class TimedConnection(HttpToolsProtocol):
    """One connection, in one phase after the other.

    Args:
        config: uvicorn's; holds the application.
        state: uvicorn's; shared by all connections of a server.
        all_of_them: the others.
    """

    def __init__(self, config: Config, state: ServerState, all_of_them: Connections) -> None:
        super().__init__(config, state, {})
        self.logger = log
        self.all_of_them = all_of_them
        self.limits = all_of_them.limits
        self.phase = IDLE
        self.idle_since: float | None = None
        """Loop time since when nothing is under way; None while something is."""
        self.reading_since: float | None = None
        """Loop time since when the rest of a header or body is waited for; None if it is not."""
        self.used = False
        """Whether it has carried a request to its end."""
        self.ended = False
        """Whether nothing that comes is looked at any more."""
        self._timer: asyncio.TimerHandle | None = None
        self._timed_phase = IDLE
        # One for all requests: to set and cancel one for each takes longer than to look at a clock.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there, its handshake done."""
        super().connection_made(cast(asyncio.Transport, transport))
        if not self.all_of_them.entered(self):
            self.transport.abort()
            return
        self.idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(self.limits.unused_seconds, self._look_at_idleness)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.unwatch()
        for timer in (self._idle_timer, self._ending):
            if timer is not None:
                timer.cancel()
        self.all_of_them.left(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The application has answered."""
        super().on_response_complete()
        # uvicorn's timer, of which there would be one for each request.
        self._unset_keepalive_if_required()
        answered = self.cycle.response_complete  # false while one that came behind waits
        if self.transport.is_closing() or (answered and self.cycle.more_body):
            # An answer before the end of the question: nobody will read the rest.
            self.end()
        elif answered and self.phase is ANSWER:
            self.phase = IDLE
            self.used = True
            self.idle_since = self.loop.time()

    def shutdown(self) -> None:
        """Ends the connection, after the answer that is under way."""
        if self.phase is ANSWER:
            self.cycle.keep_alive = False
        else:
            self.end()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed, and ends the connection."""
        if not self.ended:
            super().send_400_response(msg)
            self.end()

    def end(self) -> None:
        """Closes, and does not wait for a client that takes no note of it."""
        self.unwatch()
        if not self.transport.is_closing():
            self.transport.close()
        if not self.ended:
            self.ended = True
            self._ending = self.loop.call_later(self.limits.closing_seconds, self.abort)

    def abort(self) -> None:
        """Cuts it."""
        self.ended = True
        self.unwatch()
        self.transport.abort()

    def watch(self) -> None:
        """Gives the phase that has just begun its time; one that goes on keeps its timer."""
        if self._timer is not None:
            if self.phase is self._timed_phase:
                return
            self.unwatch()
        if self.ended or not (self.phase is HEADER or self.phase is BODY):
            return
        self._timed_phase = self.phase
        self.reading_since = self.loop.time()
        seconds = self.limits.header_seconds if self.phase is HEADER else self.body_seconds()
        self._timer = self.loop.call_later(seconds, self.be_late)
        if self.phase is BODY and not self.used:
            self.all_of_them.begins_body(self)

    def unwatch(self) -> None:
        """Takes back the time that was given."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self.reading_since = None
            self.all_of_them.ends_body(self)

    def body_seconds(self) -> float:
        """Returns how long the body that comes may take."""
        return self.limits.body_seconds

    def be_late(self) -> None:
        """Ends the connection because the time of its phase is over."""
        self.abort()

    def _look_at_idleness(self) -> None:
        """Ends a connection on which nothing came for long, or looks again when that may be.

        One that has never carried a request gets little time: it costs as much memory as any other.
        """
        now = self.loop.time()
        since = now if self.idle_since is None else self.idle_since
        left = since + (self.limits.idle_seconds if self.used else self.limits.unused_seconds) - now
        if left <= 0:
            self.end()
        else:
            self._idle_timer = self.loop.call_later(left, self._look_at_idleness)
