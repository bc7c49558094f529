"""Creates and deletes the Jobs of ``cacheWarmup``, and says what pods wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from app.apis.kinds import BACKEND_NAME, JOB, MODEL_SERVING
from app.convert.warmup import is_per_node
from app.errors import ApiError, Conflict, NotFound, Unreachable
from app.kube import Kube
from app.model.ownership import is_ours
from app.values.meta import Key, Object, is_terminating, key_of, labels_of, uid_of
from controller.cluster.warmup_watch import WarmupWatch
from controller.plan.actions import of_kind
from controller.plan.desired import DesiredState
from controller.status.download_status import backend_download
from controller.status.pod_records import POD, backend_name
from controller.status.warmup_records import JOB_NAME
from controller.warmup.planner import WarmupPlan, plan_warmup
from controller.warmup.text import MAX_NAMES, failure_reason, progress_message
from controller.warmup.warmth import COLD, Warmth, WarmthOfBackends, stored_warmups

WRITE_RETRY_SECONDS = 30.0
"""After this time a write that failed is tried again."""

RecordEvent = Callable[[Object, str, str, str], None]
"""Records an Event: ModelBooster, ``Normal`` or ``Warning``, reason, note."""


class CacheWarmer:
    """Downloads models to caches ahead of the pods.

    Args:
        kube: the API server.
        watch: the Jobs and the nodes.
        record_event: records Events.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        kube: Kube,
        watch: WarmupWatch,
        record_event: RecordEvent,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._watch = watch
        self._record_event = record_event
        self._clock = clock
        self._reasons: dict[str, str] = {}  # by uid of a failed Job

    async def warm(
        self, booster: Object, desired: DesiredState, observed: Iterable[Object]
    ) -> Warmth:
        """Creates and deletes the Jobs of a ModelBooster, and returns how far they are.

        Args:
            booster: the ModelBooster.
            desired: its desired state.
            observed: its live children.
        """
        key, warmups = key_of(booster), desired.warmups
        before = stored_warmups(booster)
        if not warmups and not before and not self._watch.is_running:
            return COLD
        needs_nodes = any(is_per_node(inputs.backend) for inputs in warmups.values())
        unknown = await self._watch.use(key, nodes=needs_nodes)
        if not warmups and unknown is None and not self._watch.jobs(uid_of(booster)):
            self._watch.leave(key)
            return COLD
        servings = of_kind(MODEL_SERVING, observed)
        one = WarmthOfBackends(before, servings)
        if unknown is not None:
            return one.unread(warmups, unknown)
        jobs: dict[str, list[Object]] = {}
        for job in self._watch.jobs(uid_of(booster)):
            jobs.setdefault(labels_of(job)[BACKEND_NAME], []).append(job)
        plans = {
            name: plan_warmup(inputs, jobs.pop(name, []), self._watch.nodes(), self._clock())
            for name, inputs in warmups.items()
        }
        unwanted = [job for rest in jobs.values() for job in rest if not is_terminating(job)]
        fault = await self._write(booster, plans, unwanted)
        pods: dict[str, list[Object]] = {}
        for pod in self._watch.pods(uid_of(booster)):
            pods.setdefault(backend_name(pod), []).append(pod)
        for name, plan in plans.items():
            reasons = [await self._reason(booster, job) for job in plan.failed[:MAX_NAMES]]
            message = progress_message(plan, reasons, key.namespace)
            message = "; ".join(filter(None, (fault, message)))
            one.add(warmups[name], plan, message, backend_download(pods.get(name, ())))
        self._tell(booster, before, one.statuses, plans)
        due = [plan.wait for plan in plans.values() if plan.wait is not None]
        due += [WRITE_RETRY_SECONDS] if fault else []
        return one.result(min(due, default=None))

    def forget(self, key: Key) -> None:
        """Forgets a ModelBooster that is gone."""
        self._watch.leave(key)

    async def _write(
        self, booster: Object, plans: Mapping[str, WarmupPlan], unwanted: list[Object]
    ) -> str:
        """Deletes and creates Jobs; returns what went wrong, ``""`` if nothing did."""
        try:
            for job in [*unwanted, *(job for plan in plans.values() for job in plan.delete)]:
                await self._delete(job)
            for job in (job for plan in plans.values() for job in plan.create):
                try:
                    self._watch.put(await self._kube.create(JOB, job))
                except Conflict:
                    await self._resolve(booster, job)
        except (ApiError, Unreachable) as exc:
            return f"the Jobs cannot be written: {exc}"
        return ""

    async def _delete(self, job: Object) -> None:
        self._reasons.pop(uid_of(job), None)
        with suppress(NotFound):
            await self._kube.delete(JOB, *key_of(job), uid=uid_of(job))
        self._watch.remove(job)

    async def _resolve(self, booster: Object, job: Object) -> None:
        """Deletes a Job of ours with the same name that lost our label, so that none shows it."""
        try:
            live = await self._kube.get(JOB, *key_of(job))
        except NotFound:
            return
        if is_ours(live, uid_of(booster)) and not is_terminating(live):
            await self._kube.delete(JOB, *key_of(live), uid=uid_of(live))
        raise Conflict(409, "AlreadyExists", f'Job "{key_of(job).name}" is about to be replaced')

    async def _reason(self, booster: Object, job: Object) -> str:
        """Returns why a Job failed; reads its pods once."""
        uid = uid_of(job)
        if uid not in self._reasons:
            namespace, name = key_of(job)
            pods: list[Object] = []
            try:
                selector = f"{JOB_NAME}={name}"
                listed = await self._kube.list(POD, namespace=namespace, label_selector=selector)
                pods = listed.items
            except (ApiError, Unreachable):
                pass  # without the right to list pods, the Job itself says less
            self._reasons[uid] = failure_reason(job, pods)
        return self._reasons[uid]

    def _tell(
        self,
        booster: Object,
        before: Mapping[str, Object],
        statuses: Mapping[str, Object],
        plans: Mapping[str, WarmupPlan],
    ) -> None:
        """Records Events: a download failed, the cache is warm."""
        for name, plan in plans.items():
            old, new = before.get(name, {}), statuses[name]
            if new.get("failed", 0) > (old.get("failed") or 0):
                self._record_event(
                    booster, "Warning", "CacheWarmupFailed", f"backend {name}: {new['message']}"
                )
            elif plan.create:
                jobs = ", ".join(job["metadata"]["name"] for job in plan.create[:MAX_NAMES])
                more = len(plan.create) - MAX_NAMES
                jobs += f" and {more} more" if more > 0 else ""
                note = f"backend {name}: created {jobs}"
                self._record_event(booster, "Normal", "CacheWarmupStarted", note)
            if plan.desired and plan.is_warm and old.get("model") != plan.model:
                note = f"backend {name}: the cache is warm ({plan.ready}/{plan.desired})"
                self._record_event(booster, "Normal", "CacheWarm", note)
