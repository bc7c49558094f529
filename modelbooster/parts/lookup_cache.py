"""A cache of the objects of the cluster, for rules that check whether a name is taken."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from sys import intern

from app.apis.definition import is_unpruned
from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.cache.informer import Informer
from app.cache.records import always_whole
from app.cache.store import Store
from app.kube import Kube
from app.lookup import INDEXES, Indexer, StoreLookup
from app.metrics import Metrics
from app.values.meta import Key, Object, Resource
from modelbooster.parts.lookup_facts import (
    booster_facts,
    child_facts,
    restore_booster,
    restore_child,
)

MAX_SYNC_SECONDS = 10.0
"""How long admission is unready while the cache fills; then it answers without the cache."""

MAX_SILENCE_SECONDS = 400.0
"""An informer that receives nothing for this time is stale; no watch lasts longer."""

WITH_SPEC = (MODEL_BOOSTER, MODEL_ROUTE)
"""The kinds whose specs have names that rules compare."""


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

        def read_booster(booster: Object) -> Object:
            read(booster)
            # Owner references of the children have the same text.
            booster["metadata"]["uid"] = intern(booster["metadata"]["uid"])
            return booster

        self._informers: list[Informer] = []
        stores: dict[Resource, Indexer] = {}
        for resource in (MODEL_BOOSTER, *CHILDREN):
            parts: dict[str | None, Store] = {}
            for namespace in namespaces or (None,):
                is_booster = resource is MODEL_BOOSTER
                parts[namespace] = Store(
                    INDEXES.get(resource),
                    facts=booster_facts if is_booster else child_facts,
                    whole=is_unpruned if is_booster else always_whole,
                    restore=restore_booster if is_booster else partial(restore_child, resource),
                )
                self._informers.append(
                    Informer(
                        kube,
                        resource,
                        parts[namespace],
                        lambda old, new: None,
                        namespace=namespace,
                        shape=read_booster if is_booster else lambda child: child,
                        only_metadata=resource not in WITH_SPEC,
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
