"""Pods of the Jobs that warm up caches, as long as they have not ended.

They only tell how far a download is. They are in a store of their own, so nothing that looks at the
pods of a ModelServing sees them: readiness, traffic, advice.

A watch of their own costs less than two alternatives. Our label in the template of the Jobs would
bring them into the watch of the other pods, but a template is immutable: an upgrade would replace
every Job that has not finished, and restart its download. It would also keep the pods of finished
Jobs in memory, one for each node. A list every 10 s makes the API server look at all pods each
time, and notices begin and end late. This watch selects by labels that the pods of Jobs of every
version have, and by phase: what has ended is never sent or kept. A record takes about 1 kB of
memory, and at most ``MAX_RUNNING`` Jobs of a backend run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from app.apis.kinds import BACKEND_NAME
from app.cache.informer import Changed, Count, Informer
from app.cache.timing import Timing
from app.kube import Kube
from app.values.meta import Key, Object, key_of, labels_of, owner_references, uid_of
from controller.cluster.indexed_stores import BOOSTER_INDEX, store_of
from controller.status.pod_records import POD
from controller.status.warmup_records import JOB_NAME, warmup_pod_record

LABELS = f"{BACKEND_NAME},{JOB_NAME}"
"""Selects pods that have these labels, with any value."""

UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of pods that have not ended."""


class WarmupPods:
    """Keeps the pods of warm-up Jobs that have not ended.

    Args:
        kube: the API server.
        job: returns the record of the Job with a key; None if there is none.
        changed: called with every change of a pod.
        namespaces: namespaces of the pods; ``(None,)`` for all, none to watch no pods.
        timing: time limits of the informers.
        count: called for every failure of an informer.
    """

    def __init__(
        self,
        kube: Kube,
        job: Callable[[Key], Object | None],
        changed: Changed,
        namespaces: Sequence[str | None],
        timing: Timing,
        count: Count,
    ) -> None:
        self._job = job
        self._store = store_of(POD)
        self._informers = [
            Informer(
                kube,
                POD,
                self._store,
                changed,
                label_selector=LABELS,
                field_selector=UNFINISHED,
                namespace=namespace,
                shape=self._record,
                timing=timing,
                count=count,
            )
            for namespace in namespaces
        ]

    async def run(self) -> None:
        """Watches until it is cancelled; to be called when the Jobs, their owners, are listed."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())

    def of(self, uid: str) -> list[Object]:
        """Returns the records of the pods of the ModelBooster with this uid."""
        return self._store.by(BOOSTER_INDEX, uid)

    def _record(self, pod: Object) -> Object:
        key = key_of(pod)
        job = self._job(Key(key.namespace, labels_of(pod).get(JOB_NAME, "")))
        owners = {ref.get("uid") for ref in owner_references(pod)}
        is_its = job is not None and uid_of(job) in owners
        return warmup_pod_record(pod, job if is_its else None, self._store.get(key))
