"""Sockets that detect a dead server."""

from __future__ import annotations

import asyncio
import socket

IDLE_SECONDS = 60
"""An unused connection is closed after this time."""

CONNECT_SECONDS = 3.0
"""Limit of connecting, without TLS."""

HANDSHAKE_SECONDS = 10.0
"""Limit of a TLS handshake, as in client-go. A busy API server takes seconds for one."""

_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 60_000),
)
"""In seconds, the last one in milliseconds: a dead peer is detected within 90 s (tcp(7))."""


async def connect_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that is connected to the first address of a host that answers.

    Raises:
        OSError: no address answers; ``TimeoutError`` if the last one did not answer in time.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    error: OSError = OSError(f"{host} has no address")
    for address in addresses:
        sock = new_socket(address)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(CONNECT_SECONDS / len(addresses)):
                await loop.sock_connect(sock, address[4])
        except OSError as exc:  # TimeoutError is one of these
            sock.close()
            error = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error


def new_socket(address: tuple[int, int, int, str, object]) -> socket.socket:
    """Returns a socket that detects a dead peer within 90 seconds."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        if hasattr(socket, name):  # some systems lack some of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
