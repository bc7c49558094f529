"""One HTTP connection: time limits, and calls of the ASGI application.

The application is called for each request, one at a time, after the whole body has arrived. All
bounds are enforced before that: here, in ``Connections`` and in ``InFlightLimiter``. uvicorn's
protocol enforces none of them, and costs three times as much CPU for each request.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping

from webhook.connections import Connections
from webhook.limiter import InFlightLimiter
from webhook.managed import ManagedConnection, Reading
from webhook.meter import RequestMeter
from webhook.parser import RequestParser
from webhook.reply import Reply
from webhook.request import Application, Message, Request

Meters = Mapping[str, RequestMeter]
"""By path: the POST requests that are counted and whose bodies are read."""


class Connection(ManagedConnection):
    """One connection.

    Args:
        application: answers the requests.
        connections: all connections of the server.
        limiter: bounds the requests whose bodies are read.
        meters: the requests whose bodies are read; others are answered without.
    """

    def __init__(
        self,
        application: Application,
        connections: Connections,
        limiter: InFlightLimiter,
        meters: Meters,
    ) -> None:
        super().__init__(connections)
        self._application = application
        self._limiter = limiter
        self._meters = meters
        self._parser: RequestParser
        self._requests: deque[Request] = deque()
        """Requests without a reply, in the order of arrival. The last one may be incomplete."""
        self._answering: asyncio.Task[None] | None = None
        self._writing_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the connection after its TLS handshake, or aborts it if there is no room."""
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._parser = RequestParser(self, self.limits, scheme)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Releases everything that the connection holds."""
        super().connection_lost(exc)
        self._parser.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where to write what the client sends."""
        return self.connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parses data, and sets a deadline for the rest of an unfinished request."""
        if self.closing:
            return
        self.idle_since = None
        error = self._parser.feed(self.connections.buffer[:nbytes])
        if error is not None and not self.closing:
            self._reject(error)
        self._skip_unread_body()
        self.set_deadline(self._parser.reading)

    # What the parser reads.

    def on_header(self, scope: Message, keep_alive: bool) -> None:
        """Adds a request, and admits it unless an earlier one has no reply yet."""
        if self.closing:
            return
        meter = self._meters.get(scope["path"]) if scope["method"] == "POST" else None
        self._requests.append(Request(scope, keep_alive, meter, self._limiter, self._on_evict))
        if len(self._requests) == 1 and not self._writing_paused:
            self._admit_first()
        else:
            self.pause_reading()

    def on_body(self, piece: bytes) -> None:
        """Adds a piece to the body of the last request."""
        if self.closing:
            return
        request = self._requests[-1]
        request.add(piece)
        if request.admitted and request.reply is not None:
            self._finish(request)

    def on_end(self) -> None:
        """Completes the last request."""
        if self.closing:
            return
        request = self._requests[-1]
        request.complete = True
        if request.admitted:
            self._start_answer(request)

    # Requests are answered one at a time.

    def _admit_first(self) -> None:
        request = self._requests[0]
        request.admit()
        if request.reply is not None:
            self._finish(request)
        elif request.complete:
            self._start_answer(request)
        elif request.expects_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _skip_unread_body(self) -> None:
        """Answers the first request at once if the rest of its body would not be read anyway."""
        request = self._requests[0] if self._requests else None
        if request and request.admitted and not request.complete and not request.reads_body:
            request.complete, request.keep_alive = True, False
            self.stop_reading()
            self._start_answer(request)

    def _start_answer(self, request: Request) -> None:
        self._answering = self.loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        await request.respond(self._application)
        self._answering = None
        self._finish(request)

    def _on_evict(self, request: Request) -> None:
        if self._answering is None:
            self._finish(request)

    def _finish(self, request: Request) -> None:
        """Writes the reply of the first request and goes on with the next one."""
        reply = request.reply
        if reply is None or not self._requests or self._requests[0] is not request:
            return  # the connection was lost meanwhile
        self._requests.popleft()
        keep_alive = (
            request.complete
            and request.keep_alive
            and not reply.closes_connection
            and not self.connections.draining
        )
        head_only = request.scope["method"] == "HEAD"
        self.transport.write(reply.encode(close=not keep_alive, head_only=head_only))
        if keep_alive:
            self.proven = True
            self._continue()
        else:
            self.stop_reading()
            self.close()

    def _continue(self) -> None:
        """Goes on with the next request, once the client has read enough of its replies."""
        if self._writing_paused or self.transport.is_closing():
            return
        if self._requests:
            if not self._requests[0].admitted:
                self._admit_first()
            self._skip_unread_body()
            # The timeout of the client counts from the turn of its request.
            self.restart_deadline()
        elif self._parser.reading is Reading.NOTHING:
            self.idle_since = self.loop.time()
        if len(self._requests) <= 1:
            self.resume_reading()

    def _reject(self, error: Reply) -> None:
        """Replies to data that cannot be parsed, after the replies that are due."""
        self.stop_reading()
        if not self._requests or self._requests[-1].complete:
            scope: Message = {"method": "", "headers": []}
            self._requests.append(Request(scope, False, None, self._limiter, self._on_evict))
        broken = self._requests[-1]
        broken.set_reply(error)
        if self._requests[0] is broken:
            self._finish(broken)

    def abandon_requests(self) -> None:
        """Drops all requests and releases their bodies."""
        for request in self._requests:
            request.abandon()
        self._requests.clear()

    # Flow control.

    def pause_writing(self) -> None:
        """Stops reading, because the client does not read its replies."""
        self._writing_paused = True
        self.pause_reading()

    def resume_writing(self) -> None:
        """Goes on with the next request."""
        self._writing_paused = False
        if self._answering is None:
            self._continue()

    # How the connection ends.

    def shutdown(self) -> None:
        """Closes the connection after the reply that is due."""
        if not self._requests or not self._requests[0].complete:
            self.close()

    # Time limits.

    def body_seconds(self) -> float:
        """Returns how long the body that is read may take."""
        request = self._requests[-1]
        timeout = request.timeout_seconds if request.admitted else math.inf
        return min(self.limits.body_seconds, timeout)

    def on_deadline(self) -> None:
        """Ends the connection; a client whose own timeout is over gets a reply."""
        request = self._requests[-1] if self._requests else None
        if (
            request is not None
            and request.admitted
            and not request.complete
            and request.timeout_seconds <= self.limits.body_seconds
        ):
            request.time_out()
            self._finish(request)
        else:
            self.abort()
