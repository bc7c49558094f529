"""Keeps a store of one kind in step with the API server, as client-go's shared informer does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import islice

from app.cache.audit import audit
from app.cache.listwatch import ListWatch
from app.cache.records import Record
from app.cache.reflector import Reflector
from app.cache.store import Delta, Store
from app.cache.timing import DEFAULT_TIMING, Timing
from app.kube import Backlog, Kube
from app.values.meta import Object, Resource

Changed = Callable[[Record | None, Record | None], None]
"""Takes every change: the object before, None if it is new, and after, None if it is deleted."""

REPORTED_AT_ONCE = 500
"""After so many changes of a list everything else has its turn: a probe, or a lease."""

Listed = Callable[[float], None]
"""Called after every list and its changes, with the time of the request (monotonic, seconds)."""

Count = Callable[[str, str], None]
"""Counts failures for metrics: the plural name of the kind, and the type of the failure."""


def without_managed_fields(obj: Object) -> Object:
    """Removes ``managedFields`` from an object: they are not used, and half of its size."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Informer:
    """Lists and watches one kind, stores the objects and reports changes.

    Args:
        kube: the API server.
        resource: the kind.
        store: holds the objects. Informers of different namespaces may share one.
        changed: called with every change, after it is stored.
        label_selector: only objects with these labels.
        field_selector: only objects with these fields.
        namespace: None for all namespaces.
        shape: returns what to store of an object; may modify its argument.
        only_metadata: whether to read only the metadata of the objects.
        timing: time limits.
        backlog_seconds: how long an event may wait. If it may, call ``catch_up`` before the store
            is read.
        count: called with failures, for metrics.
        listed: called after every list.
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
        only_metadata: bool = False,
        timing: Timing = DEFAULT_TIMING,
        backlog_seconds: float = 0.0,
        count: Count = lambda resource, what: None,
        listed: Listed = lambda began: None,
    ) -> None:
        self.resource = resource
        self.store = store
        self.synced = asyncio.Event()
        """Set after the first list, or when the server says that the kind does not exist."""
        self._namespace = namespace
        self._changed = changed
        self._shape = shape
        self._timing = timing
        self._list_watch = ListWatch(
            kube=kube,
            resource=resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            record=lambda obj: store.record_for(shape(obj)),
            timing=timing,
            backlog=Backlog(backlog_seconds),
            only_metadata=only_metadata,
        )
        self._reflector = Reflector(
            self._list_watch, self, timing, lambda what: count(resource.plural, what)
        )
        self._listed = listed

    @property
    def silent_seconds(self) -> float:
        """How long ago the server last sent anything about this kind."""
        return time.monotonic() - self._reflector.heard_at

    async def run(self) -> None:
        """Keeps the store up to date; ends only by cancellation or a bug."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reflector.run())
            group.create_task(
                audit(
                    self._list_watch.versions,
                    lambda: self.store.versions(self._namespace),
                    self._reflector.relist,
                    self._timing,
                )
            )

    def put(self, obj: Object) -> None:
        """Stores an object as the API server returned it, and reports the change."""
        self._report(self.store.put(self._shape(obj)))

    def remove(self, obj: Object) -> None:
        """Removes an object that is deleted, and reports the change."""
        self._report(self.store.remove(obj))

    async def replace(self, records: list[Record], began: float | None) -> None:
        """Replaces all objects in one step, and reports the changes, some at a time.

        Args:
            records: of all objects that exist.
            began: when they were asked for (monotonic, seconds); None if the kind does not exist.
        """
        changes = iter(self.store.replace(records, self._namespace))
        try:
            while some := [*islice(changes, REPORTED_AT_ONCE)]:
                self._report(some)
                await asyncio.sleep(0)
        finally:
            self._report(changes)  # the rest, if interrupted: no later list shows it
        self.synced.set()
        if began is not None:
            self._listed(began)

    def catch_up(self, name: str) -> bool:
        """Takes the events that have arrived, unless none of them can be about a name.

        Args:
            name: any text of the objects that are about to be read from the store; ``""`` for any.

        Returns:
            Whether there were some.
        """
        return self._reflector.catch_up(name)

    def relist(self) -> None:
        """Lists everything once more, as soon as possible."""
        self._reflector.relist()

    def _report(self, changes: Iterable[Delta]) -> None:
        for change in changes:
            self._changed(*change)
