"""One object of the cluster, followed by name: its newest state, and a call when it changes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

from app.cache.retry import WatchRetry
from app.errors import ApiError, Unreachable
from app.kube import Kube
from app.values.meta import Object, Resource

log = logging.getLogger(__name__)

WATCH_SECONDS = (240, 360)
"""Shortest and longest watch; drawn anew each time, so that replicas do not come back at once."""


class Followed:
    """Follows one object, which may come and go.

    A list by name and a watch from there on; after any error but the end of a watch the list comes
    again, since it costs next to nothing. ``WatchRetry`` says how soon. ``newest`` lags behind the
    cluster like any store: what is written must be guarded by the resource version.

    Args:
        kube: the API server.
        resource: the object's kind.
        namespace: None for kinds outside of namespaces.
        name: its name.
        changed: called after ``newest`` was set.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        namespace: str | None,
        name: str,
        changed: Callable[[], None],
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self.newest: Object | None = None
        """The object as last seen, None if there is none."""
        self.synced = asyncio.Event()
        """Set once it is known whether there is one."""
        self._kube = kube
        self._selector = f"metadata.name={name}"
        self._changed = changed

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"

    def saw(self, obj: Object | None) -> None:
        """Takes what a write returned for the newest, before the watch shows it."""
        self.newest = obj
        self._changed()

    async def read(self) -> str:
        """Reads the object anew; returns the version to watch from."""
        found = await self._kube.list(
            self.resource, namespace=self.namespace, field_selector=self._selector
        )
        self.saw(found.items[0] if found.items else None)
        self.synced.set()
        return found.resource_version

    async def run(self) -> None:
        """Follows the object until it is cancelled."""
        retry, version = WatchRetry(), ""
        while True:
            try:
                version = await self.read()
                while True:
                    version = await self._watch(version, retry)
            except (ApiError, Unreachable) as exc:
                pause = retry.after_watch(exc).pause_seconds if version else retry.after_list(exc)
                version = ""
                if pause > 0:
                    log.warning("%s cannot be followed: %s; next try in %.3g s", self, exc, pause)
            await asyncio.sleep(pause)

    async def _watch(self, version: str, retry: WatchRetry) -> str:
        """Follows one watch to its end; returns the version to go on from."""
        retry.opening()
        events = self._kube.watch(
            self.resource,
            namespace=self.namespace,
            field_selector=self._selector,
            resource_version=version,
            timeout_seconds=random.randint(*WATCH_SECONDS),  # noqa: S311 - jitter, no secret
        )
        async with aclosing(events):
            async for event in events:
                retry.told()
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    self.saw(None if event.type == "DELETED" else event.object)
        retry.ended()
        return version
