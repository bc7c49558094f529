"""The reconciler: one pass reads, plans, executes and reports.

It is level-triggered: a pass never depends on what happened, only on the current state. It awaits
only writes; all decisions are calls of pure functions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.errors import ApiError, InvalidSpec, NotFound, Unreachable
from app.kube.backoff import Clock
from app.schema_monitor import SchemaMonitor
from app.values.meta import Key, Object, is_terminating, key_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.observed import observed_children
from controller.cluster.pod_touch import PodToucher
from controller.cluster.unlabeled import UnlabeledChildren
from controller.plan.actions import ChildRef, Plan, of_kind
from controller.plan.desired import DesiredState
from controller.plan.planner import wait_for_name, without_servings
from controller.plan.route_shares import decide_route
from controller.plan.route_text import traffic
from controller.plan.server_switch import held_notes, hold_servers
from controller.queue.result import Result
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.executor import PlanExecutor
from controller.reconcile.next_pass import next_pass
from controller.reconcile.plan_result import PlanResult
from controller.reconcile.reporter import StatusReporter
from controller.reconcile.rollout_waves import RolloutWaves
from controller.reconcile.summary import summarize
from controller.status.booster_status import is_settled, stored_status
from controller.status.conditions import ConditionSet, failing, with_held_rollout
from controller.status.podless import podless
from controller.status.readiness import BackendReport, backend_reports
from controller.timing import READY_SECONDS
from controller.warmup.warmer import CacheWarmer

SLOW_SECONDS = 2.0
"""After this time the first pass for an edit reports that it is in progress."""


class Reconciler:
    """Makes the children of a ModelBooster match its spec, and reports in its status.

    Args:
        cache: the cluster with our own writes.
        unlabeled: children that may exist without our label.
        desired_state: returns the desired state of a stored ModelBooster; raises InvalidSpec.
        executor: writes children.
        reporter: writes the status.
        waves: decides which restarts of pods have to wait.
        toucher: makes old routers take up pods again.
        warmer: downloads models to caches ahead of the pods.
        on_repair: called with the kind of every child that was repaired.
        schema: whether the installed CustomResourceDefinition is ours; None if it is known to be.
        leaving_routes: returns the ModelRoutes that still have a model name but are about to go,
            by the key of the ModelBooster that wants it.
        ready_seconds: how long a backend is available before it comes back into the ModelRoute.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        cache: MutationCache,
        unlabeled: UnlabeledChildren,
        desired_state: Callable[[Object], DesiredState],
        executor: PlanExecutor,
        reporter: StatusReporter,
        waves: RolloutWaves,
        toucher: PodToucher,
        warmer: CacheWarmer,
        on_repair: Callable[[str], None] = lambda kind: None,
        schema: SchemaMonitor | None = None,
        leaving_routes: Callable[[Key, str], Collection[str]] = lambda key, name: (),
        ready_seconds: float = READY_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._cache = cache
        self._unlabeled = unlabeled
        self._desired_state = desired_state
        self._executor = executor
        self._reporter = reporter
        self._waves = waves
        self._on_repair = on_repair
        self._schema = schema
        self._leaving_routes = leaving_routes
        self._toucher = toucher
        self._warmer = warmer
        self._ready_seconds = ready_seconds
        self._clock = clock
        self._states: dict[Key, BoosterState] = {}

    async def reconcile(self, key: Key) -> Result:
        """Runs one pass for the ModelBooster with this key.

        Raises:
            LeadershipLost: this replica may not write any more.
        """
        booster = self._cache.get(MODEL_BOOSTER, key)
        if booster is None or is_terminating(booster):
            self._states.pop(key, None)
            self._waves.remove(key)
            self._warmer.forget(key)
            # The garbage collector deletes the children, by their owner reference.
            return Result(is_gone=True)
        state = self._state_of(booster)
        if self._schema is not None and (why := self._schema.fault_of(booster)):
            if self._schema.may_send_event():
                self._reporter.report_replaced_schema(booster, why, state)
            return Result()  # nothing is written; the key is enqueued when our schema is back
        try:
            desired = self._desired_state(booster)
        except InvalidSpec as exc:
            return await self._report(booster, failing(exc.reason, exc.message), state, error=exc)
        unlabeled = [ChildRef(kind, at.name) for kind, at in self._unlabeled.of(uid_of(booster))]
        observed = observed_children(self._cache, uid_of(booster), desired.children)
        pods, now = self._cache.pods(booster), self._clock()
        route = decide_route(
            desired.model, desired.children, observed, pods, state.route, now, self._ready_seconds
        )
        children = hold_servers(route.children, observed)
        held = held_notes(children, route.children)
        if held or children != desired.children:
            desired = replace(desired, children=children, notes=(*desired.notes, *held.values()))
        warmth = await self._warmer.warm(booster, desired, observed)
        waiting = warmth.waiting
        decision = self._waves.decide(booster, desired, observed, unlabeled, state, waiting)
        leaving = self._leaving_routes(key, desired.model.route_name)
        plan = without_servings(wait_for_name(decision.plan, leaving), waiting)
        result = await self._execute(booster, desired, plan, state)
        state.held_servers = frozenset(held)
        streak = state.record_result(result, self._clock())
        shown = traffic(desired.model, route, self._ready_seconds)
        if state.route.tell(
            is_written=result.has_changed(MODEL_ROUTE), is_pending=result.is_pending(MODEL_ROUTE)
        ):
            self._reporter.report_traffic(booster, shown.column)
        backends = warmth.told(self._backends(booster, desired, state, shown.backends))
        touched, unfound = await self._toucher.touch(booster, desired.model, state.touches)
        notes = (*desired.notes, *shown.notes, *unfound)
        summary = summarize(booster, result, backends, notes, streak)
        summary = summary and replace(summary, traffic=shown.column)
        summary = summary and with_held_rollout(summary, decision.held_message)
        summary = summary and warmth.shown_in(summary)
        error, wait = next_pass(result, state, self._clock(), [route.wait, touched, warmth.wait])
        if summary is None:
            return Result(error, wait)
        return await self._report(
            booster, summary, state, desired=desired, result=result, error=error, wait=wait
        )

    def rejected(self) -> Iterable[Key]:
        """Returns the keys of ModelBoosters with children that the API server rejected."""
        return [key for key, state in self._states.items() if state.rejections]

    def has_rejected(self) -> bool:
        """Whether the API server rejected a child."""
        return any(state.rejections for state in self._states.values())

    def forget_rejections(self, key: Key) -> None:
        """Lets the next pass send the rejected children of a ModelBooster again."""
        if key in self._states:
            self._states[key].rejections.clear()

    def _state_of(self, booster: Object) -> BoosterState:
        key, uid = key_of(booster), uid_of(booster)
        state = self._states.get(key)
        if state is None or state.uid != uid:
            state = self._states[key] = BoosterState(uid)
        return state

    async def _execute(
        self, booster: Object, desired: DesiredState, plan: Plan, state: BoosterState
    ) -> PlanResult:
        state.prune({ChildRef.of(child) for child in desired.children})
        if not plan:
            return PlanResult()
        if is_settled(booster):
            result = await self._executor.execute(desired.model, plan, state)
            for ref in (*result.created, *result.changed):  # no edit required these writes
                if state.is_repair(ref):
                    self._on_repair(ref.kind)
            return result
        reports_started: list[asyncio.Task[None]] = []

        def start_report() -> None:
            report = self._reporter.report_in_progress(booster, state, desired.model)
            reports_started.append(asyncio.create_task(report))

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, start_report)
        try:
            return await self._executor.execute(desired.model, plan, state)
        finally:
            slow.cancel()
            for task in reports_started:
                await task

    def _backends(
        self,
        booster: Object,
        desired: DesiredState,
        state: BoosterState,
        shares: Mapping[str, str],
    ) -> tuple[BackendReport, ...]:
        servings = of_kind(MODEL_SERVING, self._cache.children(uid_of(booster)))
        state.drop_observed_generations(servings)
        self._waves.observe(key_of(booster), servings.values())
        bounds = {child.name: child.replica_bounds for child in desired.children}
        pods = list(self._cache.pods(booster))
        without = podless(desired.model, servings, pods) if self._cache.knows_pods(booster) else ()
        return backend_reports(
            desired.model,
            servings,
            bounds,
            state.written_generations,
            stored_status(booster),
            pods,
            state.record_podless(without, self._clock()),
            shares,
        )

    async def _report(
        self,
        booster: Object,
        summary: ConditionSet,
        state: BoosterState,
        *,
        desired: DesiredState | None = None,
        result: PlanResult | None = None,
        error: Exception | None = None,
        wait: float | None = None,
    ) -> Result:
        model = desired.model if desired else None
        try:
            delay = await self._reporter.report(booster, summary, state, model, result)
        except NotFound:
            return Result(is_gone=True)  # the watch will show it
        except (ApiError, Unreachable) as exc:
            return Result(error or exc, wait)
        if delay is not None:
            wait = delay if wait is None else min(wait, delay)
        return Result(error, wait)
