"""Keeps a store of one kind as the API server has it: lists, then watches, for ever.

A broken connection is taken up again where it broke; only where the server says that this is
impossible, or where we may have missed something, everything is listed anew, and then the store is
replaced in one step. ``app.cache.retry`` decides which, and after what pause.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from app.cache.audit import audit
from app.cache.listwatch import Listing, Source
from app.cache.records import Record
from app.cache.retry import WatchRetry
from app.cache.store import Change, Store
from app.cache.timing import PACE, Pace
from app.errors import ApiError, Forbidden, Gone, Invalid, Unreachable
from app.kube import Event, Kube, is_too_large_version, is_unknown_kind
from app.values.meta import Object, Resource

log = logging.getLogger(__name__)

Changed = Callable[[Record | None, Record | None], None]
"""Told of every change: the object before, None if it is new, and after, None if it is gone."""

Listed = Callable[[float], None]
"""Told of every listing that has arrived, after its changes: when it was asked for (monotonic)."""

Count = Callable[[str, str], None]
"""Told of what is worth counting: the resource and a word for what happened."""

_UNKNOWN_KIND_SECONDS = 15.0
"""Longest pause before we look again for a kind that the server does not know."""


def without_managed_fields(obj: Object) -> Object:
    """Drops who owns which field: nobody here reads it, and it is half of the object."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Informer:
    """Lists and watches one kind.

    Args:
        kube: the API server.
        resource: the kind.
        store: where the objects go; informers of different namespaces may share one.
        changed: told of every change, after the store holds it.
        label_selector: only objects with these labels.
        field_selector: only objects with these fields.
        namespace: None for all namespaces.
        shape: what of an object goes into the store; may change the one it is given.
        pace: time limits.
        count: told of failures, for metrics.
        listed: told of listings.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        store: Store,
        changed: Changed,
        *,
        label_selector: str = "",
        field_selector: str = "",
        namespace: str | None = None,
        shape: Callable[[Object], Object] = without_managed_fields,
        pace: Pace = PACE,
        count: Count = lambda resource, what: None,
        listed: Listed = lambda began: None,
    ) -> None:
        self.resource = resource
        self.store = store
        self.synced = asyncio.Event()
        """Set after the first listing, or once the server says that there is no such kind."""
        self._changed = changed
        self._shape = shape
        self._source = Source(
            kube=kube,
            resource=resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            record=lambda obj: store.listed(shape(obj)),
            pace=pace,
        )
        self._pace = pace
        self._count = count
        self._listed = listed
        self._retry = WatchRetry(
            pace.first_pause_seconds, pace.longest_pause_seconds, pace.shortest_watch_seconds
        )
        self._since: str | None = None  # resume from here; None: list anew
        self._floor: str | None = None  # oldest listing to accept; None: any, "": as of now
        self._no_stream: str | None = None  # the server version that refused a streaming list
        self._unknown = 0  # how many times in a row the server did not know the kind
        self._is_said_unserved = False  # whether the log's last word is that it does not know it
        self._heard_at = time.monotonic()
        self._patience: asyncio.Timeout | None = None  # ends what is going on; None in a pause

    @property
    def silent_seconds(self) -> float:
        """How long ago the server last said anything about this kind."""
        return time.monotonic() - self._heard_at

    async def run(self) -> None:
        """Keeps the store for ever; ends only by cancellation or a bug."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(audit(self._source.versions, self._held, self._relist, self._pace))

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(None) as self._patience:
                    if self._since is None:
                        await self._list()
                    else:
                        await self._watch()
            except TimeoutError:  # the audit found us out
                self._count(self.resource.plural, "audit")
                self._floor, self._since = "", None
            except (ApiError, Unreachable) as exc:
                self._patience = None
                pause = self._after(exc)
                if pause > 0 and not self._unknown:
                    log.warning("%s: %s; next try in %.3g s", self.resource, exc, pause)
                await asyncio.sleep(pause)

    def _after(self, error: ApiError | Unreachable) -> float:
        """Decides whether to list anew after a failure, and returns how long to wait first."""
        self._count(self.resource.plural, type(error).__name__)
        if self._since is not None:
            must_list, pause = self._retry.after_watch(error)
            if must_list:
                self._floor, self._since = self._since, None
            return pause
        pause = self._retry.after_list(error)
        if not (isinstance(error, ApiError) and is_unknown_kind(error)):
            self._unknown = 0
            return pause
        # A kind that is not served has no objects; but one such answer may be a server's start.
        self._heard_at = time.monotonic()
        self._unknown += 1
        if not self._is_said_unserved:  # once, not every 15 s until somebody installs it
            self._is_said_unserved = True
            log.warning(
                "%s: the API server does not serve this kind; it is looked for every %g s",
                self.resource,
                _UNKNOWN_KIND_SECONDS,
            )
        if self._unknown > 1 or not self.synced.is_set():
            self._swap([])
        return min(pause, _UNKNOWN_KIND_SECONDS)

    async def _list(self) -> None:
        """Lists everything; with a streaming list, goes on to watch what follows."""
        while True:
            try:
                if not await self._stream():
                    version = {None: "0", "": None}.get(self._floor, self._floor)
                    began = time.monotonic()
                    self._arrived(await self._source.list(version), began)
                return
            except ApiError as exc:
                is_old = isinstance(exc, Gone) or is_too_large_version(exc)
                if self._since is not None or not is_old or self._floor == "":
                    raise
                self._floor = ""  # this server cannot say how it was then: ask how it is now

    async def _stream(self) -> bool:
        """Tries a streaming list, and returns whether it came to its end."""
        if self._no_stream is not None and self._no_stream == await self._source.server_version():
            return False
        began = time.monotonic()
        self._retry.opening()
        try:
            watch = self._source.watch(self._floor or "", initial_events=True)
            async with aclosing(watch) as events:
                async with asyncio.timeout(self._pace.listing_seconds):
                    listed = await self._source.collect(events)
                self._arrived(listed, began)
                await self._take_all(events)
        except Invalid as exc:
            if self._since is not None:
                raise
            self._no_stream = await self._source.server_version()
            log.info("%s: no streaming lists here (%s); using plain ones", self.resource, exc)
        except (Forbidden, Unreachable, TimeoutError) as exc:
            if self._since is not None:
                raise
            log.info(
                "%s: the streaming list broke off (%s); trying a plain one", self.resource, exc
            )
        return self._since is not None

    async def _watch(self) -> None:
        self._retry.opening()
        async with aclosing(self._source.watch(self._since)) as events:
            await self._take_all(events)

    async def _take_all(self, events: AsyncIterator[Event]) -> None:
        async for kind, obj in events:
            self._retry.told()
            self._heard_at = time.monotonic()
            if kind == "DELETED":
                self.remove(obj)
            elif kind != "BOOKMARK":
                self.put(obj)
            self._since = obj["metadata"]["resourceVersion"]
        self._heard_at = time.monotonic()
        self._retry.ended()

    def _arrived(self, listed: Listing, began: float) -> None:
        self._since, self._floor = listed.resource_version, None
        self._heard_at = time.monotonic()
        if self._is_said_unserved:
            self._is_said_unserved = False
            log.info("%s: the API server serves this kind now", self.resource)
        self._unknown = 0
        self._swap(listed.records)
        self._listed(began)

    def _swap(self, records: list[Record]) -> None:
        self._tell(self.store.replace(records, self._source.namespace))
        self.synced.set()

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            self._changed(*change)

    def put(self, obj: Object) -> None:
        """Stores an object that a request of our own returned, before the watch delivers it."""
        self._tell(self.store.put(self._shape(obj)))

    def remove(self, obj: Object) -> None:
        """Removes an object that is known to be gone, before the watch says so."""
        self._tell(self.store.remove(obj))

    def list_anew(self) -> None:
        """Lists everything once more, as soon as possible."""
        if self._since is None:
            return
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
        else:  # in a pause
            self._floor, self._since = "", None

    def _relist(self, why: str) -> None:
        log.warning("%s: %s; listing anew", self.resource, why)
        if self._patience is not None and self._since is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _held(self) -> dict[str, str]:
        return self.store.versions(self._source.namespace)
