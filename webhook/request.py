"""One HTTP request of a connection, from its header to its reply."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from webhook.body import MAX_BODY_BYTES, BodyBuffer, body_too_long, header_refusal
from webhook.limiter import InFlightLimiter
from webhook.meter import RequestMeter
from webhook.reply import (
    SERVER_ERROR,
    TOO_MANY_BYTES,
    TOO_MANY_REQUESTS,
    Refusal,
    Reply,
    overloaded,
)

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
"""A message of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI application."""

MAX_TIMEOUT_SECONDS = 10.0
RETURN_SECONDS = 0.2
"""For the reply to arrive before the timeout of the API server ends."""

_TIMEOUT = re.compile(rb"(?:^|&)timeout=([0-9]{1,6})s(?:&|$)")


class Request:
    """One request. Its connection passes it the body, then lets the application answer it.

    Exactly one reply is made: by the application, or by the first bound that the request breaks.

    Args:
        scope: ASGI scope.
        keep_alive: whether the client allows another request on the connection.
        meter: counts the request; None if the server neither counts it nor reads its body.
        limiter: bounds the requests whose bodies are read.
        on_evict: called after the limiter has evicted the request.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "_head",
        "_headers",
        "_limiter",
        "_meter",
        "_on_evict",
        "_started",
        "admitted",
        "complete",
        "keep_alive",
        "reply",
        "scope",
    )

    def __init__(
        self,
        scope: Message,
        keep_alive: bool,
        meter: RequestMeter | None,
        limiter: InFlightLimiter,
        on_evict: Callable[[Request], None],
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.admitted = False
        """Whether it is this request's turn; earlier requests have their replies."""
        self.complete = False
        """Whether the whole body has arrived, or will not be read."""
        self.reply: Reply | None = None
        self._headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self._meter = meter
        self._limiter = limiter
        self._on_evict = on_evict
        self._started: float | None = None
        self._body = BodyBuffer()
        self._head: Message | None = None
        self._chunks: list[bytes] = []

    @property
    def reads_body(self) -> bool:
        """Whether the server reads the body; any other body is ignored."""
        return self._meter is not None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        return self._headers.get(b"expect", b"").lower() == b"100-continue"

    @property
    def timeout_seconds(self) -> float:
        """How long the client waits for the body to be read; infinite if it is not read."""
        return math.inf if self._meter is None else read_seconds(self.scope["query_string"])

    def admit(self) -> None:
        """Starts the request, and refuses it if the server has no room or cannot read the body."""
        self.admitted = True
        if self._meter is None or self.reply is not None:
            return
        self._started = self._meter.start()
        if not self._limiter.start(self):
            self.refuse(overloaded(TOO_MANY_REQUESTS))
        elif (refusal := header_refusal(self._headers)) is not None:
            self.refuse(refusal)
        elif self._body.size and not self._limiter.reserve(self, self._body.size):
            self.refuse(overloaded(TOO_MANY_BYTES))

    def add(self, piece: bytes) -> None:
        """Adds a piece of the body, or refuses the request if the piece breaks a bound."""
        if self._meter is None or self.reply is not None:
            return
        if self._body.size + len(piece) > MAX_BODY_BYTES:
            self.refuse(body_too_long())
        elif self.admitted and not self._limiter.reserve(self, len(piece)):
            self.refuse(overloaded(TOO_MANY_BYTES))
        else:
            self._body.add(piece)

    def refuse(self, refusal: Refusal) -> None:
        """Sets the reply, unless there is one, and releases the body."""
        if self.reply is None:
            self.set_reply(refusal.reply())

    def time_out(self) -> None:
        """Refuses the request because its body did not arrive in time."""
        self.refuse(Refusal(408, "the body took too long", connection="close"))

    def abandon(self) -> None:
        """Releases the body because the client has gone."""
        self.refuse(Refusal(400, "the body ended early", connection="close"))

    def evict(self) -> None:
        """Refuses the request with 503 because others need its memory or its place."""
        self.refuse(overloaded(TOO_MANY_BYTES))
        self._on_evict(self)

    def set_reply(self, reply: Reply) -> None:
        """Sets the reply, and releases the body and the place in the limiter."""
        self.reply = reply
        self._body.take()
        if self._meter is not None and self._started is not None:
            self._limiter.finish(self)
            self._meter.finish(self._started, reply.status)
            self._started = None

    async def respond(self, application: Application) -> None:
        """Lets the application answer, unless there is a reply already."""
        if self.reply is not None:
            return
        try:
            await application(self.scope, self._receive, self._send)
        except Exception:
            log.exception("request failed")
            self._head = None
        if self.reply is None:
            self.set_reply(self._collected() or SERVER_ERROR)

    async def _receive(self) -> Message:
        """Returns the whole body. No application of ours waits for the client to disconnect."""
        return {"type": "http.request", "body": self._body.take(), "more_body": False}

    async def _send(self, message: Message) -> None:
        """Collects the reply, which the connection writes as a whole."""
        if message["type"] == "http.response.start":
            self._head = message
        else:
            self._chunks.append(message.get("body", b""))

    def _collected(self) -> Reply | None:
        if self._head is None:
            return None
        headers = self._head.get("headers", ())
        kept = tuple((name, value) for name, value in headers if name != b"content-length")
        return Reply(self._head["status"], kept, b"".join(self._chunks))


async def send_reply(reply: Reply, send: Send) -> None:
    """Sends the reply of an application."""
    start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
    await send(start)
    await send({"type": "http.response.body", "body": reply.body})


def read_seconds(query: bytes) -> float:
    """Returns how long a body may take: the timeout of the API server, at most 10 s.

    Args:
        query: query of the request, in which the API server names its timeout.
    """
    timeout = _TIMEOUT.search(query)
    seconds = min(float(timeout[1]), MAX_TIMEOUT_SECONDS) if timeout else MAX_TIMEOUT_SECONDS
    return max(seconds - RETURN_SECONDS, 0.1)
