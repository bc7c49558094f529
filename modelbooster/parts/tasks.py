"""Helpers that several parts of a process share."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from app.errors import UsageError


@contextmanager
def port_errors(host: str, port: int) -> Iterator[None]:
    """Turns an error of a listening socket into a UsageError that names the port."""
    try:
        yield
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else exc
        where = f"{host} port {port}".strip()
        raise UsageError(f"{where} cannot be listened on: {why}") from exc


def listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket; for an empty host one that takes IPv4 and IPv6.

    Raises:
        UsageError: the program cannot listen on the port.
    """
    with port_errors(host, port):
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs coroutines in the background of a block, and cancels them at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task) for task in work]
        yield
        for task in tasks:
            task.cancel()
