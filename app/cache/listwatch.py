"""Where an informer's objects come from: one kind, in one scope, of one API server."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from app.cache.records import Record
from app.cache.timing import Pace
from app.errors import Unreachable
from app.kube import Event, Kube
from app.values.meta import Key, Object, Resource, key_of, uid_of


@dataclass(frozen=True)
class Listing:
    """Everything that exists, and the version of the collection at which it was read."""

    records: list[Record]
    resource_version: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """Asks the server for the objects of a kind.

    Args:
        kube: the API server.
        resource: the kind.
        namespace: None for all namespaces.
        label_selector: only objects with these labels.
        field_selector: only objects with these fields.
        record: makes the record of an object that is listed.
        pace: time limits.
    """

    kube: Kube
    resource: Resource
    namespace: str | None
    label_selector: str
    field_selector: str
    record: Callable[[Object], Record]
    pace: Pace

    async def list(self, version: str | None) -> Listing:
        """Lists everything, at a version not older than this; None: as of now."""
        found: list[Record] = []
        read = await self._each(lambda obj: found.append(self.record(obj)), version)
        return Listing(found, read)

    async def versions(self) -> dict[str, str]:
        """Returns the resource version of everything, by uid: a list at a fraction of its size."""
        found: dict[str, str] = {}

        def take(obj: Object) -> None:
            found[uid_of(obj)] = obj["metadata"]["resourceVersion"]

        await self._each(take, "0", only_metadata=True)
        return found

    async def _each(
        self, take: Callable[[Object], object], version: str | None, *, only_metadata: bool = False
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

    def watch(
        self, version: str | None, *, initial_events: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Watches from a version on, for about five minutes."""
        return self.kube.watch(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=version,
            initial_events=initial_events,
            timeout_seconds=random.randint(*self.pace.watch_seconds),  # noqa: S311 - jitter
            grace_seconds=self.pace.grace_seconds,
        )

    async def collect(self, events: AsyncIterator[Event]) -> Listing:
        """Gathers what a watch with initial events tells first: the objects that exist.

        Raises:
            Unreachable: the watch ended before the bookmark that says that they are complete.
        """
        found: dict[Key, Record] = {}
        async for kind, obj in events:
            metadata = obj["metadata"]
            if kind == "BOOKMARK":
                annotations = metadata.get("annotations") or {}
                if annotations.get("k8s.io/initial-events-end") == "true":
                    return Listing([*found.values()], metadata["resourceVersion"])
            elif kind == "DELETED":
                found.pop(key_of(obj), None)
            else:
                record = self.record(obj)
                found[record.key] = record
        raise Unreachable("the watch ended before everything was listed")

    async def server_version(self) -> str:
        """Returns which release the server is of: what it refuses, a later one may know."""
        return str((await self.kube.read("/version")).body.get("gitVersion", ""))
