"""The two paths that the API server calls, and the HTTPS server around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import FastAPI
from uvicorn.config import Config

from app.metrics import Metrics
from app.validation import Context
from webhook.connection import connection_factory
from webhook.connections import Connections, Limits
from webhook.endpoint import Answer, Endpoint, Message, Receive, Send
from webhook.review import mutated, validated
from webhook.tls import ServingContext
from webhook.traffic import BODY_BUDGET_BYTES, Gate, Meter

VALIDATE = "/validate/modelbooster"
MUTATE = "/mutate/modelbooster"

FINISH_SECONDS = 10.0
"""How long requests under way may take after the drain."""


class WebhookApp(FastAPI):
    """The two paths are found by one look into a dict, all others by FastAPI's router.

    The router and what stands around it take longer than most answers do.

    Args:
        endpoints: what answers, by path.
    """

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None)
        self.endpoints = endpoints
        self.router.redirect_slashes = False
        for path, endpoint in endpoints.items():
            # Of a class Starlette expects what ASGI does, which the annotation does not say.
            self.add_route(path, endpoint, methods=["POST"])  # type: ignore[arg-type]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.endpoints.get(scope["path"])
            if endpoint is not None:
                return await endpoint(scope, receive, send)
        await super().__call__(scope, receive, send)


def webhook_app(
    context: Callable[[], Context],
    metrics: Metrics,
    body_budget_bytes: int = BODY_BUDGET_BYTES,
) -> WebhookApp:
    """Returns the application that answers the API server.

    Args:
        context: what verdicts depend on, as it is now; asked at every request.
        metrics: what is counted.
        body_budget_bytes: bound on the bytes of all bodies that are held at a time.
    """
    gate = Gate(body_budget_bytes)
    answers: dict[str, Answer] = {
        VALIDATE: lambda review: validated(review, context()),
        MUTATE: mutated,
    }
    return WebhookApp(
        {path: Endpoint(answer, gate, Meter(metrics, path)) for path, answer in answers.items()}
    )


async def serve_https(
    app: WebhookApp,
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
    )
    config.load()
    connections = Connections(limits)
    endpoints = {path.encode(): endpoint for path, endpoint in app.endpoints.items()}
    server = await asyncio.get_running_loop().create_server(
        connection_factory(config, connections, endpoints),
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
