"""The two paths that the API server calls, and the HTTPS server around them.

A request is read whole, within bounds of size and time, and answered from memory. Whatever comes
in: a review gets its answer, anything else a short text that echoes nothing of it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from uvicorn.config import Config

from app.apis.meta import Object
from app.metrics import Metrics
from app.validation import Context
from webhook.connection import Connections, Limits, connection_factory
from webhook.review import NotAReview, mutated, unreadable, validated
from webhook.tls import ServingContext
from webhook.traffic import Gate, Meter

log = logging.getLogger(__name__)

VALIDATE = "/validate/modelbooster"
MUTATE = "/mutate/modelbooster"

MOST_BODY_BYTES = 8 * 1024 * 1024
"""An object and its predecessor, 1.5 MB each at most in etcd, written out and escaped."""

MOST_CONTAINERS = 250_000
"""Lists and objects in a body: a right one has some thousands, and each takes 64 bytes or more."""

MOST_SECONDS = 10.0
SPARE_SECONDS = 0.2
"""For the answer to get back before the API server's own time is over."""

FINISH_SECONDS = 10.0
"""How long requests under way may take after the drain."""

_UID = re.compile(rb'"request"\s*:\s*\{\s*"uid"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_UID_WITHIN_BYTES = 4096
"""Where the API server writes the uid, so that a review need not be read to be refused."""


class _Refused(Exception):
    """The request is answered with a status and a text, and nothing is looked at."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.response = PlainTextResponse(text + "\n", status, headers)


def webhook_app(context: Callable[[], Context], metrics: Metrics) -> FastAPI:
    """Returns the application that answers the API server.

    Args:
        context: what verdicts depend on, as it is now; asked at every request.
        metrics: what is counted.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    gate = Gate()

    def add(path: str, answer: Callable[[Any], Object]) -> None:
        meter = Meter(metrics, path)

        async def review(request: Request) -> Response:
            with meter.request() as done:
                response = await _answered(request, gate, answer, meter)
                done(response.status_code)
                return response

        app.add_route(path, review, methods=["POST"])

    add(VALIDATE, lambda review: validated(review, context()))
    add(MUTATE, mutated)
    return app


async def serve_https(
    app: FastAPI,
    *,
    host: str,
    port: int,
    serving: ServingContext,
    stopping: asyncio.Event,
    drain_seconds: float = 15.0,
    limits: Limits | None = None,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serves until ``stopping`` is set, then drains and returns.

    While it drains it goes on serving, because the API server still holds connections to a pod
    that is on its way out; each answer then says that it is the last one on its connection.

    Args:
        app: who answers.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        serving: the certificate, which may change meanwhile.
        stopping: set when the process is asked to end.
        drain_seconds: how long the API server gets to notice.
        limits: what a client may take; the default's if None.
        listening: told the port as soon as connections are taken.
    """
    limits = limits or Limits()
    config = Config(
        app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(limits.idle_seconds),
    )
    config.load()
    connections = Connections(limits)
    server = await asyncio.get_running_loop().create_server(
        connection_factory(config, connections),
        host,
        port,
        ssl=serving.context,
        ssl_handshake_timeout=limits.handshake_seconds,
        ssl_shutdown_timeout=limits.closing_seconds,
        backlog=1024,
    )
    try:
        listening(server.sockets[0].getsockname()[1])
        await stopping.wait()
        connections.draining = True
        await asyncio.sleep(drain_seconds)
    finally:
        server.close()
        await connections.finish(FINISH_SECONDS)


async def _answered(
    request: Request, gate: Gate, answer: Callable[[Any], Object], meter: Meter
) -> Response:
    """Returns the answer to one request, whatever it is."""
    uid = ""
    try:
        with gate as entered:
            if not entered:
                raise _Refused(
                    503,
                    "too many requests at a time",
                    **{"Retry-After": "1", "Connection": "close"},
                )
            async with asyncio.timeout(_seconds(request)):
                body = await _body(request)
        review = _decoded(body)
        uid = _uid(review)
        answered = answer(review)
    except _Refused as exc:
        return exc.response
    except NotAReview as exc:
        return PlainTextResponse(f"{exc}\n", 400)
    except _Unreadable as exc:
        answered = unreadable(exc.uid, str(exc))
    except TimeoutError:
        return PlainTextResponse("the body took too long\n", 408, {"Connection": "close"})
    except Exception:
        # Whatever it is, the next request must be answered; the failure policy decides this one.
        log.exception("a review could not be answered, uid %r", uid)
        return PlainTextResponse("internal error; the log of the webhook says more\n", 500)
    meter.denied(answered["response"])
    return Response(orjson.dumps(answered), media_type="application/json")


class _Unreadable(Exception):
    """A review of which no more than the uid is to be read."""

    def __init__(self, uid: str, why: str) -> None:
        super().__init__(why)
        self.uid = uid


def _decoded(body: bytearray) -> Any:
    """Returns the JSON of a body.

    Raises:
        _Unreadable: a review that would take more memory, or more levels, than any right one.
        _Refused: it is no JSON, or another's.
    """
    uid = _UID.search(body, 0, _UID_WITHIN_BYTES)
    if body.count(b"[") + body.count(b"{") > MOST_CONTAINERS:
        if uid is None:
            raise _Refused(400, "the body holds too many lists and objects")
        raise _Unreadable(uid[1].decode(), "the object holds too many lists and objects")
    # Each look of the garbage collector would go through all that there is so far, in vain.
    collects = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if uid is not None and exc.msg.startswith("depth limit"):
            raise _Unreadable(uid[1].decode(), "the object is nested too deeply") from exc
        raise _Refused(400, "the body is not JSON") from exc
    finally:
        if collects:
            gc.enable()


async def _body(request: Request) -> bytearray:
    """Reads the body, and no more of it than there may be.

    Raises:
        _Refused: it is too long, encoded, or says that it is no JSON.
    """
    headers = request.headers
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _Refused(415, "no content-encoding is accepted", Connection="close")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "the content type must be application/json", Connection="close")
    too_long = _Refused(413, f"the body is longer than {MOST_BODY_BYTES} bytes", Connection="close")
    if int(headers.get("content-length", 0)) > MOST_BODY_BYTES:
        raise too_long
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, "the body ended early")
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            raise too_long
        if not message.get("more_body", False):
            return body


def _seconds(request: Request) -> float:
    """Returns how long a request may take: what the API server says, and 10 s at most."""
    given = re.fullmatch(r"([0-9]{1,6})s", request.query_params.get("timeout", ""), re.ASCII)
    return max((min(float(given[1]), MOST_SECONDS) if given else MOST_SECONDS) - SPARE_SECONDS, 0.1)


def _uid(review: Any) -> str:
    request = review.get("request") if isinstance(review, dict) else None
    return str(request.get("uid"))[:128] if isinstance(request, dict) else ""
