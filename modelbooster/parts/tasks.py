"""What the parts of a process have in common."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from app.errors import UsageError


@contextmanager
def port_errors(host: str, port: int) -> Iterator[None]:
    """Says which port it was that could not be had."""
    try:
        yield
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else exc
        raise UsageError(f"{host} port {port} cannot be listened on: {why}") from exc


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs tasks that never end beside what stands inside, and cancels them after it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task) for task in work]
        yield
        for task in tasks:
            task.cancel()
