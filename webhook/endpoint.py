"""The endpoint of an admission route: the body of a request in, its answer out."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import orjson

from app.metrics import Metrics
from app.values.meta import Object
from webhook.body import UndecodableReview, decode_review, review_uid
from webhook.reply import Refusal, Reply
from webhook.request import Message, Receive, Send, send_reply
from webhook.review import NotAReview, refuse_undecodable

log = logging.getLogger(__name__)

Reviewer = Callable[[Any], Object]
"""Returns the answer to a decoded review, or raises NotAReview."""

_JSON = ((b"content-type", b"application/json"),)


class Endpoint:
    """The ASGI endpoint of one route.

    Every review gets an answer. Anything else gets a short text that repeats nothing of it.
    FastAPI's own kinds of handler would cost as much as the rest of a small mutation.

    Args:
        reviewer: makes the answers.
        metrics: counts the denials.
    """

    def __init__(self, reviewer: Reviewer, metrics: Metrics) -> None:
        self._reviewer = reviewer
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        message = await receive()
        try:
            body = _answer(message.pop("body"), self._reviewer, self._metrics)
            reply = Reply(200, _JSON, body)
        except Refusal as exc:
            reply = exc.reply()
        await send_reply(reply, send)


def _answer(body: bytes, reviewer: Reviewer, metrics: Metrics) -> bytes:
    """Returns the AdmissionReview that answers a body.

    Raises:
        Refusal: the body is not a review, or the reviewer failed.
    """
    review = None
    # Reviews hold no reference cycles and are freed at the end. For a large review, half of the
    # time would go to the garbage collector.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        review = decode_review(body)
        del body  # up to 8 MiB that are not needed any more
        answer = reviewer(review)
    except UndecodableReview as exc:
        answer = refuse_undecodable(exc.uid, str(exc))
    except NotAReview as exc:
        raise Refusal(400, str(exc)) from exc
    except Refusal:
        raise
    except Exception as exc:
        # The API server applies the failure policy, and the next request is served.
        log.exception("review failed, uid %r", review_uid(review))
        raise Refusal(500, "internal error; the log of the webhook says more") from exc
    finally:
        if was_enabled:
            gc.enable()
    _count_denial(answer["response"], metrics)
    return orjson.dumps(answer)


def _count_denial(response: Object, metrics: Metrics) -> None:
    """Counts a denial once for each reason in its causes."""
    if response["allowed"]:
        return
    status = response["status"]
    causes = status.get("details", {}).get("causes") or [status]
    for reason in sorted({cause["reason"] for cause in causes}):
        metrics.denials.labels(reason=reason).inc()
