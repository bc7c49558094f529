"""Connections that notice when their peer is gone."""

from __future__ import annotations

import asyncio
import socket
import warnings

import aiohttp

IDLE_SECONDS = 60

CONNECT_SECONDS = 3.0

_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 60_000),
)
"""Seconds, but for the last (milliseconds): a dead peer is noticed within 90 s (tcp(7))."""


def session() -> aiohttp.ClientSession:
    """Returns a pool of as many connections as are asked for."""
    with warnings.catch_warnings():
        # Python before 3.12.7 leaks connections whose TLS shutdown is never answered; later ones
        # do not, and there aiohttp says that this option does nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=IDLE_SECONDS,
            enable_cleanup_closed=True,
            socket_factory=_socket,
        )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=1 << 20
    )


async def connected(host: str, port: int) -> socket.socket:
    """Returns a socket that is connected to a host, at the first of its addresses that answers.

    Raises:
        OSError: none does; ``TimeoutError`` if the last one says nothing at all.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    error: OSError = OSError(f"{host} has no address")
    for address in found:
        sock = _socket(address)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(CONNECT_SECONDS / len(found)):
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


def _socket(address: tuple[int, int, int, str, object]) -> socket.socket:
    """Returns a socket that notices within 90 seconds that its peer is dead."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        if hasattr(socket, name):  # not every system knows all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
