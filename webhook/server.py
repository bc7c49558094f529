"""The two paths that the API server calls, and the HTTPS server around them.

A request is read whole, within bounds of size and time, and answered from memory. Whatever comes
in: a review gets its answer, anything else a short text that echoes nothing of it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from uvicorn.config import Config

from app.apis.meta import Object
from app.metrics import Metrics
from app.validation import Context
from webhook.body import Refused, Unreadable, body_of, decoded, uid_of
from webhook.connection import Connections, Limits, connection_factory
from webhook.review import NotAReview, mutated, unreadable, validated
from webhook.tls import ServingContext
from webhook.traffic import Gate, Meter

log = logging.getLogger(__name__)

VALIDATE = "/validate/modelbooster"
MUTATE = "/mutate/modelbooster"

MOST_SECONDS = 10.0
SPARE_SECONDS = 0.2
"""For the answer to get back before the API server's own time is over."""

FINISH_SECONDS = 10.0
"""How long requests under way may take after the drain."""


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
                raise Refused(
                    503,
                    "too many requests at a time",
                    **{"Retry-After": "1", "Connection": "close"},
                )
            async with asyncio.timeout(_seconds(request)):
                body = await body_of(request)
        with _uncollected():
            review = decoded(body)
            uid = uid_of(review)
            answered = answer(review)
            del review, body
    except Refused as exc:
        return PlainTextResponse(f"{exc}\n", exc.status, exc.headers)
    except NotAReview as exc:
        return PlainTextResponse(f"{exc}\n", 400)
    except Unreadable as exc:
        answered = unreadable(exc.uid, str(exc))
    except TimeoutError:
        return PlainTextResponse("the body took too long\n", 408, {"Connection": "close"})
    except Exception:
        # Whatever it is, the next request must be answered; the failure policy decides this one.
        log.exception("a review could not be answered, uid %r", uid)
        return PlainTextResponse("internal error; the log of the webhook says more\n", 500)
    meter.denied(answered["response"])
    return Response(orjson.dumps(answered), media_type="application/json")


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


def _seconds(request: Request) -> float:
    """Returns how long a request may take: what the API server says, and 10 s at most."""
    given = re.fullmatch(r"([0-9]{1,6})s", request.query_params.get("timeout", ""), re.ASCII)
    return max((min(float(given[1]), MOST_SECONDS) if given else MOST_SECONDS) - SPARE_SECONDS, 0.1)
