"""Lists a kind and watches it from there, for ever, as client-go's Reflector does.

A watch that breaks is resumed where it broke. Everything is listed again only if the server cannot
resume the watch, or if an event may have been missed. ``app.cache.retry`` decides which, and when.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Protocol

from app.cache.listwatch import Freshness, Listing, ListWatch, NotOlderThan, Wanted
from app.cache.records import Record
from app.cache.retry import WatchRetry
from app.cache.timing import Timing
from app.errors import ApiError, Forbidden, Gone, Invalid, Unreachable
from app.kube import Event, is_too_large_version, is_unknown_kind
from app.values.meta import Object

log = logging.getLogger(__name__)

MAX_UNKNOWN_KIND_SECONDS = 15.0
"""Longest interval between two tries to list a kind that the server does not serve."""


class Target(Protocol):
    """Takes what is listed and watched."""

    def put(self, obj: Object) -> None:
        """Takes an object that was created or changed."""

    def remove(self, obj: Object) -> None:
        """Takes an object that was deleted."""

    async def replace(self, records: list[Record], began: float | None) -> None:
        """Takes a list, and when it was asked for; None if the server does not serve the kind."""


class Reflector:
    """Lists and watches one kind.

    Args:
        list_watch: sends the requests.
        target: takes the objects.
        timing: time limits.
        count: called with the type of every failure, for metrics.
    """

    def __init__(
        self, list_watch: ListWatch, target: Target, timing: Timing, count: Callable[[str], None]
    ) -> None:
        self.heard_at = time.monotonic()
        """When the server last sent anything about this kind (monotonic, seconds)."""
        self._list_watch = list_watch
        self._resource = list_watch.resource
        self._target = target
        self._timing = timing
        self._count = count
        self._retry = WatchRetry(
            timing.first_backoff_seconds, timing.max_backoff_seconds, timing.min_watch_seconds
        )
        self._version: str | None = None  # resume the watch from here; None: list
        self._wanted: Wanted = Freshness.ANY  # how current the next list must be
        self._no_stream: str | None = None  # the server release that rejected a streaming list
        self._unknown_in_a_row = 0  # answers that say that the kind does not exist
        self._is_unserved_logged = False
        self._target_is_synced = False
        self._is_taking = False  # an event; others may have been read that come before the backlog
        self._interrupt: asyncio.Timeout | None = None  # ends the present request; None in a pause

    async def run(self) -> None:
        """Lists and watches; ends only by cancellation or a bug."""
        while True:
            try:
                async with asyncio.timeout(None) as self._interrupt:
                    if self._version is None:
                        await self._list()
                    else:
                        await self._watch(self._version)
            except TimeoutError:  # interrupted, to list again
                self._count("audit")
                self._wanted, self._version = Freshness.LATEST, None
            except (ApiError, Unreachable) as exc:
                self._interrupt = None
                pause = await self._after(exc)
                if pause > 0 and not self._unknown_in_a_row:
                    log.warning("%s: %s; next try in %.3g s", self._resource, exc, pause)
                await asyncio.sleep(pause)

    def relist(self, why: str = "") -> None:
        """Lists everything once more, as soon as possible.

        Args:
            why: what is wrong with the store, for the log; ``""`` to log nothing.
        """
        if why:
            log.warning("%s: %s; listing again", self._resource, why)
        if self._version is None:
            return  # a list is under way, or comes next
        if not self._is_taking:
            self._take_backlog()  # else it would be lost until the list is complete
        if self._interrupt is not None:
            self._interrupt.reschedule(asyncio.get_running_loop().time())
        else:  # in a pause
            self._wanted, self._version = Freshness.LATEST, None

    def catch_up(self, name: str) -> bool:
        """Takes the events that have arrived, unless none of them can be about a name.

        Args:
            name: any text of the objects that are about to be read from the store; ``""`` for any.

        Returns:
            Whether there were some.
        """
        return self._list_watch.backlog.mentions(name) and self._take_backlog()

    def _take_backlog(self) -> bool:
        events = self._list_watch.backlog.take()
        for event in events:
            self._take(event)
        return bool(events)

    async def _after(self, error: ApiError | Unreachable) -> float:
        """Decides whether to list again after a failure; returns how many seconds to wait."""
        self._count(type(error).__name__)
        if self._version is not None:
            must_list, pause = self._retry.after_watch(error)
            if must_list:
                self._wanted, self._version = NotOlderThan(self._version), None
            return pause
        pause = self._retry.after_list(error)
        if isinstance(error, ApiError) and is_unknown_kind(error):
            await self._note_unserved()
            return min(pause, MAX_UNKNOWN_KIND_SECONDS)
        self._unknown_in_a_row = 0
        return pause

    async def _note_unserved(self) -> None:
        """Notes that the server does not serve this kind, so that no object of it exists."""
        self.heard_at = time.monotonic()
        self._unknown_in_a_row += 1
        if not self._is_unserved_logged:  # once, not at every try
            self._is_unserved_logged = True
            log.warning(
                "%s: the API server does not serve this kind; trying again every %g s",
                self._resource,
                MAX_UNKNOWN_KIND_SECONDS,
            )
        # A server that is starting may answer so once, so a filled store is not emptied yet.
        if self._unknown_in_a_row > 1 or not self._target_is_synced:
            self._target_is_synced = True
            await self._target.replace([], None)

    async def _list(self) -> None:
        """Lists everything. After a streaming list the same request goes on as a watch."""
        while True:
            try:
                if not await self._stream():
                    began = time.monotonic()
                    await self._take_list(await self._list_watch.list(self._wanted), began)
                return
            except ApiError as exc:
                is_expired = isinstance(exc, Gone) or is_too_large_version(exc)
                if self._version is not None or not is_expired or self._wanted is Freshness.LATEST:
                    raise
                self._wanted = Freshness.LATEST  # the server cannot list the version we know

    async def _stream(self) -> bool:
        """Tries a streaming list; returns whether it was complete."""
        release = self._no_stream
        if release is not None and release == await self._list_watch.server_version():
            return False
        began = time.monotonic()
        self._retry.opening()
        try:
            async with aclosing(self._list_watch.stream(self._wanted)) as events:
                async with asyncio.timeout(self._timing.list_seconds) as limit:
                    extend = partial(_extend, limit, self._timing.list_seconds)
                    listing = await self._list_watch.collect(events, extend)
                await self._take_list(listing, began)
                await self._take_events(events)
        except Invalid as exc:
            if self._version is not None:
                raise
            self._no_stream = await self._list_watch.server_version()
            log.info("%s: using plain lists, streaming is not supported: %s", self._resource, exc)
        except (Forbidden, Unreachable, TimeoutError) as exc:
            if self._version is not None:
                raise
            log.info("%s: trying a plain list, streaming failed: %s", self._resource, exc)
        return self._version is not None

    async def _watch(self, version: str) -> None:
        self._retry.opening()
        async with aclosing(self._list_watch.watch(version)) as events:
            await self._take_events(events)

    async def _take_events(self, events: AsyncIterator[Event]) -> None:
        backlog = self._list_watch.backlog
        backlog.is_open = True
        try:
            async for event in events:
                self._take(event)
        finally:
            backlog.is_open = False
        self.heard_at = time.monotonic()
        self._retry.ended()

    def _take(self, event: Event) -> None:
        kind, obj = event
        self._retry.received()
        self.heard_at = time.monotonic()
        self._is_taking = True
        try:
            if kind == "DELETED":
                self._target.remove(obj)
            elif kind != "BOOKMARK":
                self._target.put(obj)
        finally:
            self._is_taking = False
        self._version = obj["metadata"]["resourceVersion"]

    async def _take_list(self, listing: Listing, began: float) -> None:
        self._version, self._wanted = listing.resource_version, Freshness.ANY
        self.heard_at = time.monotonic()
        if self._is_unserved_logged:
            self._is_unserved_logged = False
            log.info("%s: the API server serves this kind now", self._resource)
        self._unknown_in_a_row = 0
        self._target_is_synced = True
        await self._target.replace(listing.records, began)


def _extend(limit: asyncio.Timeout, seconds: float) -> None:
    """Moves a limit, because something has arrived."""
    limit.reschedule(asyncio.get_running_loop().time() + seconds)
