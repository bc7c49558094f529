"""An HTTP server without TLS, for probes and for pages: no request has a body."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from webhook.connection import Connection
from webhook.connections import Connections, Limits
from webhook.limiter import InFlightLimiter
from webhook.request import Application

SHUTDOWN_SECONDS = 1.0
"""How long replies in progress may take when the process ends."""


@asynccontextmanager
async def http_server(
    app: Application, listening: socket.socket, limits: Limits
) -> AsyncIterator[asyncio.Server]:
    """Serves inside of a block.

    Args:
        app: answers the requests.
        listening: the socket.
        limits: limits of each connection.
    """
    connections, limiter = Connections(limits), InFlightLimiter()
    server = await asyncio.get_running_loop().create_server(
        # No body is read.
        lambda: Connection(app, connections, limiter, meters={}),
        sock=listening,
    )
    try:
        yield server
    finally:
        server.close()
        await connections.shutdown(SHUTDOWN_SECONDS)
