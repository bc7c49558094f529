"""The HTTP server of the dashboard."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable

from starlette.applications import Starlette

from app.errors import UsageError
from webhook.connection import Connection
from webhook.connections import Connections, Limits
from webhook.limiter import InFlightLimiter

LIMITS = Limits(
    header_seconds=5.0,
    body_seconds=5.0,
    idle_seconds=30.0,
    unused_seconds=30.0,
    closing_seconds=1.0,
    connections=64,
    unproven_bodies=8,
    eviction_seconds=0.2,
)
"""Browsers open connections ahead and keep them for a while."""

SHUTDOWN_SECONDS = 1.0


def listen(address: str, port: int) -> socket.socket:
    """Returns a listening socket.

    Raises:
        UsageError: the program cannot listen there.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        raise UsageError(
            f"{address} port {port} cannot be listened on: {why}; choose another with --port"
        ) from exc


async def serve(
    app: Starlette, listening: socket.socket, on_listening: Callable[[str], None]
) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        app: answers the requests.
        listening: the socket.
        on_listening: called with the URL when the server accepts connections.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    connections, limiter = Connections(LIMITS), InFlightLimiter()
    server = await loop.create_server(
        # No body is read.
        lambda: Connection(app, connections, limiter, meters={}),
        sock=listening,
    )
    host, port = listening.getsockname()[:2]
    on_listening(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")
    try:
        await stop.wait()
    finally:
        server.close()
        await connections.shutdown(SHUTDOWN_SECONDS)
