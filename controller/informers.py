"""All informers of the controller: which there are, when they run, and whom their news concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from app.apis.children import (
    CHILDREN,
    MODEL_BOOSTER,
    SELECTOR,
    WORKLOAD,
    is_booster_reference,
    owner_uids,
)
from app.apis.meta import Key, Object, Resource, key_of, owner_references, uid_of
from app.kube import Kube
from controller.informer import Count, Informer
from controller.pace import PACE, Pace
from controller.profiles import Installed
from controller.store import Store
from controller.view import BOOSTER_INDEX, View

log = logging.getLogger(__name__)

Wake = Callable[[Key, bool], None]
"""Lets a key wait for a pass; True if it is only seen for the first time, and can wait longer."""

_UID_INDEX = "uid"


class Informers:
    """Informers of ModelBooster and of every child kind that is served.

    Args:
        kube: the API server.
        wake: told of every ModelBooster that something happened to.
        namespaces: where; everywhere if empty.
        pace: their patience.
        count: told of their failures.
    """

    def __init__(
        self,
        kube: Kube,
        wake: Wake,
        namespaces: Sequence[str] = (),
        pace: Pace = PACE,
        count: Count = lambda resource, what: None,
    ) -> None:
        self._wake = wake
        self._served = {resource: asyncio.Event() for resource in (MODEL_BOOSTER, *CHILDREN)}
        self._served[MODEL_BOOSTER].set()
        self._informers = {
            resource: {
                namespace: Informer(
                    kube,
                    resource,
                    Store(_index(resource)),
                    partial(self._changed, resource, namespace),
                    # Children only by our label; one that lost it is found when it is sent again.
                    label_selector="" if resource is MODEL_BOOSTER else f"{SELECTOR}={WORKLOAD}",
                    namespace=namespace,
                    pace=pace,
                    count=count,
                )
                for namespace in namespaces or (None,)
            }
            for resource in self._served
        }
        self.view = View(
            {
                resource.kind: {place: informer.store for place, informer in informers.items()}
                for resource, informers in self._informers.items()
            }
        )

    async def run(self) -> None:
        """Runs every informer as soon as its kind is served, for ever."""
        async with asyncio.TaskGroup() as group:
            for resource, informers in self._informers.items():
                for informer in informers.values():
                    group.create_task(self._follow(resource, informer))

    def are_served(self, installed: Installed) -> None:
        """Takes in which kinds there are; one that went away again is still asked for."""
        for resource in installed.kinds:
            self._served[resource].set()

    def unsynced(self) -> list[Informer]:
        """Returns the informers of served kinds that have not listed everything yet."""
        return [
            informer
            for resource, informers in self._informers.items()
            if self._served[resource].is_set()
            for informer in informers.values()
            if not informer.synced.is_set()
        ]

    def boosters(self) -> Iterator[Key]:
        """Yields the key of every ModelBooster."""
        for informer in self._informers[MODEL_BOOSTER].values():
            yield from map(key_of, informer.store.all())

    def booster_of(self, uid: str) -> Key | None:
        """Returns where the ModelBooster with a uid stands."""
        for informer in self._informers[MODEL_BOOSTER].values():
            for booster in informer.store.by(_UID_INDEX, uid):
                return key_of(booster)
        return None

    async def _follow(self, resource: Resource, informer: Informer) -> None:
        await self._served[resource].wait()
        await informer.run()

    def _changed(
        self, resource: Resource, namespace: str | None, old: Object | None, new: Object | None
    ) -> None:
        if not self.view.noticed(resource, old, new):
            return
        is_first = not self._informers[resource][namespace].synced.is_set()
        keys: set[Key] = set()
        for obj in (old, new):
            if obj is not None:
                keys.update([key_of(obj)] if resource is MODEL_BOOSTER else self._concerned(obj))
        for key in keys:
            self._wake(key, is_first)

    def _concerned(self, child: Object) -> Iterator[Key]:
        """Yields the ModelBoosters that a child belongs to, or whose predecessor it belongs to."""
        for uid in owner_uids(child):
            if key := self.booster_of(uid):
                yield key
        for ref in owner_references(child):
            if is_booster_reference(ref):
                yield Key(key_of(child).namespace, str(ref.get("name")))


def _index(resource: Resource) -> dict[str, Callable[[Object], Sequence[str]]]:
    if resource is MODEL_BOOSTER:
        return {_UID_INDEX: lambda obj: [uid_of(obj)]}
    return {BOOSTER_INDEX: lambda obj: list(owner_uids(obj))}
