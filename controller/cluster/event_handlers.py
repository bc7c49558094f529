"""Event handlers: which ModelBoosters a watch event concerns.

Each concerned ModelBooster is added to the work queue, as the handlers of controller-runtime do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.cache.informer import Changed
from app.cache.records import Record
from app.model.ownership import is_booster_reference
from app.values.meta import Key, Resource, owner_references
from controller.cluster.download_logs import DownloadLogs
from controller.cluster.indexed_stores import ROUTED_INDEX, IndexedStores
from controller.cluster.model_names import ModelNames
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.own_writes import Expectation, InflightWrite
from controller.cluster.rival_routes import RivalRoutes
from controller.cluster.unlabeled import UnlabeledChildren, indexed_owners
from controller.status.downloads import PodDownload
from controller.status.pod_problems import PodProblem
from controller.status.pod_records import booster_uid, recorded_problem

log = logging.getLogger(__name__)

Enqueue = Callable[[Key, bool], None]
"""Adds a ModelBooster to the work queue; True for low priority."""


class EventHandlers:
    """Handles the events of all informers.

    Args:
        stores: the stores that the informers fill.
        enqueue: adds a ModelBooster to the work queue.
        booster_updated: called for every change of a ModelBooster that is not our own write.
    """

    def __init__(self, stores: IndexedStores, enqueue: Enqueue, booster_updated: Changed) -> None:
        self._stores = stores
        self._enqueue = enqueue
        self._booster_updated = booster_updated
        by_kind = {resource.kind: parts for resource, parts in stores.by_resource.items()}
        self.cache = MutationCache(by_kind, stores.pods, self._concurrent_change)
        self.names = ModelNames(
            list(stores.by_resource[MODEL_BOOSTER].values()),
            list(stores.other_routes.values()),
            list(stores.by_resource[MODEL_ROUTE].values()),
        )
        self.rivals = RivalRoutes(
            list(stores.by_resource[MODEL_BOOSTER].values()),
            [*stores.by_resource[MODEL_ROUTE].values(), *stores.other_routes.values()],
        )
        self.unlabeled = UnlabeledChildren(stores.booster_key)
        self.downloads = DownloadLogs(stores.booster_key, enqueue)

    def object_changed(
        self, resource: Resource, old: Record | None, new: Record | None, *, is_first_list: bool
    ) -> None:
        """Handles an event of a ModelBooster or of a child."""
        is_news = self.cache.observe(resource, old, new)
        self.unlabeled.observe(resource, old, new, is_news=is_news)
        if resource is MODEL_ROUTE:  # also one that we have written ourselves
            self._enqueue_rivals(old, new, is_first_list=is_first_list)
        if resource is MODEL_ROUTE and old is not None and new is None:
            self._name_is_free(old)
        if not is_news:
            return
        if resource is MODEL_BOOSTER:
            self._booster_updated(old, new)
        keys: set[Key] = set()
        for record in (old, new):
            if record is not None:
                keys.update(self._concerned(resource, record))
        for key in keys:
            self._enqueue(key, is_first_list)

    def _name_is_free(self, route: Record) -> None:
        """Enqueues ModelBoosters that may wait for the model name of a deleted ModelRoute."""
        names = [value for index, value in route.entries if index == ROUTED_INDEX]
        for booster in self.names.boosters(route.key.namespace, names):
            if booster.key != route.key:
                self._enqueue(booster.key, False)

    def other_route_changed(
        self, old: Record | None, new: Record | None, *, is_first_list: bool
    ) -> None:
        """Handles an event of a ModelRoute without our label: it may claim a model name."""
        self._enqueue_rivals(old, new, is_first_list=is_first_list)
        for record in filter(None, (old, new)):
            names = [value for index, value in record.entries if index == ROUTED_INDEX]
            for booster in self.names.boosters(record.key.namespace, names):
                self._enqueue(booster.key, is_first_list)

    def _enqueue_rivals(
        self, old: Record | None, new: Record | None, *, is_first_list: bool
    ) -> None:
        keys = {key for record in (old, new) if record for key in self.rivals.rivals(record)}
        for key in keys:
            self._enqueue(key, is_first_list)

    def pod_changed(self, old: Record | None, new: Record | None) -> None:
        """Handles an event of a pod.

        These matter: a change of its problem, its download, its readiness or its annotation, a
        first and a last pod.
        """
        self.downloads.observe(old, new)
        record = new or old
        before, after = (_pod_facts(each) for each in (old, new))
        if record is None or (before == after and old is not None and new is not None):
            return
        key = self._stores.booster_key(booster_uid(record.object))
        if key is None or key.namespace != record.key.namespace:
            return
        if before != after or not self.cache.has_another_pod(record.object):
            self._enqueue(key, True)

    def warmup_pod_changed(self, old: Record | None, new: Record | None) -> None:
        """Handles an event of a pod of a Job: only a change of its download matters."""
        self.downloads.observe(old, new)
        before, after = (each and each.object["download"] for each in (old, new))
        record = new or old
        if record is None or before == after:
            return
        if key := self._stores.booster_key(booster_uid(record.object)):
            self._enqueue(key, True)

    def relisted(self, resource: Resource, namespace: str | None, began_at: float) -> None:
        """Handles a new list: expectations of earlier writes are dropped.

        Args:
            resource: kind that was listed.
            namespace: the namespace that was listed; None for all namespaces.
            began_at: when the list was requested, in seconds of ``time.monotonic``.
        """
        for key in self._writers_of(self.cache.drop_relisted(resource, namespace, began_at)):
            self._enqueue(key, True)

    def drop_expired(self) -> None:
        """Drops the expectations that the watch has not fulfilled in time."""
        for key in self._writers_of(self.cache.drop_expired(time.monotonic())):
            log.warning("%s: the watch did not show a write within a minute", key)
            self._enqueue(key, True)

    def _concurrent_change(self, write: InflightWrite) -> None:
        if write.seen_deletions and write.resource is not MODEL_BOOSTER:
            self.unlabeled.add(write.ref, write.owner_uid)
        self._enqueue(write.booster, False)

    def _writers_of(self, dropped: Iterable[Expectation]) -> set[Key]:
        """Returns the ModelBoosters that dropped expectations belong to."""
        keys: set[Key] = set()
        for expected in dropped:
            key = self._stores.booster_key(expected.owner_uid)
            if key is not None:
                keys.add(key)
                if expected.obj is not None and expected.ref[0] != MODEL_BOOSTER.kind:
                    # No watch has ever shown it, so it may exist without our label.
                    self.unlabeled.add(expected.ref, expected.owner_uid)
        return keys

    def _concerned(self, resource: Resource, record: Record) -> Iterator[Key]:
        """Yields the ModelBoosters that an event of an object concerns."""
        if resource is MODEL_BOOSTER:
            yield record.key
            names = [value for index, value in record.entries if index == ROUTED_INDEX]
            yield from (other.key for other in self.names.other_boosters(record.key, names))
            return
        owners = [self._stores.booster_key(uid) for uid in indexed_owners(record)]
        yield from filter(None, owners)
        if all(owners):
            return
        for ref in owner_references(record.object):
            if is_booster_reference(ref):
                # Its owner is gone. A new ModelBooster of that name waits for its deletion.
                yield Key(record.key.namespace, str(ref.get("name")))


def _pod_facts(record: Record | None) -> tuple[PodProblem | None, PodDownload | None, bool, str]:
    """Returns what a pass reads of a pod: its problem, download, readiness and annotation."""
    if record is None:
        return None, None, False, ""
    pod = record.object
    return recorded_problem(pod), pod["download"], pod["ready"], pod["server"]
