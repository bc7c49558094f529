"""One path: a request is read whole, within bounds of size and time, and answered from memory.

Whatever comes in: a review gets its answer, anything else a short text that echoes nothing of it.
There are two ways in: an ``Exchange``, which is told what comes as it comes and costs little, and
ASGI, which is made of exchanges, so that both say the same.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

import orjson

from app.values.meta import Object
from webhook.body import (
    MOST_BYTES,
    TOO_MUCH_HELD,
    Refused,
    Unreadable,
    decoded,
    head_refusal,
    overloaded,
    too_long,
    uid_of,
)
from webhook.review import NotAReview, unreadable
from webhook.traffic import Gate, Meter

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
"""A message of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Answer = Callable[[Any], Object]
"""Returns the answer to what was decoded, or raises NotAReview."""

MOST_SECONDS = 10.0
SPARE_SECONDS = 0.2
"""For the answer to get back before the API server's own time is over."""

_TIMEOUT = re.compile(rb"(?:^|&)timeout=([0-9]{1,6})s(?:&|$)")

Headers = tuple[tuple[bytes, bytes], ...]
_JSON: Headers = ((b"content-type", b"application/json"),)
_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)


class Reply(NamedTuple):
    """What is sent back.

    Args:
        status: HTTP status code.
        headers: all but the length; of a reply that is the last one, ``connection: close``.
        body: all of it.
    """

    status: int
    headers: Headers
    body: bytes


class Endpoint:
    """Answers the requests of one path.

    Args:
        answer: what makes the answer.
        gate: bounds how many are read at a time; shared by all paths.
        meter: what is counted.
    """

    def __init__(self, answer: Answer, gate: Gate, meter: Meter) -> None:
        self.answer = answer
        self.gate = gate
        self.meter = meter

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        exchange = Exchange(self)
        try:
            reply = exchange.opened(dict(scope["headers"]))
            if reply is None:
                reply = await _read(exchange, read_seconds(scope["query_string"]), receive)
        finally:
            exchange.close()
        length = (b"content-length", str(len(reply.body)).encode())
        headers = [*reply.headers, length]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


async def _read(exchange: Exchange, seconds: float, receive: Receive) -> Reply:
    """Returns the reply to what is received."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return exchange.lost()
                reply = exchange.take(message.get("body", b""))
                if reply is not None:
                    return reply
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return exchange.late()
    return exchange.answer()


_BLOCK_BYTES = 64 * 1024
"""Pieces of a body are put together until they have this much; larger ones stay as they come."""


class Exchange:
    """One request, from its header to its reply.

    It is told, in this order: the header, the pieces of the body, their end. The first reply that
    it gives is the reply, and nothing more may be told.

    Args:
        endpoint: the path that was asked for.
        ended_early: gets the reply if the gate ends the request; the next call returns it too.
    """

    __slots__ = ("_begun", "_blocks", "_ended_early", "_endpoint", "_open", "_shed", "_size")

    def __init__(
        self, endpoint: Endpoint, ended_early: Callable[[Reply], None] = lambda reply: None
    ) -> None:
        self._endpoint = endpoint
        self._ended_early = ended_early
        self._begun = endpoint.meter.begun()
        self._open = True
        self._shed: Reply | None = None
        self._blocks: list[bytes | bytearray] = []
        self._size = 0

    def opened(self, headers: Mapping[bytes, bytes]) -> Reply | None:
        """Looks at the header; returns a reply if the body is not to be waited for."""
        if not self._endpoint.gate.enter(self):
            return self._refuse(overloaded("too many requests at a time"))
        refusal = head_refusal(headers)
        return None if refusal is None else self._refuse(refusal)

    def take(self, piece: bytes) -> Reply | None:
        """Takes a piece of the body; returns a reply if no more of it is wanted."""
        if self._shed is not None:
            return self._shed
        self._size += len(piece)
        if self._size > MOST_BYTES:
            return self._refuse(too_long())
        if not self._endpoint.gate.hold(self, len(piece)):
            return self._refuse(overloaded(TOO_MUCH_HELD))
        # Most bodies come in one piece. Of many, one growing text would be copied again and again,
        # and take twice its room each time; tiny ones must not become a list of millions.
        if not self._blocks or len(self._blocks[-1]) >= _BLOCK_BYTES:
            self._blocks.append(piece)
            return None
        block = self._blocks[-1]
        if isinstance(block, bytes):
            block = self._blocks[-1] = bytearray(block)
        block += piece
        return None

    def answer(self) -> Reply:
        """Returns the reply to the whole body."""
        if self._shed is not None:
            return self._shed
        try:
            said = self._said()
        except Refused as exc:
            return self._refuse(exc)
        self.close(200)
        return Reply(200, _JSON, said)

    def late(self) -> Reply:
        """Returns the reply to a body that does not come to an end."""
        return self._refuse(Refused(408, "the body took too long", connection="close"))

    def lost(self) -> Reply:
        """Returns the reply to a client that has gone; nobody will read it."""
        return self._refuse(Refused(400, "the body ended early", connection="close"))

    def shed(self) -> None:
        """Ends the request with 503, because others need the memory or the place."""
        self._shed = self._refuse(overloaded(TOO_MUCH_HELD))
        self._ended_early(self._shed)

    def close(self, code: int | None = None) -> None:
        """Lets go of everything, whether or not there was a reply."""
        if self._open:
            self._open = False
            self._blocks.clear()
            self._endpoint.gate.leave(self)
            self._endpoint.meter.ended(self._begun, code)

    def _said(self) -> bytes:
        """Returns the answer to a review.

        Raises:
            Refused: it is none, or we have made a mistake.
        """
        review = None
        # The garbage collector would look through all that is made here, in vain: it is gone with
        # the answer and holds no cycles. Otherwise half of a large review's time is its.
        collects = gc.isenabled()
        gc.disable()
        try:
            review = decoded(self._whole())
            answered = self._endpoint.answer(review)
            self._endpoint.meter.denied(answered["response"])
            return orjson.dumps(answered)
        except Refused:
            raise
        except Unreadable as exc:
            answered = unreadable(exc.uid, str(exc))
            self._endpoint.meter.denied(answered["response"])
            return orjson.dumps(answered)
        except NotAReview as exc:
            raise Refused(400, str(exc)) from exc
        except Exception as exc:
            # Whatever it is, the next request must be answered; what becomes of this one, the
            # registered failure policy decides.
            log.exception("a review could not be answered, uid %r", uid_of(review))
            raise Refused(500, "internal error; the log of the webhook says more") from exc
        finally:
            if collects:
                gc.enable()

    def _whole(self) -> bytes | bytearray:
        """Returns the body, and lets go of it: what is made of it takes enough memory."""
        blocks, self._blocks = self._blocks, []
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _refuse(self, why: Refused) -> Reply:
        self.close(why.status)
        return Reply(why.status, _TEXT + why.headers, f"{why}\n".encode())


def read_seconds(query: bytes) -> float:
    """Returns how long a body may take: what the API server says, and 10 s at most."""
    given = _TIMEOUT.search(query)
    return max((min(float(given[1]), MOST_SECONDS) if given else MOST_SECONDS) - SPARE_SECONDS, 0.1)
