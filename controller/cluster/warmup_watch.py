"""Informers of the Jobs that warm up caches, their pods, and nodes. They start with the first use.

Without ``cacheWarmup`` in any ModelBooster there is no list and no watch of any of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from app.apis.kinds import JOB, NODE
from app.cache.informer import Changed, Count, Informer
from app.cache.records import Record
from app.cache.store import Store
from app.cache.timing import DEFAULT_TIMING, Timing
from app.errors import ApiError, Unreachable
from app.kube import Backoff, Kube
from app.model.ownership import owner_uids
from app.values.meta import Key, Object, Resource
from controller.cluster.indexed_stores import BOOSTER_INDEX
from controller.cluster.unlabeled import LABELED_SELECTOR
from controller.cluster.warmup_pods import WarmupPods
from controller.status.warmup_records import job_facts, job_record, node_facts, node_record

log = logging.getLogger(__name__)

NO_OBJECT = "metadata.name="
"""Field selector of no object: such a list asks only for the right to list."""

LIST_SECONDS = 2.0
"""How long the pass that uses a kind first waits for its list."""

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 30.0


class WarmupWatch:
    """Keeps the Jobs of ModelBoosters and the nodes, as records.

    Args:
        kube: the API server.
        enqueue: adds a ModelBooster to the work queue.
        booster_key: returns the key of the ModelBooster with a uid; None if there is none.
        namespaces: namespaces of the Jobs; ``(None,)`` for all.
        timing: time limits of the informers.
        count: called for every failure of an informer.
        pod_changed: called with every change of a pod of a Job; None to watch no pods.
    """

    def __init__(
        self,
        kube: Kube,
        enqueue: Callable[[Key], None],
        booster_key: Callable[[str], Key | None],
        namespaces: Sequence[str | None],
        timing: Timing = DEFAULT_TIMING,
        count: Count = lambda resource, what: None,
        pod_changed: Changed | None = None,
    ) -> None:
        self._kube = kube
        self._enqueue = enqueue
        self._booster_key = booster_key
        self._jobs = Store({BOOSTER_INDEX: owner_uids}, facts=job_facts)
        self._nodes = Store(facts=node_facts)
        self._wanted = {JOB: asyncio.Event(), NODE: asyncio.Event()}
        self._users: dict[Resource, set[Key]] = {JOB: set(), NODE: set()}
        self._faults: dict[Resource, str] = {}
        self._namespaces: dict[Resource, Sequence[str | None]] = {JOB: namespaces, NODE: (None,)}
        self._informers = {
            JOB: [
                Informer(
                    kube,
                    JOB,
                    self._jobs,
                    self._job_changed,
                    label_selector=LABELED_SELECTOR,
                    namespace=namespace,
                    shape=job_record,
                    timing=timing,
                    count=count,
                )
                for namespace in namespaces
            ],
            NODE: [
                Informer(
                    kube,
                    NODE,
                    self._nodes,
                    self._node_changed,
                    shape=node_record,
                    timing=timing,
                    count=count,
                )
            ],
        }

        self._pods = WarmupPods(
            kube,
            self._jobs.get,
            pod_changed or (lambda old, new: None),
            namespaces if pod_changed else (),
            timing,
            count,
        )

    async def run(self) -> None:
        """Runs the informers of each kind once it is used, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in (JOB, NODE):
                group.create_task(self._run_when_wanted(resource))

    async def use(self, key: Key, *, nodes: bool) -> str | None:
        """Starts the informers that a ModelBooster needs, and waits for a moment until they know.

        It is added to the work queue when they have read what there is, and for changes of nodes.

        Args:
            key: the ModelBooster.
            nodes: whether it needs the nodes, not only the Jobs.

        Returns:
            What is not known yet; None if everything is.
        """
        kinds = (JOB, NODE) if nodes else (JOB,)
        for resource in kinds:
            self._wanted[resource].set()
            self._users[resource].add(key)
        if not nodes:
            self._users[NODE].discard(key)
        if self._unread(kinds) and not self._faults:
            with suppress(TimeoutError):
                async with asyncio.timeout(LIST_SECONDS):
                    for resource in kinds:
                        for informer in self._informers[resource]:
                            await informer.synced.wait()
        return "; ".join(self._unread(kinds)) or None

    def _unread(self, kinds: Sequence[Resource]) -> list[str]:
        return [
            self._faults.get(resource, f"the {resource.plural} are not listed yet")
            for resource in kinds
            if not all(informer.synced.is_set() for informer in self._informers[resource])
        ]

    def leave(self, key: Key) -> None:
        """Forgets a ModelBooster that needs none of them."""
        for users in self._users.values():
            users.discard(key)

    @property
    def is_running(self) -> bool:
        """Whether the Jobs are known."""
        return all(informer.synced.is_set() for informer in self._informers[JOB])

    def jobs(self, uid: str) -> list[Object]:
        """Returns the records of the Jobs of the ModelBooster with this uid."""
        return self._jobs.by(BOOSTER_INDEX, uid)

    def pods(self, uid: str) -> list[Object]:
        """Returns the records of the pods of these Jobs that have not ended."""
        return self._pods.of(uid)

    def nodes(self) -> Collection[Object]:
        """Returns the records of all nodes."""
        return [record.object for record in self._nodes.records()]

    def put(self, job: Object) -> None:
        """Stores a Job that was just created, before the watch shows it."""
        self._informers[JOB][0].put(job)  # they share a store

    def remove(self, record: Object) -> None:
        """Removes a Job that was just deleted, before the watch shows it."""
        self._informers[JOB][0].remove(record)

    async def _run_when_wanted(self, resource: Resource) -> None:
        await self._wanted[resource].wait()
        await self._until_readable(resource)
        log.info("cacheWarmup is used: %s are watched from now on", resource.plural)
        async with asyncio.TaskGroup() as group:
            for informer in self._informers[resource]:
                group.create_task(informer.run())
            for informer in self._informers[resource]:
                await informer.synced.wait()
            if resource is JOB:
                group.create_task(self._pods.run())
            self._enqueue_users(resource)

    async def _until_readable(self, resource: Resource) -> None:
        """Waits until the kind may be listed; the status of its users tells if it may not."""
        backoff = Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        while True:
            try:
                for namespace in self._namespaces[resource]:
                    await self._kube.list(resource, namespace=namespace, field_selector=NO_OBJECT)
                self._faults.pop(resource, None)
                return
            except (ApiError, Unreachable) as exc:
                fault = (
                    f"the {resource.plural} cannot be listed ({exc}); "
                    "check cacheWarmup.enabled of the Helm chart"
                )
                if self._faults.get(resource) != fault:
                    self._faults[resource] = fault
                    self._enqueue_users(resource)
            await asyncio.sleep(backoff.pause_seconds())

    def _enqueue_users(self, resource: Resource) -> None:
        for key in self._users[resource]:
            self._enqueue(key)

    def _job_changed(self, old: Record | None, new: Record | None) -> None:
        if old is not None and new is not None and old.facts == new.facts:
            return
        record = new or old
        for uid in owner_uids(record.object) if record is not None else ():
            if (key := self._booster_key(uid)) is not None:
                self._enqueue(key)

    def _node_changed(self, old: Record | None, new: Record | None) -> None:
        if old is None or new is None or old.facts != new.facts:
            self._enqueue_users(NODE)
