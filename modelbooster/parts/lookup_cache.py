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
from app.lookup import INDEXES, Indexer, StoreLookup, text_of
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

BACKLOG_SECONDS = 0.2
"""How long an event may wait until it is stored, unless a rule asks for a name in it."""

MAX_SEARCHES = 8
"""For more names than this, all events that wait are stored instead of being searched."""

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
        indexers: dict[Resource, Indexer] = {}
        for resource in (MODEL_BOOSTER, *CHILDREN):
            is_booster = resource is MODEL_BOOSTER
            informers = {
                namespace: Informer(
                    kube,
                    resource,
                    Store(
                        INDEXES.get(resource),
                        facts=booster_facts if is_booster else child_facts,
                        whole=is_unpruned if is_booster else always_whole,
                        restore=restore_booster if is_booster else partial(restore_child, resource),
                    ),
                    lambda old, new: None,
                    namespace=namespace,
                    shape=read_booster if is_booster else lambda child: child,
                    only_metadata=resource not in WITH_SPEC,
                    backlog_seconds=BACKLOG_SECONDS,
                    count=metrics.count_informer,
                )
                for namespace in namespaces or (None,)
            }
            self._informers += informers.values()
            indexers[resource] = _Namespaced(informers)
        self.lookup = StoreLookup(indexers, self._is_current)
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


class _Namespaced:
    """The objects of one kind in several namespaces, with all events that have arrived."""

    def __init__(self, informers: dict[str | None, Informer]) -> None:
        self._informers = informers

    def get(self, key: Key) -> Object | None:
        informer = self._informers.get(None if None in self._informers else key.namespace)
        if informer is None:
            return None
        informer.catch_up(key.name)
        return informer.store.get(key)

    def by(self, index: str, value: str) -> Iterable[Object]:
        self._catch_up([text_of(index, value)])
        found = self._stored(index, value)
        # An event that takes a value from an object does not have that value, but its name.
        names = {obj["metadata"]["name"] for obj in found}
        has_more = self._catch_up(names if len(names) <= MAX_SEARCHES else [""])
        return self._stored(index, value) if has_more else found

    def _catch_up(self, names: Iterable[str]) -> bool:
        asked = [i.catch_up(name) for name in names for i in self._informers.values()]
        return any(asked)

    def _stored(self, index: str, value: str) -> list[Object]:
        return [obj for i in self._informers.values() for obj in i.store.by(index, value)]
