"""All informers of the controller: which there are, when they run, and whom their news concerns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.cache.informer import Changed, Count, Informer, without_managed_fields
from app.cache.records import Record
from app.cache.timing import DEFAULT_TIMING, Timing
from app.installed import Installed
from app.kube import Kube
from app.model.children import is_booster_reference
from app.values.meta import Key, Object, Resource, key_of, owner_references
from controller.cluster.lost import OTHERS, OURS, Lost, owners_of
from controller.cluster.rivals import Names
from controller.cluster.stores import ROUTED_INDEX, UID_INDEX, store_of, store_of_others_routes
from controller.cluster.view import View
from controller.cluster.writes import Expected, Write
from controller.status.pods import POD, model_uid, pod_trouble, slim

log = logging.getLogger(__name__)

Wake = Callable[[Key, bool], None]
"""Lets a key wait for a pass; True if that can wait longer: nothing new, or mere details."""


class Informers:
    """Informers of ModelBooster, of every child kind, of others' ModelRoutes, and of pods.

    Args:
        kube: the API server.
        wake: told of every ModelBooster that something happened to.
        namespaces: where; everywhere if empty.
        timing: their patience.
        count: told of their failures.
        watch_pods: whether to look at pods at all.
        read: told of every ModelBooster as it is read, before it is stored.
        updated: told of every change of a ModelBooster that is not our own write.
    """

    def __init__(
        self,
        kube: Kube,
        wake: Wake,
        namespaces: Sequence[str] = (),
        timing: Timing = DEFAULT_TIMING,
        count: Count = lambda resource, what: None,
        *,
        watch_pods: bool = True,
        read: Callable[[Object], None] = lambda booster: None,
        updated: Changed = lambda old, new: None,
    ) -> None:
        self._kube = kube
        self._read = read
        self._updated = updated
        self._namespaces = namespaces or (None,)
        self._wake = wake
        self._served = {resource: asyncio.Event() for resource in (MODEL_BOOSTER, *CHILDREN)}
        self._served[MODEL_BOOSTER].set()
        self._informers = {
            resource: {
                namespace: Informer(
                    kube,
                    resource,
                    store_of(resource),
                    partial(self._changed, resource, namespace),
                    # Children only by our label; for those that lost it see ``Lost``.
                    label_selector="" if resource is MODEL_BOOSTER else OURS,
                    namespace=namespace,
                    shape=self._read_booster
                    if resource is MODEL_BOOSTER
                    else without_managed_fields,
                    timing=timing,
                    count=count,
                    listed=partial(self._relisted, resource, namespace),
                )
                for namespace in self._namespaces
            }
            for resource in self._served
        }
        self._pods = {
            namespace: self._of_pods(kube, namespace, timing, count)
            for namespace in (self._namespaces if watch_pods else ())
        }
        # Whose name a route has taken must know of it, also if nobody asked the webhook.
        self._others_routes = {
            namespace: Informer(
                kube,
                MODEL_ROUTE,
                store_of_others_routes(),
                partial(self._others_route_changed, namespace),
                label_selector=OTHERS,
                namespace=namespace,
                timing=timing,
                count=count,
            )
            for namespace in self._namespaces
        }
        self.view = View(
            {
                resource.kind: {place: informer.store for place, informer in informers.items()}
                for resource, informers in self._informers.items()
            },
            {place: informer.store for place, informer in self._pods.items()},
            self._overtaken,
        )
        self.names = Names(
            [informer.store for informer in self._informers[MODEL_BOOSTER].values()],
            [informer.store for informer in self._others_routes.values()],
        )
        self.lost = Lost(self.booster_of)

    def _of_pods(self, kube: Kube, namespace: str | None, timing: Timing, count: Count) -> Informer:
        store = store_of(POD)
        return Informer(
            kube,
            POD,
            store,
            self._pod_changed,
            label_selector=OURS,
            namespace=namespace,
            shape=lambda pod: slim(pod, store.get(key_of(pod))),
            timing=timing,
            count=count,
        )

    def _read_booster(self, booster: Object) -> Object:
        self._read(booster)
        return without_managed_fields(booster)

    async def run(self) -> None:
        """Runs every informer as soon as its kind is served, for ever."""
        async with asyncio.TaskGroup() as group:
            for pods in self._pods.values():
                group.create_task(pods.run())
            for resource, informer in self._of_kinds():
                group.create_task(self._follow(resource, informer))

    def _of_kinds(self) -> Iterator[tuple[Resource, Informer]]:
        """Yields every informer but those of pods, with its kind."""
        for resource, informers in self._informers.items():
            yield from ((resource, informer) for informer in informers.values())
        yield from ((MODEL_ROUTE, informer) for informer in self._others_routes.values())

    def are_served(self, installed: Installed) -> None:
        """Takes in which kinds there are; one that went away again is still asked for."""
        for resource in installed.kinds:
            self._served[resource].set()

    def unsynced(self) -> list[Informer]:
        """Returns the informers of served kinds that have not listed everything yet."""
        return [
            informer
            for resource, informer in self._of_kinds()
            if self._served[resource].is_set() and not informer.synced.is_set()
        ]

    async def pods_synced(self) -> None:
        """Waits until the pods are listed; nothing that matters to what we do depends on them."""
        for informer in self._pods.values():
            await informer.synced.wait()

    def silences(self) -> Iterator[tuple[Resource, Callable[[], float]]]:
        """Yields every kind, with a function that says how long nothing was heard about it."""
        for kind in self._informers:
            of_kind = [informer for resource, informer in self._of_kinds() if resource is kind]
            yield kind, partial(_silence, of_kind)
        if self._pods:
            yield POD, partial(_silence, list(self._pods.values()))

    def count(self, resource: Resource) -> int:
        """Returns how many objects of a kind are known."""
        return sum(len(informer.store) for informer in self._informers[resource].values())

    def conditions(self) -> Counter[tuple[str, str]]:
        """Returns how many ModelBoosters have which condition with which status."""
        return Counter(
            condition
            for informer in self._informers[MODEL_BOOSTER].values()
            for record in informer.store.records()
            for condition in record.facts
        )

    def rest(self) -> None:
        """Takes as little room as it goes; to be called when nothing is being worked on."""
        for _, informer in self._of_kinds():
            informer.store.compress_all()

    def boosters_pruned(self) -> bool:
        """Returns whether a ModelBooster was read with a schema that drops some of its fields."""
        return any(i.store.is_pruned for i in self._informers[MODEL_BOOSTER].values())

    def list_boosters_anew(self) -> None:
        """Lists all ModelBoosters again, as soon as possible."""
        for informer in self._informers[MODEL_BOOSTER].values():
            informer.relist()

    def boosters(self) -> Iterator[Key]:
        """Yields the key of every ModelBooster."""
        for informer in self._informers[MODEL_BOOSTER].values():
            yield from (record.key for record in informer.store.records())

    def booster_of(self, uid: str) -> Key | None:
        """Returns where the ModelBooster with a uid stands."""
        for informer in self._informers[MODEL_BOOSTER].values():
            for record in informer.store.by_index(UID_INDEX, uid):
                return record.key
        return None

    async def _follow(self, resource: Resource, informer: Informer) -> None:
        await self._served[resource].wait()
        await informer.run()

    def _changed(
        self, resource: Resource, namespace: str | None, old: Record | None, new: Record | None
    ) -> None:
        is_news = self.view.noticed(resource, old, new)
        self.lost.noticed(resource, old, new, is_news=is_news)
        if not is_news:
            return
        if resource is MODEL_BOOSTER:
            self._updated(old, new)
        is_first = not self._informers[resource][namespace].synced.is_set()
        keys: set[Key] = set()
        for record in (old, new):
            if record is not None:
                keys.update(self._concerned(resource, record))
        for key in keys:
            self._wake(key, is_first)

    def _overtaken(self, write: Write) -> None:
        """Lets a ModelBooster look again that something happened to while we wrote."""
        if write.gone and write.resource is not MODEL_BOOSTER:
            self.lost.note(write.place, write.owner)
        self._wake(write.booster, False)

    async def seek_lost(self) -> None:
        """Looks for children that are without our label: nobody saw when they lost it.

        Raises:
            ApiError, Unreachable: not all of them were looked for.
        """
        kinds = [resource for resource in CHILDREN if self._served[resource].is_set()]
        for key in await self.lost.seek(self._kube, kinds, self._namespaces):
            self._wake(key, True)

    def _relisted(self, resource: Resource, namespace: str | None, began: float) -> None:
        """Lets those look again whose writes a new listing may have overtaken."""
        for key in self._concerned_by(self.view.relisted(resource, namespace, began)):
            self._wake(key, True)

    def expire(self) -> None:
        """Lets those look again whose writes the watch should have shown by now."""
        for key in self._concerned_by(self.view.expired(time.monotonic())):
            log.warning("%s: a write was not seen in the watch for a minute", key)
            self._wake(key, True)

    def _concerned_by(self, dropped: Iterable[Expected]) -> set[Key]:
        """Returns the ModelBoosters that have written what is not expected any more."""
        keys: set[Key] = set()
        for expected in dropped:
            key = self.booster_of(expected.owner)
            if key is not None:
                keys.add(key)
                if expected.obj is not None and expected.place[0] != MODEL_BOOSTER.kind:
                    # No watch has ever shown it; it may stand without our label.
                    self.lost.note(expected.place, expected.owner)
        return keys

    def _others_route_changed(
        self, namespace: str | None, old: Record | None, new: Record | None
    ) -> None:
        """Wakes whoever is asked for by the name that somebody's route has or had."""
        is_first = not self._others_routes[namespace].synced.is_set()
        for record in filter(None, (old, new)):
            names = [value for _, value in record.entries]
            for booster in self.names.called(record.key.namespace, names):
                self._wake(booster.key, is_first)

    def _pod_changed(self, old: Record | None, new: Record | None) -> None:
        """Wakes a ModelBooster only if there is something new to say of its pods."""
        record = new or old
        before, after = (pod_trouble(each.object if each else None) for each in (old, new))
        if record is None or before == after:
            return
        key = self.booster_of(model_uid(record.object))
        if key is not None and key.namespace == record.key.namespace:
            self._wake(key, True)

    def _concerned(self, resource: Resource, record: Record) -> Iterator[Key]:
        """Yields the ModelBoosters that should look when something happens to an object."""
        if resource is MODEL_BOOSTER:
            yield record.key
            names = [value for index, value in record.entries if index == ROUTED_INDEX]
            yield from (other.key for other in self.names.others(record.key, names))
            return
        owners = [self.booster_of(uid) for uid in owners_of(record)]
        yield from filter(None, owners)
        if all(owners):
            return
        for ref in owner_references(record.object):
            if is_booster_reference(ref):  # a predecessor's child: its successor waits for it to go
                yield Key(record.key.namespace, str(ref.get("name")))


def _silence(informers: Sequence[Informer]) -> float:
    """The longest silence; a kind that is not served, or not listed yet, has not begun to talk."""
    return max((each.silent_seconds for each in informers if each.synced.is_set()), default=0.0)
