"""Helpers that several parts of a process share."""

from __future__ import annotations

import asyncio
import os
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
        raise UsageError(f"{host} port {port} cannot be listened on: {why}") from exc


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs coroutines in the background of a block, and cancels them at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task) for task in work]
        yield
        for task in tasks:
            task.cancel()
