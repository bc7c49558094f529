"""The controller: informers, work queue and workers, and its periodic tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from contextlib import suppress

from app.apis.kinds import MODEL_SERVING
from app.errors import ApiError, Unreachable
from app.installed import RETRY_SECONDS, Installed, poll
from app.kube import Backoff, Kube
from app.metrics import Metrics
from app.schema_monitor import SchemaMonitor
from app.values.meta import Key
from controller.cluster.informer_set import InformerSet
from controller.cluster.pod_touch import PodToucher, log_setting
from controller.config import ControllerConfig
from controller.election.leadership import cause_of
from controller.gauges import register_gauges
from controller.queue.workers import CONTROLLER_NAME, Workers
from controller.queue.workqueue import WorkQueue
from controller.reconcile.conflict_guard import ConflictGuard
from controller.reconcile.desired_cache import DesiredStateCache
from controller.reconcile.events import EventRecorder
from controller.reconcile.executor import PlanExecutor
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.reporter import StatusReporter
from controller.reconcile.rollout_waves import RolloutWaves
from controller.warmup.warmer import CacheWarmer

log = logging.getLogger(__name__)

CLEANUP_SECONDS = 15.0
"""Interval between checks for overdue watch events and for idle memory."""

GC_THRESHOLDS = (50_000, 10, 10)
"""Arguments of ``gc.set_threshold``.

A pass and a list create thousands of objects, hardly any in cycles. The default costs 10 % of the
CPU, and a pause of a tenth of a second for each collection while a large cluster is listed."""

WAIT_FOR_PODS_SECONDS = 5.0
"""How long the workers wait for the list of pods, which only explain why a backend is not ready."""


class Controller:
    """Reconciles every ModelBooster.

    ``follow`` keeps the stores up to date, in every replica. ``work`` reconciles, in the leader.

    Args:
        kube: the API server.
        config: what to reconcile, and how.
        metrics: metrics to update.
    """

    def __init__(
        self, kube: Kube, config: ControllerConfig | None = None, metrics: Metrics | None = None
    ) -> None:
        self._config = config or ControllerConfig()
        self._metrics = metrics or Metrics()
        self._queue = WorkQueue(self._metrics.queue(CONTROLLER_NAME))
        self._informers = InformerSet(
            kube,
            lambda key, low: self._queue.add(key, low_priority=low),
            self._config.namespaces,
            self._config.timing,
            self._metrics.count_informer,
            watch_pods=self._config.watch_pods,
            booster_read=lambda booster: self.schema.booster_read(booster),
            booster_updated=lambda old, new: self.schema.booster_updated(old, new),
        )
        self._stores = self._informers.stores
        self.schema = SchemaMonitor(
            kube,
            self._config.namespaces,
            self._detect,
            self._stores.has_pruned_boosters,
            self._informers.relist_boosters,
            self._schema_changed,
        )
        self._detector = self._config.detector(kube)
        self._installed: Installed | None = None
        self._is_installed_known = asyncio.Event()
        self._stopping = asyncio.Event()
        handlers, cache = self._informers.handlers, self._informers.cache
        names, rivals = handlers.names, handlers.rivals
        self._desired_states = DesiredStateCache(
            self._config.options, self._config.profile, names.other_claims, rivals.notes
        )
        self._recorder = EventRecorder(kube, self._config.instance)
        conflicts = ConflictGuard(kube, cache, timing=self._config.conflict_timing)
        waves = RolloutWaves(
            self._config.rollout_wave_size,
            lambda: cache.all(MODEL_SERVING),
            lambda key: self._queue.add(key, low_priority=True),
        )
        self._reconciler = Reconciler(
            cache,
            handlers.unlabeled,
            self._desired_states.get,
            PlanExecutor(kube, cache, handlers.unlabeled, conflicts),
            StatusReporter(kube, cache, self._recorder.record, conflicts, self.schema.check_soon),
            waves,
            PodToucher(kube, cache, self._config.touch_pods, lambda: self._installed),
            CacheWarmer(kube, self._informers.warmups, self._recorder.record),
            lambda kind: self._metrics.repairs.labels(kind=kind).inc(),
            self.schema,
            names.leaving_routes,
            self._config.route_ready_seconds,
        )
        self._workers = Workers(
            self._queue, self._reconciler.reconcile, self._metrics, self._config.resync_seconds
        )
        register_gauges(self._metrics, self._queue, self._informers, self.schema, waves)

    async def follow(self) -> None:
        """Keeps the stores up to date, until it is cancelled."""
        gc.set_threshold(*GC_THRESHOLDS)
        async with asyncio.TaskGroup() as group:
            is_urgent = self._reconciler.has_rejected
            detection = poll(self._detect, self._config.poll_seconds, is_urgent)
            for part in (detection, self.schema.run(), self._clean_up(), self._informers.run()):
                group.create_task(part)

    async def work(self) -> None:
        """Reconciles until ``stop`` is called, then finishes the running passes.

        Raises:
            LeadershipLost: this replica may not write any more.
        """
        if not await self._wait_until_synced():
            return
        # The listed objects stay. Scanning them in any collection would cause long pauses.
        gc.freeze()
        log.info("all informers are synced; starting %d workers", self._config.workers)
        try:
            async with asyncio.TaskGroup() as group:
                periodic = [self._recorder.run(), self._search_unlabeled()]
                if seconds := self._config.download_log_seconds:
                    periodic.append(self._informers.read_download_logs(seconds))
                tasks = [group.create_task(each) for each in periodic]
                await self._workers.run(self._config.workers)
                await self._recorder.flush()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    def stop(self) -> None:
        """Makes the workers end after their running passes."""
        self._stopping.set()
        self._queue.shut_down()

    @property
    def is_idle(self) -> bool:
        """Whether all informers are synced, no key is queued and no pass is running."""
        return self.fault() is None and not self._queue and not self._queue.running

    def fault(self) -> str | None:
        """Returns what is still unknown about the cluster; None if nothing is."""
        if self._installed is None:
            return "the API server has not said yet which kinds it serves"
        missing = sorted({str(informer.resource) for informer in self._informers.unsynced()})
        return f"not listed yet: {', '.join(missing)}" if missing else None

    async def _wait_until_synced(self) -> bool:
        """Waits until all informers are synced; returns False if ``stop`` is called before."""

        async def synced() -> None:
            await self._is_installed_known.wait()
            for informer in self._informers.unsynced():
                await informer.synced.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_FOR_PODS_SECONDS):
                    await self._informers.wait_for_pods()

        waiting = {asyncio.create_task(synced()), asyncio.create_task(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result
        return not self._stopping.is_set()

    async def _detect(self) -> Installed:
        """Detects which kthena is installed, and handles a change."""
        rejected = list(self._reconciler.rejected())
        found = await self._detector.detect()
        self.schema.installed_read(found)
        if found != self._installed:
            self._installed_changed(found, rejected)
        return found

    def _installed_changed(self, found: Installed, rejected: list[Key]) -> None:
        log.info(
            "kthena of profile %s is installed, release %s, with %s",
            found.profile or "unknown",
            found.release or "unknown",
            ", ".join(map(str, found.kinds)) or "no kinds at all",
        )
        log_setting(found, may_patch=self._config.touch_pods)
        is_first = self._installed is None
        self._installed = found
        self._desired_states.set_installed(found.profile, found.release)
        self._informers.set_served(found)
        self._is_installed_known.set()
        for key in rejected:
            self._reconciler.forget_rejections(key)
        if not is_first:
            self._enqueue_all()

    def _schema_changed(self) -> None:
        """Reconciles every ModelBooster: to send Events, or to resume."""
        self._desired_states.clear()
        self._enqueue_all()

    def _enqueue_all(self) -> None:
        for key in self._stores.booster_keys():
            self._queue.add(key, low_priority=True)

    async def _search_unlabeled(self) -> None:
        """Searches for children without our label: at first, and then periodically."""
        # A replica that does not lead cannot tell which deletions were its leader's.
        self._informers.handlers.unlabeled.clear()
        backoff = Backoff(0.5, RETRY_SECONDS)
        while True:
            pause = random.uniform(*self._config.timing.audit_seconds)  # noqa: S311 - jitter
            try:
                await self._informers.search_unlabeled()
            except (ApiError, Unreachable) as exc:
                log.info("the search for children without our label failed: %s", exc)
                pause = backoff.pause_seconds()
            await asyncio.sleep(pause)

    async def _clean_up(self) -> None:
        """Drops overdue expectations and idle memory, periodically."""
        while True:
            await asyncio.sleep(CLEANUP_SECONDS)
            self._desired_states.evict_idle()
            if self.is_idle:
                self._stores.pack()
            self._informers.handlers.drop_expired()
