"""Reads the fleet for the dashboard, at most once in a while, however many pages are open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

import orjson

from app.errors import OperatorError
from app.values.meta import Object

READ_SECONDS = 2.0
"""Shortest pause between two readings."""

REST = 2.0
"""The pause after a reading is at least so many times as long as the reading took."""


class Snapshot(NamedTuple):
    """The body of an answer, and its ETag."""

    body: bytes
    etag: str


class Source:
    """Reads the fleet when a page asks and the last reading is old. No page, no requests.

    Args:
        read: reads the fleet; raises OperatorError.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Object]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._fleet: Object = {"context": "", "readAt": "", "notes": [], "models": []}
        self._snapshot = _snapshot(self._fleet, "")
        self._next_at: float | None = None

    async def current(self) -> Snapshot:
        """Returns the fleet; with an error and the last state if the cluster does not answer."""
        async with self._lock:
            begin = self._clock()
            if self._next_at is None or begin >= self._next_at:
                self._snapshot = await self._next()
                end = self._clock()
                self._next_at = end + max(READ_SECONDS, REST * (end - begin))
            return self._snapshot

    async def _next(self) -> Snapshot:
        try:
            self._fleet = await self._read()
        except OperatorError as exc:
            return _snapshot(self._fleet, " ".join(str(exc).split()))
        return _snapshot(self._fleet, "")


def _snapshot(fleet: Object, error: str) -> Snapshot:
    # Without the time, so that an unchanged fleet keeps its ETag.
    changing = {**fleet, "readAt": "", "error": error}
    etag = sha256(orjson.dumps(changing)).hexdigest()[:32]
    return Snapshot(orjson.dumps({**fleet, "error": error}), f'"{etag}"')
