"""The admission routes, and the HTTPS server that serves them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from app.metrics import Metrics
from app.validation import Context
from webhook.connection import Connection
from webhook.connections import Connections, Limits
from webhook.endpoint import Endpoint, Reviewer
from webhook.limiter import InFlightLimiter
from webhook.meter import RequestMeter
from webhook.request import Application
from webhook.review import mutate_review, validate_review
from webhook.router import APIRouter
from webhook.tls import ServingContext

VALIDATE = "/validate/modelbooster"
MUTATE = "/mutate/modelbooster"

SHUTDOWN_SECONDS = 10.0
"""How long requests in flight may take after the drain."""


def webhook_app(context: Callable[[], Context], metrics: Metrics) -> APIRouter:
    """Returns the application that answers the API server.

    Args:
        context: returns what verdicts depend on; called for each review.
        metrics: counts the denials.
    """
    router = APIRouter(redirect_slashes=False)
    reviewers: dict[str, Reviewer] = {
        MUTATE: mutate_review,
        VALIDATE: lambda review: validate_review(review, context()),
    }
    for path, reviewer in reviewers.items():
        # For a class, Starlette expects an ASGI endpoint, which the annotation does not say.
        endpoint: Any = Endpoint(reviewer, metrics)
        router.add_route(path, endpoint, methods=["POST"])
    return router


async def serve_https(
    app: Application,
    metrics: Metrics,
    *,
    listening: socket.socket,
    serving: ServingContext,
    stopping: asyncio.Event,
    drain_seconds: float = 15.0,
    limits: Limits | None = None,
    limiter: InFlightLimiter | None = None,
) -> None:
    """Serves until ``stopping`` is set, then drains and returns.

    While it drains it still serves, because the API server reuses connections to a terminating
    pod. Each reply then closes its connection.

    Args:
        app: answers the requests.
        metrics: counts the requests.
        listening: the socket; it is closed at the end.
        serving: the certificate, which may change meanwhile.
        stopping: set when the process is asked to end.
        drain_seconds: how long the server drains.
        limits: limits of each connection; the default if None.
        limiter: bounds the requests in flight; the default if None.
    """
    limits = limits or Limits()
    limiter = limiter or InFlightLimiter()
    connections = Connections(limits)
    meters = {path: RequestMeter(metrics, path) for path in (VALIDATE, MUTATE)}
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(app, connections, limiter, meters),
        sock=listening,
        ssl=serving.context,
        ssl_handshake_timeout=limits.handshake_seconds,
        ssl_shutdown_timeout=limits.closing_seconds,
        backlog=1024,
    )
    try:
        await stopping.wait()
        connections.draining = True
        await asyncio.sleep(drain_seconds)
    finally:
        server.close()
        await connections.shutdown(SHUTDOWN_SECONDS)
