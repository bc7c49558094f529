"""Where an informer's objects come from: one kind, in one scope, of one API server."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from app.apis.meta import Key, Object, Resource, key_of
from app.errors import Unreachable
from app.kube import Event, Kube, ObjectList
from controller.pace import Pace


@dataclass(frozen=True, kw_only=True)
class Source:
    """Asks the server for the objects of a kind.

    Args:
        kube: the API server.
        resource: the kind.
        namespace: None for all namespaces.
        label_selector: only objects with these labels.
        field_selector: only objects with these fields.
        shape: what of an object is kept; may change the one it is given.
        pace: time limits.
    """

    kube: Kube
    resource: Resource
    namespace: str | None
    label_selector: str
    field_selector: str
    shape: Callable[[Object], Object]
    pace: Pace

    async def list(self, version: str | None) -> ObjectList:
        """Lists everything, at a version not older than this; None: as of now."""
        listed = await self.kube.list(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=version,
        )
        for i, item in enumerate(listed.items):  # in place: no second list beside the first
            listed.items[i] = self.shape(item)
        return listed

    async def versions(self) -> dict[str, str]:
        """Returns the resource version of everything, by uid."""
        return await self.kube.versions(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version="0",
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

    async def collect(self, events: AsyncIterator[Event]) -> ObjectList:
        """Gathers what a watch with initial events tells first: the objects that exist.

        Raises:
            Unreachable: the watch ended before the bookmark that says that they are complete.
        """
        found: dict[Key, Object] = {}
        async for kind, obj in events:
            metadata = obj["metadata"]
            if kind == "BOOKMARK":
                annotations = metadata.get("annotations") or {}
                if annotations.get("k8s.io/initial-events-end") == "true":
                    return ObjectList([*found.values()], metadata["resourceVersion"])
            elif kind == "DELETED":
                found.pop(key_of(obj), None)
            else:
                found[key_of(obj)] = self.shape(obj)
        raise Unreachable("the watch ended before everything was listed")

    async def server_version(self) -> str:
        """Returns which release the server is of: what it refuses, a later one may know."""
        return str((await self.kube.read("/version")).body.get("gitVersion", ""))
