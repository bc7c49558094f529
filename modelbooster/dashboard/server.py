"""The HTTP server of the dashboard."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

from starlette.applications import Starlette

from modelbooster.parts.http import http_server
from webhook.connections import Limits

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
    async with http_server(app, listening, LIMITS):
        host, port = listening.getsockname()[:2]
        on_listening(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/")
        await stop.wait()
