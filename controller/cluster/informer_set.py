"""All informers of the controller: which there are, and when they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.cache.informer import Changed, Count, Informer, without_managed_fields
from app.cache.records import Record
from app.cache.store import Store
from app.cache.timing import DEFAULT_TIMING, Timing
from app.installed import Installed
from app.kube import Kube
from app.values.meta import Object, Resource, key_of
from controller.cluster.event_handlers import Enqueue, EventHandlers
from controller.cluster.indexed_stores import IndexedStores
from controller.cluster.unlabeled import LABELED_SELECTOR, UNLABELED_SELECTOR
from controller.cluster.warmup_watch import WarmupWatch
from controller.status.pod_records import POD, pod_record


class InformerSet:
    """Informers of ModelBooster, of every child kind, of other ModelRoutes, and of pods.

    Args:
        kube: the API server.
        enqueue: adds a ModelBooster to the work queue.
        namespaces: namespaces to watch; all if empty.
        timing: time limits of the informers.
        count: called for every failure of an informer.
        watch_pods: whether to watch pods.
        booster_read: called for every ModelBooster as it is read, before it is stored.
        booster_updated: called for every change of a ModelBooster that is not our own write.
    """

    def __init__(
        self,
        kube: Kube,
        enqueue: Enqueue,
        namespaces: Sequence[str] = (),
        timing: Timing = DEFAULT_TIMING,
        count: Count = lambda resource, what: None,
        *,
        watch_pods: bool = True,
        booster_read: Callable[[Object], None] = lambda booster: None,
        booster_updated: Changed = lambda old, new: None,
    ) -> None:
        self._kube = kube
        self._enqueue = enqueue
        self._booster_read = booster_read
        self._namespaces = namespaces or (None,)
        self.stores = IndexedStores(self._namespaces, watch_pods=watch_pods)
        self.handlers = EventHandlers(self.stores, enqueue, booster_updated)
        self.cache = self.handlers.cache
        self._served = {resource: asyncio.Event() for resource in self.stores.by_resource}
        self._served[MODEL_BOOSTER].set()
        self._informers = {
            resource: {
                namespace: Informer(
                    kube,
                    resource,
                    store,
                    partial(self._object_changed, resource, namespace),
                    # For children that lost our label see ``UnlabeledChildren``.
                    label_selector="" if resource is MODEL_BOOSTER else LABELED_SELECTOR,
                    namespace=namespace,
                    shape=self._shape_booster
                    if resource is MODEL_BOOSTER
                    else without_managed_fields,
                    timing=timing,
                    count=count,
                    listed=partial(self.handlers.relisted, resource, namespace),
                )
                for namespace, store in stores.items()
            }
            for resource, stores in self.stores.by_resource.items()
        }
        # A ModelRoute of somebody else may claim a model name without asking the webhook.
        self._other_routes = {
            namespace: Informer(
                kube,
                MODEL_ROUTE,
                store,
                partial(self._other_route_changed, namespace),
                label_selector=UNLABELED_SELECTOR,
                namespace=namespace,
                timing=timing,
                count=count,
            )
            for namespace, store in self.stores.other_routes.items()
        }
        self._pods = [
            Informer(
                kube,
                POD,
                store,
                self.handlers.pod_changed,
                label_selector=LABELED_SELECTOR,
                namespace=namespace,
                shape=partial(_shape_pod, store),
                timing=timing,
                count=count,
            )
            for namespace, store in self.stores.pods.items()
        ]

        self.warmups = WarmupWatch(
            kube,
            lambda key: enqueue(key, False),
            self.stores.booster_key,
            self._namespaces,
            timing,
            count,
            self.handlers.warmup_pod_changed if watch_pods else None,
        )

    async def run(self) -> None:
        """Runs every informer as soon as its kind is served, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.warmups.run())
            for pods in self._pods:
                group.create_task(pods.run())
            for resource, informer in self._informers_of_kinds():
                group.create_task(self._run_when_served(resource, informer))

    def set_served(self, installed: Installed) -> None:
        """Starts the informers of the installed kinds.

        The informers of a kind that is removed later keep running.
        """
        for resource in installed.kinds:
            self._served[resource].set()

    async def read_download_logs(self, round_seconds: float) -> None:
        """See ``DownloadLogs.run``."""
        await self.handlers.downloads.run(self._kube, round_seconds)

    def unsynced(self) -> list[Informer]:
        """Returns the informers of served kinds that have not finished their first list."""
        return [
            informer
            for resource, informer in self._informers_of_kinds()
            if self._served[resource].is_set() and not informer.synced.is_set()
        ]

    async def wait_for_pods(self) -> None:
        """Waits until the pods are listed. Passes do not depend on them."""
        for informer in self._pods:
            await informer.synced.wait()

    def silences(self) -> Iterator[tuple[Resource, Callable[[], float]]]:
        """Yields every kind, with a function that returns the seconds since its last event."""
        for kind in self._informers:
            informers = [i for resource, i in self._informers_of_kinds() if resource is kind]
            yield kind, partial(_silence, informers)
        if self._pods:
            yield POD, partial(_silence, self._pods)

    def relist_boosters(self) -> None:
        """Lists all ModelBoosters again, as soon as possible."""
        for informer in self._informers[MODEL_BOOSTER].values():
            informer.relist()

    async def search_unlabeled(self) -> None:
        """Lists children that lost our label, and adds their ModelBoosters to the queue.

        Raises:
            ApiError, Unreachable: the search is incomplete.
        """
        kinds = [resource for resource in CHILDREN if self._served[resource].is_set()]
        unlabeled = self.handlers.unlabeled
        for key in await unlabeled.search(self._kube, kinds, self._namespaces):
            self._enqueue(key, True)

    def _informers_of_kinds(self) -> Iterator[tuple[Resource, Informer]]:
        """Yields every informer except those of pods, with its kind."""
        for resource, informers in self._informers.items():
            yield from ((resource, informer) for informer in informers.values())
        yield from ((MODEL_ROUTE, informer) for informer in self._other_routes.values())

    async def _run_when_served(self, resource: Resource, informer: Informer) -> None:
        await self._served[resource].wait()
        await informer.run()

    def _shape_booster(self, booster: Object) -> Object:
        self._booster_read(booster)
        return without_managed_fields(booster)

    def _object_changed(
        self, resource: Resource, namespace: str | None, old: Record | None, new: Record | None
    ) -> None:
        is_first_list = not self._informers[resource][namespace].synced.is_set()
        self.handlers.object_changed(resource, old, new, is_first_list=is_first_list)

    def _other_route_changed(
        self, namespace: str | None, old: Record | None, new: Record | None
    ) -> None:
        is_first_list = not self._other_routes[namespace].synced.is_set()
        self.handlers.other_route_changed(old, new, is_first_list=is_first_list)


def _shape_pod(store: Store, pod: Object) -> Object:
    return pod_record(pod, store.get(key_of(pod)))


def _silence(informers: Sequence[Informer]) -> float:
    """Returns the longest silence in seconds; informers that are not synced do not count."""
    return max((each.silent_seconds for each in informers if each.synced.is_set()), default=0.0)
