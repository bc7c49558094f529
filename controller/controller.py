"""Informers, queue and workers put together, and what is looked after by the clock."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from app.apis.kinds import CHILDREN, MODEL_SERVING, Profile
from app.cache.timing import DEFAULT_TIMING, Timing
from app.convert.options import Options
from app.errors import ApiError, Unreachable
from app.installed import RETRY_SECONDS, Detector, Installed, poll
from app.kube import Backoff, Kube
from app.metrics import Metrics
from app.values.meta import Key
from controller.cluster.informers import Informers
from controller.cluster.schema import Schema
from controller.election.leadership import cause_of
from controller.planning.contest import PATIENCE, Patience
from controller.queue.workers import NAME, Workers
from controller.queue.workqueue import WorkQueue
from controller.reconcile.contests import Contests
from controller.reconcile.events import Recorder
from controller.reconcile.intents import Intents
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.reporter import Reporter
from controller.reconcile.waves import Waves
from controller.reconcile.writer import Writer

log = logging.getLogger(__name__)

SWEEP_SECONDS = 15.0
"""How often we look for writes that the watch should have shown by now, and for idle memory."""

GARBAGE = (10_000, 10, 10)
"""After how many new objects garbage is looked for, and how much more rarely among older ones.

A pass makes some thousand objects and hardly any garbage that counting references does not see;
with Python's own 700 the search takes nearly a tenth of the processor time."""

PODS_SECONDS = 5.0
"""How long the workers wait for the listing of pods, which tell only why something is not ready."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a controller works on, and how.

    Args:
        options: what conversion reads.
        profile: the shape of the children; None for what is installed.
        namespaces: where ModelBoosters are served; everywhere if empty.
        workers: how many of them are worked on at a time.
        resync_seconds: after how long one is looked at again although nothing changed.
        instance: name of this replica.
        timing: patience of the informers.
        patience: how often to look whether a conflicting controller is gone.
        look_seconds: how often we look which kthena is installed; a few small requests each.
        watch_pods: whether pods are watched, to say why a backend is not ready.
        rollout_wave_size: how many ModelBoosters may restart pods unasked at the same time.
    """

    options: Options = field(default_factory=Options)
    profile: Profile | None = None
    namespaces: tuple[str, ...] = ()
    workers: int = 16
    resync_seconds: float = 36000
    instance: str = NAME
    timing: Timing = DEFAULT_TIMING
    patience: Patience = PATIENCE
    look_seconds: float = 60
    watch_pods: bool = True
    rollout_wave_size: int = 0


class Controller:
    """Keeps the children of every ModelBooster as they should be.

    ``follow`` keeps the view of the cluster up to date, in every replica; ``work`` acts on it, in
    the one that leads.

    Args:
        kube: the API server.
        scope: what to work on.
        metrics: where to count.
    """

    def __init__(
        self, kube: Kube, scope: Scope | None = None, metrics: Metrics | None = None
    ) -> None:
        self._scope = scope or Scope()
        self._metrics = metrics or Metrics()
        self._queue = WorkQueue(self._metrics.queue(NAME))
        self._metrics.follow_queue(
            NAME,
            lambda: len(self._queue),
            lambda: self._queue.delayed,
            lambda: list(self._queue.running.values()),
        )
        self._informers = Informers(
            kube,
            lambda key, is_first: self._queue.add(key, low=is_first),
            self._scope.namespaces,
            self._scope.timing,
            self._metrics.count_informer,
            watch_pods=self._scope.watch_pods,
            read=lambda booster: self.schema.read(booster),
            updated=lambda old, new: self.schema.updated(old, new),
        )
        self.schema = Schema(
            kube,
            self._scope.namespaces,
            self._detect,
            self._informers.boosters_pruned,
            self._informers.list_boosters_anew,
            self._schema_changed,
        )
        self._show()
        self._detector = Detector(kube, self._scope.profile)
        self._installed: Installed | None = None
        self._intents = Intents(
            self._scope.options, self._scope.profile, self._informers.names.rivals
        )
        self._looked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._recorder = Recorder(kube, self._scope.instance)
        view, lost = self._informers.view, self._informers.lost
        contests = Contests(kube, view, patience=self._scope.patience)
        self._reconciler = Reconciler(
            view,
            lost,
            self._intents.of,
            Writer(kube, view, lost, contests),
            Reporter(kube, view, self._recorder.record, contests, self.schema.suspect),
            Waves(
                self._scope.rollout_wave_size,
                lambda: view.all(MODEL_SERVING),
                lambda key: self._queue.add(key, low=True),
            ),
            lambda kind: self._metrics.repairs.labels(kind=kind).inc(),
            self.schema,
        )
        self._workers = Workers(
            self._queue, self._reconciler.reconcile, self._metrics, self._scope.resync_seconds
        )

    async def follow(self) -> None:
        """Keeps the view of the cluster up to date, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll_installed())
            group.create_task(self.schema.run())
            group.create_task(self._sweep())
            group.create_task(self._informers.run())

    async def work(self) -> None:
        """Works until ``stop`` is called, and then to the end of the passes that are under way.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        if not await self._synced():
            return
        # What is there by now stays: to look through it again and again would make long pauses.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        log.info("everything is listed; %d workers begin", self._scope.workers)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [self._recorder.run(), self._seek_lost()]
                tasks = [group.create_task(each) for each in beside]
                await self._workers.run(self._scope.workers)
                await self._recorder.flush()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    def _show(self) -> None:
        """Lets the metrics read what the informers know, whenever somebody asks."""
        self._metrics.schema_replaced.set_function(lambda: not self.schema.is_ours)
        self._metrics.follow_objects(self._informers.conditions)
        for resource, silence in self._informers.silences():
            self._metrics.informer_silence.labels(resource=resource.plural).set_function(silence)
            if resource in CHILDREN:
                count = partial(self._informers.count, resource)
                self._metrics.children.labels(kind=resource.kind).set_function(count)

    def stop(self) -> None:
        """Lets the workers end when they have finished what they are at."""
        self._stopping.set()
        self._queue.shut_down()

    @property
    def is_idle(self) -> bool:
        """Whether everything is listed, and no key waits or is being worked on."""
        return self.fault() is None and not self._queue and not self._queue.running

    def fault(self) -> str | None:
        """Returns what is not known of the cluster yet; None if all that is needed is."""
        if self._installed is None:
            return "the API server has not said yet which kinds it serves"
        missing = sorted({str(informer.resource) for informer in self._informers.unsynced()})
        return f"not listed yet: {', '.join(missing)}" if missing else None

    # The loops.

    async def _synced(self) -> bool:
        """Waits until all is listed; returns False if we are to stop before."""

        async def listed() -> None:
            await self._looked.wait()
            for informer in self._informers.unsynced():
                await informer.synced.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(PODS_SECONDS):
                    await self._informers.pods_synced()

        waiting = {asyncio.create_task(listed()), asyncio.create_task(self._stopping.wait())}
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

    async def _poll_installed(self) -> None:
        await poll(
            self._detect,
            self._scope.look_seconds,
            is_urgent=lambda: any(True for _ in self._reconciler.refused()),
        )

    async def _detect(self) -> Installed:
        refused = list(self._reconciler.refused())
        found = await self._detector.detect()
        self.schema.looked(found)
        self._found(found, refused)
        return found

    def _schema_changed(self) -> None:
        """Lets every ModelBooster be looked at: to tell its users, or to go on."""
        self._intents.forget()
        for key in self._informers.boosters():
            self._queue.add(key, low=True)

    def _found(self, found: Installed, refused: list[Key]) -> None:
        if found == self._installed:
            return
        log.info(
            "kthena of profile %s is installed, with %s",
            found.profile or "unknown",
            ", ".join(map(str, found.kinds)) or "no kinds at all",
        )
        is_first = self._installed is None
        self._installed, self._intents.profile = found, found.profile
        self._informers.are_served(found)
        self._looked.set()
        for key in refused:
            self._reconciler.forget_refusals(key)
        if not is_first:
            for key in self._informers.boosters():
                self._queue.add(key, low=True)

    async def _seek_lost(self) -> None:
        """Looks for children without our label: at first, and from time to time."""
        self._informers.lost.clear()  # by standing by one learns nothing of who deleted what
        backoff = Backoff(0.5, RETRY_SECONDS)
        while True:
            pause = random.uniform(*self._scope.timing.audit_seconds)  # noqa: S311 - jitter
            try:
                await self._informers.seek_lost()
            except (ApiError, Unreachable) as exc:
                log.info("children without our label cannot be looked for now: %s", exc)
                pause = backoff.pause_seconds()
            await asyncio.sleep(pause)

    async def _sweep(self) -> None:
        """Looks again at whatever the watch has not shown in time, and lets go of what is idle."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._intents.drop_idle()
            if self.is_idle:
                self._informers.rest()
            self._informers.expire()
