"""One path: a request is read whole, within bounds of size and time, and answered from memory.

Whatever comes in: a review gets its answer, anything else a short text that echoes nothing of it.
Spoken is ASGI itself; requests and responses of a framework cost more than most answers do.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from app.apis.meta import Object
from webhook.body import Message, Receive, Refused, Unreadable, body_of, decoded, uid_of
from webhook.review import NotAReview, unreadable
from webhook.traffic import Gate, Meter

log = logging.getLogger(__name__)

Send = Callable[[Message], Awaitable[None]]

Answer = Callable[[Any], Object]
"""Returns the answer to what was decoded, or raises NotAReview."""

MOST_SECONDS = 10.0
SPARE_SECONDS = 0.2
"""For the answer to get back before the API server's own time is over."""

_TIMEOUT = re.compile(rb"(?:^|&)timeout=([0-9]{1,6})s(?:&|$)")
_JSON = [(b"content-type", b"application/json")]
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class Endpoint:
    """Answers the requests of one path.

    Args:
        answer: what makes the answer.
        gate: bounds how many are read at a time; shared by all paths.
        meter: what is counted.
    """

    def __init__(self, answer: Answer, gate: Gate, meter: Meter) -> None:
        self._answer = answer
        self._gate = gate
        self._meter = meter

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        with self._meter.request() as done:
            try:
                status, headers, body = 200, _JSON, await self._answered(scope, receive)
            except Refused as exc:
                status, headers, body = exc.status, _TEXT + exc.headers, f"{exc}\n".encode()
            done(status)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Message, receive: Receive) -> bytes:
        """Returns the answer to a review.

        Raises:
            Refused: it is none, or we have made a mistake.
        """
        with self._gate as entered:
            if not entered:
                text = "too many requests at a time"
                raise Refused(503, text, retry_after="1", connection="close")
            try:
                async with asyncio.timeout(_seconds(scope["query_string"])):
                    body = await body_of(scope["headers"], receive)
            except TimeoutError:
                raise Refused(408, "the body took too long", connection="close") from None
        uid = ""
        with _uncollected():
            try:
                review = decoded(body)
                uid = uid_of(review)
                answered = self._answer(review)
            except Refused:
                raise
            except Unreadable as exc:
                answered = unreadable(exc.uid, str(exc))
            except NotAReview as exc:
                raise Refused(400, str(exc)) from exc
            except Exception as exc:
                # Whatever it is, the next request must be answered; what becomes of this one, the
                # registered failure policy decides.
                log.exception("a review could not be answered, uid %r", uid)
                text = "internal error; the log of the webhook says more"
                raise Refused(500, text) from exc
            self._meter.denied(answered["response"])
            return orjson.dumps(answered)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector away; it would look through all that is made, in vain.

    What an answer makes is gone with it and holds no cycles. Without this half of the time of a
    large review was the collector's.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _seconds(query: bytes) -> float:
    """Returns how long a body may take: what the API server says, and 10 s at most."""
    given = _TIMEOUT.search(query)
    return max((min(float(given[1]), MOST_SECONDS) if given else MOST_SECONDS) - SPARE_SECONDS, 0.1)
