"""A cache of the objects of the cluster, for rules that check whether a name is taken."""

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
from app.model.digests import content_digest
from app.values.meta import Key, Object, Resource

MAX_SYNC_SECONDS = 10.0
"""How long admission is unready while the cache fills; then it answers without the cache."""

MAX_SILENCE_SECONDS = 400.0
"""An informer that receives nothing for this time is stale; no watch lasts longer."""

_WITH_SPEC = (MODEL_BOOSTER, MODEL_ROUTE)
"""The kinds of whose objects rules read more than names, labels and owners."""

_KINDS_WITH_SPEC = frozenset(resource.kind for resource in _WITH_SPEC)

_NOT_READ = frozenset({"resourceVersion", "generation"})
"""Fields of the metadata that change although nothing changes that a rule reads."""


class LookupCache:
    """Informers of ModelBoosters and of all child kinds, no matter who created the objects.

    Args:
        kube: the API server.
        namespaces: namespaces to watch; all if empty.
        metrics: counts failures.
        read: called with every ModelBooster, before it is stored.
    """

    def __init__(
        self,
        kube: Kube,
        namespaces: Sequence[str],
        metrics: Metrics,
        read: Callable[[Object], None] = lambda booster: None,
    ) -> None:

        def booster_fields(booster: Object) -> Object:
            read(booster)
            status = {"status": {"modelName": ""}} if is_unpruned(booster) else {}
            return {**lookup_fields(booster), **status}

        self._informers: list[Informer] = []
        stores: dict[Resource, Indexer] = {}
        for resource in (MODEL_BOOSTER, *CHILDREN):
            parts: dict[str | None, Store] = {}
            for namespace in namespaces or (None,):
                is_booster = resource is MODEL_BOOSTER
                whole = is_unpruned if is_booster else always_whole
                parts[namespace] = Store(
                    INDEXES.get(resource), facts=_digest, whole=whole, facts_suffice=True
                )
                self._informers.append(
                    Informer(
                        kube,
                        resource,
                        parts[namespace],
                        lambda old, new: None,
                        namespace=namespace,
                        shape=booster_fields if is_booster else lookup_fields,
                        only_metadata=resource not in _WITH_SPEC,
                        count=metrics.count_informer,
                    )
                )
            stores[resource] = _NamespacedStores(parts)
        self.lookup = StoreLookup(stores, self._is_current)
        self._started_at = time.monotonic()
        self._current_until = 0.0

    async def run(self) -> None:
        """Keeps the cache up to date, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            for informer in self._informers:
                await informer.synced.wait()
            # These objects stay. Scanning them in every garbage collection would delay reviews.
            gc.collect()
            gc.freeze()

    def has_pruned_boosters(self) -> bool:
        """Returns whether a ModelBooster was read with a schema that drops some of its fields."""
        return any(i.store.is_pruned for i in self._of_boosters())

    def relist_boosters(self) -> None:
        """Lists all ModelBoosters again, as soon as possible."""
        for informer in self._of_boosters():
            informer.relist()

    def _of_boosters(self) -> list[Informer]:
        return [i for i in self._informers if i.resource is MODEL_BOOSTER]

    def fault(self) -> str | None:
        """Returns why admission is not ready: the cache is still filling; None if it is ready."""
        missing = [str(i.resource) for i in self._informers if not i.synced.is_set()]
        if not missing or time.monotonic() - self._started_at > MAX_SYNC_SECONDS:
            return None
        return f"still reading {', '.join(dict.fromkeys(missing))}"

    def _is_current(self) -> bool:
        """Whether all is listed and no informer is silent. Each review asks five times."""
        now = time.monotonic()
        if now >= self._current_until and all(i.synced.is_set() for i in self._informers):
            longest = max(informer.silent_seconds for informer in self._informers)
            self._current_until = now + MAX_SILENCE_SECONDS - longest
        return now < self._current_until


class _NamespacedStores:
    """The stores of several namespaces, read as one."""

    def __init__(self, stores: dict[str | None, Store]) -> None:
        self._stores = stores

    def get(self, key: Key) -> Object | None:
        store = self._stores.get(None if None in self._stores else key.namespace)
        return store.get(key) if store else None

    def by(self, index: str, value: str) -> Iterable[Object]:
        return [obj for store in self._stores.values() for obj in store.by(index, value)]


def lookup_fields(obj: Object) -> Object:
    """Returns the fields of an object that rules about other objects need."""
    metadata = obj["metadata"]
    fields = ("name", "namespace", "uid", "resourceVersion", "generation", "labels",
            "creationTimestamp", "deletionTimestamp", "ownerReferences")  # fmt: skip
    slim: Object = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": {name: metadata[name] for name in fields if name in metadata},
    }
    if obj.get("kind") in _KINDS_WITH_SPEC and "spec" in obj:
        slim["spec"] = obj["spec"]
    return slim


def _digest(slim: Object) -> bytes:
    """Returns a digest of what the rules may read of an object, besides its key and its uid.

    Most events show a new status, and nothing that the rules read.
    """
    metadata = {k: v for k, v in slim["metadata"].items() if k not in _NOT_READ}
    return content_digest((metadata, slim.get("spec"), slim.get("status")))[:16]
