"""Connections that notice when their peer is gone."""

from __future__ import annotations

import socket
import warnings

import aiohttp

IDLE_SECONDS = 60

_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 60_000),
)
"""Seconds, but for the last (milliseconds): a dead peer is noticed within 90 s (tcp(7))."""


def session(limit: int) -> aiohttp.ClientSession:
    """Returns a pool of at most ``limit`` connections, 0 for as many as are asked for."""
    with warnings.catch_warnings():
        # Python before 3.12.7 leaks connections whose TLS shutdown is never answered; later ones
        # do not, and there aiohttp says that this option does nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        connector = aiohttp.TCPConnector(
            limit=limit,
            keepalive_timeout=IDLE_SECONDS,
            enable_cleanup_closed=True,
            socket_factory=_socket,
        )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=1 << 20
    )


def _socket(address: tuple[int, int, int, str, object]) -> socket.socket:
    """Returns a socket that notices within 90 seconds that its peer is dead."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        if hasattr(socket, name):  # not every system knows all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
