"""The other objects of the cluster, for rules that ask whether a name is taken."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Sequence

from app.apis.definition import is_unpruned
from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.cache.informer import Informer
from app.cache.records import always_whole
from app.cache.store import Store
from app.kube import Kube
from app.lookup import INDEXES, Indexer, StoreLookup
from app.metrics import Metrics
from app.values.meta import Key, Object, Resource

GRACE_SECONDS = 10.0
"""How long admission waits for the other objects to be read; then it answers without them."""

STALE_SECONDS = 400.0
"""Silence of an informer after which it is no longer believed: longer than a watch may last."""


class Neighbours:
    """Follows them.

    Nothing is selected by label: it is other people's objects that are looked for.

    Args:
        kube: the API server.
        namespaces: whose objects; all if empty.
        metrics: told of failures.
        read: told of every ModelBooster as it is read, before it is stored.
    """

    def __init__(
        self,
        kube: Kube,
        namespaces: Sequence[str],
        metrics: Metrics,
        read: Callable[[Object], None] = lambda booster: None,
    ) -> None:

        def booster_claims(booster: Object) -> Object:
            read(booster)
            mark = {"status": {"modelName": ""}} if is_unpruned(booster) else {}
            return {**claims_only(booster), **mark}

        self._informers: list[Informer] = []
        stores: dict[Resource, Indexer] = {}
        for resource in (MODEL_BOOSTER, *CHILDREN):
            parts: dict[str | None, Store] = {}
            for namespace in namespaces or (None,):
                is_booster = resource is MODEL_BOOSTER
                whole = is_unpruned if is_booster else always_whole
                parts[namespace] = Store(INDEXES.get(resource), whole=whole)
                self._informers.append(
                    Informer(
                        kube,
                        resource,
                        parts[namespace],
                        lambda old, new: None,
                        namespace=namespace,
                        shape=booster_claims if is_booster else claims_only,
                        count=metrics.count_informer,
                    )
                )
            stores[resource] = _Several(parts)
        self.lookup = StoreLookup(stores, self._is_believable)
        self._begun_at = time.monotonic()

    async def run(self) -> None:
        """Keeps them as they are in the cluster, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            for informer in self._informers:
                await informer.synced.wait()
            # What is there stays; looking through it again and again would make reviews wait.
            gc.collect()
            gc.freeze()

    def has_pruned_boosters(self) -> bool:
        """Returns whether a ModelBooster was read with a schema that drops some of its fields."""
        return any(i.store.is_pruned for i in self._of_boosters())

    def relist_boosters(self) -> None:
        """Lists all ModelBoosters again, as soon as possible."""
        for informer in self._of_boosters():
            informer.list_anew()

    def _of_boosters(self) -> list[Informer]:
        return [i for i in self._informers if i.resource is MODEL_BOOSTER]

    def fault(self) -> str | None:
        """Returns why admission should wait: objects are still being read, and not for long."""
        missing = [str(i.resource) for i in self._informers if not i.synced.is_set()]
        if not missing or time.monotonic() - self._begun_at > GRACE_SECONDS:
            return None
        return f"still reading {', '.join(dict.fromkeys(missing))}"

    def _is_believable(self) -> bool:
        return all(
            informer.synced.is_set() and informer.silent_seconds < STALE_SECONDS
            for informer in self._informers
        )


class _Several:
    """Stores of several namespaces as one."""

    def __init__(self, stores: dict[str | None, Store]) -> None:
        self._stores = stores

    def get(self, key: Key) -> Object | None:
        store = self._stores.get(None if None in self._stores else key.namespace)
        return store.get(key) if store else None

    def by(self, index: str, value: str) -> Iterable[Object]:
        return [obj for store in self._stores.values() for obj in store.by(index, value)]


def claims_only(obj: Object) -> Object:
    """Returns what an object says about names, as rules across objects ask for it."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "generation", "labels",
            "creationTimestamp", "deletionTimestamp", "ownerReferences")  # fmt: skip
    slim: Object = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": {name: metadata[name] for name in kept if name in metadata},
    }
    if obj.get("kind") in (MODEL_BOOSTER.kind, MODEL_ROUTE.kind) and "spec" in obj:
        slim["spec"] = obj["spec"]
    return slim
