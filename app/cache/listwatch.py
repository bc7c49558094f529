"""The list and watch requests of an informer, as client-go's ListWatch: one kind in one scope."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from enum import Enum, auto

from app.cache.records import Record
from app.cache.timing import Timing
from app.errors import Unreachable
from app.kube import Backlog, Event, Kube
from app.values.meta import Key, Object, Resource, key_of, uid_of
from app.values.value import hashable_value, keyword_value, value


class Freshness(Enum):
    """How current a list must be, if it need not follow a known version."""

    ANY = auto()
    """Whatever the API server has in its cache."""

    LATEST = auto()
    """The state now, at the price of a quorum read."""


@hashable_value
class NotOlderThan:
    """A list of this resource version or a later one, so that the store never goes back in time."""

    version: str


Wanted = Freshness | NotOlderThan
"""How current a list must be."""


@value
class Listing:
    """All objects, and the version of the collection at which they were read."""

    records: list[Record]
    resource_version: str


@keyword_value
class ListWatch:
    """Lists and watches the objects of a kind. Every method may raise ApiError or Unreachable.

    Args:
        kube: the API server.
        resource: the kind.
        namespace: None for all namespaces.
        label_selector: only objects with these labels.
        field_selector: only objects with these fields.
        record: returns the record to store for a listed object.
        timing: time limits.
        backlog: what has arrived of the present watch and has not been decoded.
        only_metadata: whether to read only the metadata of the objects.
    """

    kube: Kube
    resource: Resource
    namespace: str | None
    label_selector: str
    field_selector: str
    record: Callable[[Object], Record]
    timing: Timing
    backlog: Backlog
    only_metadata: bool = False

    async def list(self, wanted: Wanted) -> Listing:
        """Lists all objects in a single request."""
        version: str | None
        match wanted:
            case NotOlderThan(version):
                pass
            case Freshness.ANY:
                version = "0"
            case Freshness.LATEST:
                version = None
        records: list[Record] = []
        read = await self._each(
            lambda obj: records.append(self.record(obj)),
            version,
            only_metadata=self.only_metadata,
        )
        return Listing(records, read)

    async def versions(self) -> dict[str, str]:
        """Returns the resource version of every object, by uid, from a list of metadata only."""
        versions: dict[str, str] = {}

        def take(obj: Object) -> None:
            versions[uid_of(obj)] = obj["metadata"]["resourceVersion"]

        await self._each(take, "0", only_metadata=True)
        return versions

    async def _each(
        self, take: Callable[[Object], object], version: str | None, *, only_metadata: bool
    ) -> str:
        return await self.kube.each(
            self.resource,
            take,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=version,
            only_metadata=only_metadata,
        )

    def watch(self, version: str) -> AsyncGenerator[Event, None]:
        """Watches what happens after a version, for about five minutes."""
        return self._watch(version)

    def stream(self, wanted: Wanted) -> AsyncGenerator[Event, None]:
        """Begins a streaming list: a watch that first sends all objects; see ``collect``."""
        version = wanted.version if isinstance(wanted, NotOlderThan) else ""
        return self._watch(version, initial_events=True)

    def _watch(self, version: str, *, initial_events: bool = False) -> AsyncGenerator[Event, None]:
        return self.kube.watch(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=version,
            initial_events=initial_events,
            only_metadata=self.only_metadata,
            timeout_seconds=random.randint(*self.timing.watch_seconds),  # noqa: S311 - jitter
            grace_seconds=self.timing.grace_seconds,
            backlog=self.backlog,
        )

    async def collect(
        self, events: AsyncIterator[Event], heard: Callable[[], None] = lambda: None
    ) -> Listing:
        """Returns the objects that a streaming list sends first.

        Args:
            events: the events of the stream.
            heard: called with each event.

        Raises:
            Unreachable: the stream ended before the bookmark that follows the last object.
        """
        records: dict[Key, Record] = {}
        async for kind, obj in events:
            heard()
            metadata = obj["metadata"]
            if kind == "BOOKMARK":
                annotations = metadata.get("annotations") or {}
                if annotations.get("k8s.io/initial-events-end") == "true":
                    return Listing([*records.values()], metadata["resourceVersion"])
            elif kind == "DELETED":
                records.pop(key_of(obj), None)
            else:
                record = self.record(obj)
                records[record.key] = record
        raise Unreachable("the watch ended before everything was listed")

    async def server_version(self) -> str:
        """Returns the release of the API server. A later one may support streaming lists."""
        return str((await self.kube.read("/version")).body.get("gitVersion", ""))
