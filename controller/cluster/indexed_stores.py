"""The controller's stores: the indexes of each kind, and what is kept of its objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from app.apis.definition import is_unpruned
from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.cache.records import MAX_FRESH
from app.cache.store import Store
from app.lookup import (
    adapters_of_booster,
    adapters_of_route,
    model_name_of_booster,
    model_name_of_route,
)
from app.model.ownership import owner_uids
from app.values.meta import IndexFunc, Key, Object, Resource, uid_of
from controller.status.pod_records import POD, booster_uid, pod_facts, restore_pod

BOOSTER_INDEX = "booster"
"""Index of children and pods: the uids of the ModelBoosters that they may belong to."""

UID_INDEX = "uid"
"""Index of ModelBoosters: their own uid."""

ROUTED_INDEX = "routed"
"""Index of ModelBoosters and of ModelRoutes: the model name that clients request."""

ADAPTER_INDEX = "adapter"
"""Index of ModelBoosters and of ModelRoutes: the names of their LoRA adapters."""

Conditions = tuple[tuple[str, str], ...]
"""Type and status of every condition of a ModelBooster."""

StoreByNamespace = Mapping[str | None, Store]
"""Stores of one kind; the key None means all namespaces."""


class IndexedStores:
    """All stores of the controller.

    Args:
        namespaces: one store of each kind for each; None means all namespaces.
        watch_pods: whether pods are stored at all.
    """

    def __init__(self, namespaces: Sequence[str | None], *, watch_pods: bool = True) -> None:
        self.by_resource: dict[Resource, StoreByNamespace] = {
            resource: {namespace: store_of(resource) for namespace in namespaces}
            for resource in (MODEL_BOOSTER, *CHILDREN)
        }
        self.other_routes: StoreByNamespace = {
            namespace: store_of_other_routes() for namespace in namespaces
        }
        """ModelRoutes without our label."""
        self.pods: StoreByNamespace = {
            namespace: store_of(POD) for namespace in (namespaces if watch_pods else ())
        }

    def count(self, resource: Resource) -> int:
        """Returns the number of stored objects of a kind."""
        return sum(len(store) for store in self.by_resource[resource].values())

    def condition_counts(self) -> Counter[tuple[str, str]]:
        """Returns the number of ModelBoosters by condition type and status."""
        return Counter(
            condition
            for store in self.by_resource[MODEL_BOOSTER].values()
            for record in store.records()
            for condition in record.facts
        )

    def booster_keys(self) -> Iterator[Key]:
        """Yields the key of every ModelBooster."""
        for store in self.by_resource[MODEL_BOOSTER].values():
            yield from (record.key for record in store.records())

    def booster_key(self, uid: str) -> Key | None:
        """Returns the key of the ModelBooster with this uid; None if there is none."""
        for store in self.by_resource[MODEL_BOOSTER].values():
            for record in store.by_index(UID_INDEX, uid):
                return record.key
        return None

    def has_pruned_boosters(self) -> bool:
        """Returns whether a ModelBooster was read with a schema that drops some of its fields."""
        return any(store.is_pruned for store in self.by_resource[MODEL_BOOSTER].values())

    def pack(self) -> None:
        """Packs every object, to save memory. Call it when no pass is running."""
        for stores in (*self.by_resource.values(), self.other_routes):
            for store in stores.values():
                store.compress_all()


_ROUTE_INDEXES: dict[str, IndexFunc] = {
    ROUTED_INDEX: model_name_of_route,
    ADAPTER_INDEX: adapters_of_route,
}


def store_of(resource: Resource) -> Store:
    """Returns an empty store for a kind."""
    if resource is POD:
        indexes: dict[str, IndexFunc] = {BOOSTER_INDEX: lambda record: [booster_uid(record)]}
        return Store(indexes, facts=pod_facts, restore=restore_pod)
    if resource is MODEL_ROUTE:
        return Store({BOOSTER_INDEX: owner_uids, **_ROUTE_INDEXES}, max_fresh=MAX_FRESH)
    if resource is not MODEL_BOOSTER:
        return Store({BOOSTER_INDEX: owner_uids}, max_fresh=MAX_FRESH)
    indexes = {
        UID_INDEX: lambda obj: [uid_of(obj)],
        ROUTED_INDEX: model_name_of_booster,
        ADAPTER_INDEX: adapters_of_booster,
    }
    return Store(indexes, facts=_conditions, whole=is_unpruned, max_fresh=MAX_FRESH)


def store_of_other_routes() -> Store:
    """Returns an empty store for ModelRoutes that the controller has not created."""
    return Store(_ROUTE_INDEXES)


def _conditions(booster: Object) -> Conditions:
    """Returns what every metrics scrape reads of each ModelBooster."""
    conditions = (booster.get("status") or {}).get("conditions") or ()
    return _shared(tuple((str(c.get("type")), str(c.get("status"))) for c in conditions))


@lru_cache(maxsize=64)
def _shared(conditions: Conditions) -> Conditions:
    """Returns one instance of equal conditions: many ModelBoosters are in few states."""
    return conditions
