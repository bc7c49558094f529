"""The reconciler: one pass reads, plans, executes and reports.

It is level-triggered: a pass never depends on what happened, only on the current state. It awaits
only writes; all decisions are calls of pure functions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.errors import ApiError, ConflictingController, InvalidSpec, NotFound, Unreachable
from app.kube import min_wait_seconds
from app.kube.backoff import Clock
from app.schema_monitor import SchemaMonitor
from app.values.meta import Key, Object, is_terminating, key_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.unlabeled import UnlabeledChildren
from controller.plan.actions import ChildRef, Plan
from controller.plan.desired import DesiredState
from controller.queue.result import Result
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.executor import PlanExecutor
from controller.reconcile.failure import Failure, Severity, worst
from controller.reconcile.plan_result import FAILING_SECONDS, PlanResult
from controller.reconcile.reporter import StatusReporter
from controller.reconcile.rollout_waves import RolloutWaves
from controller.reconcile.summary import summarize
from controller.status.booster_status import is_settled, stored_status
from controller.status.conditions import ConditionSet, failing, reconciling, with_held_rollout
from controller.status.podless import podless
from controller.status.readiness import BackendReport, backend_reports

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
        on_repair: called with the kind of every child that was repaired.
        schema: whether the installed CustomResourceDefinition is ours; None if it is known to be.
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
        on_repair: Callable[[str], None] = lambda kind: None,
        schema: SchemaMonitor | None = None,
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
        observed = self._observed(booster, desired)
        decision = self._waves.decide(booster, desired, observed, unlabeled, state)
        result = await self._execute(booster, desired, decision.plan, state)
        streak = state.record_result(result, self._clock())
        backends = self._backends(booster, desired, state)
        summary = summarize(booster, result, backends, desired.notes, streak)
        summary = summary and with_held_rollout(summary, decision.held_message)
        error, wait = self._next_pass(result, state)
        if summary is None:
            return Result(error, wait)
        return await self._report(
            booster, summary, state, desired=desired, result=result, error=error, wait=wait
        )

    def rejected(self) -> Iterable[Key]:
        """Returns the keys of ModelBoosters with children that the API server rejected."""
        return [key for key, state in self._states.items() if state.rejections]

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

    def _observed(self, booster: Object, desired: DesiredState) -> list[Object]:
        """Returns all live children, and other objects with the name of a desired child."""
        found = {ChildRef.of_object(obj): obj for obj in self._cache.children(uid_of(booster))}
        for child in desired.children:
            ref = ChildRef.of(child)
            if ref not in found:
                live = self._cache.get(child.resource, key_of(child.object))
                if live is not None:
                    found[ref] = live
        return list(found.values())

    async def _execute(
        self, booster: Object, desired: DesiredState, plan: Plan, state: BoosterState
    ) -> PlanResult:
        state.prune({ChildRef.of(child) for child in desired.children})
        if not plan:
            return PlanResult()
        if is_settled(booster):
            result = await self._executor.execute(desired.model, plan, state)
            for ref in (*result.created, *result.changed):  # no edit required these writes
                self._on_repair(ref.kind)
            return result
        reports_started: list[asyncio.Task[None]] = []

        def start_report() -> None:
            report = self._report_in_progress(booster, desired, state)
            reports_started.append(asyncio.create_task(report))

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, start_report)
        try:
            return await self._executor.execute(desired.model, plan, state)
        finally:
            slow.cancel()
            for task in reports_started:
                await task

    async def _report_in_progress(
        self, booster: Object, desired: DesiredState, state: BoosterState
    ) -> None:
        try:
            await self._reporter.report(booster, reconciling(), state, desired.model)
        except (ApiError, Unreachable):
            return  # the pass goes on, and reports again at its end

    def _backends(
        self, booster: Object, desired: DesiredState, state: BoosterState
    ) -> tuple[BackendReport, ...]:
        servings = {
            obj["metadata"]["name"]: obj
            for obj in self._cache.children(uid_of(booster))
            if obj["kind"] == MODEL_SERVING.kind
        }
        state.drop_observed_generations(servings)
        self._waves.observe(key_of(booster), servings.values())
        bounds = {child.name: child.replica_bounds for child in desired.children}
        pods = list(self._cache.pods(booster))
        lacking = podless(desired.model, servings, pods) if self._cache.knows_pods(booster) else ()
        return backend_reports(
            desired.model,
            servings,
            bounds,
            state.written_generations,
            stored_status(booster),
            pods,
            state.record_podless(lacking, self._clock()),
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

    def _next_pass(
        self, result: PlanResult, state: BoosterState
    ) -> tuple[Exception | None, float | None]:
        """Returns the error to retry for, and when to run the next pass, in seconds."""
        now = self._clock()
        if result.failures:
            # Conflicts are checked on a schedule of their own; any other failure comes first.
            others = [f for f in result.failures if not isinstance(f.error, ConflictingController)]
            leading = worst(others or result.failures)
            if leading.severity is Severity.NAMESPACE_TERMINATING:
                return None, None
            return leading.error, min(_retry_seconds(f, state, now) for f in result.failures)
        if state.waiting_since is None:
            return None, state.podless_wait(now)
        # The deletion enqueues the key if the object is watched. Otherwise, and to report that the
        # wait takes long, run a pass after a while.
        left = state.waiting_since + FAILING_SECONDS - now
        return None, left if left > 0 else FAILING_SECONDS


def _retry_seconds(failure: Failure, state: BoosterState, now: float) -> float:
    """Returns after how many seconds a failure may be retried."""
    if failure.severity is Severity.STALE:
        return 0
    if isinstance(failure.error, ConflictingController):
        return max(0, state.next_conflict_check_at(failure.error) - now)
    if failure.severity in (Severity.REJECTED, Severity.TERMINAL):
        retry_at = state.next_retry_at()
        return 0 if retry_at is None else max(0, retry_at - now)
    return min_wait_seconds(failure.error, state.failed_passes)
