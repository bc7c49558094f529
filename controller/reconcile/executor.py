"""Executes plans: the only place that writes children."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from app.apis.kinds import MODEL_SERVING
from app.errors import (
    ApiError,
    ChildConflict,
    Conflict,
    NotFound,
    TerminalError,
    Unreachable,
)
from app.kube import FIELD_MANAGER, Kube, min_wait_seconds
from app.kube.backoff import Clock
from app.model.children import Desired
from app.model.forms import Model
from app.values.meta import Key, Object, Resource, key_of, owner_references
from app.values.value import value
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.own_writes import InflightWrite
from controller.cluster.unlabeled import UnlabeledChildren
from controller.election.leadership import cause_of
from controller.plan.actions import (
    Apply,
    ChildAction,
    Delete,
    DeleteUnlabeled,
    Deletion,
    NameConflict,
    Plan,
    Recreate,
    TakeOver,
    WaitForDeletion,
)
from controller.plan.planner import action_for, apply_over, delete_if_obsolete
from controller.plan.takeover import take_over_patch
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.conflict_guard import ConflictGuard
from controller.reconcile.failure import Failure, Severity, severity_of
from controller.reconcile.phases import in_phases, may_start
from controller.reconcile.plan_result import PlanResult

FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 120.0
"""First and longest pause before a rejected child is sent again."""


class PlanExecutor:
    """Executes plans.

    Args:
        kube: the API server.
        cache: the cluster; takes the results of our writes.
        unlabeled: children that may exist without our label.
        conflicts: refuses writes that another controller reverts.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        kube: Kube,
        cache: MutationCache,
        unlabeled: UnlabeledChildren,
        conflicts: ConflictGuard,
        clock: Clock = time.monotonic,
    ) -> None:
        self._kube = kube
        self._conflicts = conflicts
        self._cache = cache
        self._unlabeled = unlabeled
        self._clock = clock

    async def execute(self, model: Model, plan: Plan, state: BoosterState) -> PlanResult:
        """Executes a plan as far as possible; errors of single children end up in the result.

        Children are written in phases (``controller.reconcile.phases``), those of one phase
        concurrently. Obsolete children are deleted last, and only if nothing failed.

        Args:
            model: the ModelBooster.
            plan: its plan.
            state: its state.

        Raises:
            LeadershipLost: this replica may not write any more.
        """
        run = _Execution(model, state, PlanResult())
        for phase in in_phases(plan.actions):
            await self._all(run, [action for action in phase if may_start(action, run.result)])
        if not run.result.failures:
            await self._all(run, plan.deletions)
        return run.result

    async def _all(self, run: _Execution, actions: Sequence[ChildAction | Deletion]) -> None:
        if len(actions) <= 1:
            for action in actions:
                await self._try(run, action)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for action in actions:
                    group.create_task(self._try(run, action))
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    async def _try(self, run: _Execution, action: ChildAction | Deletion) -> None:
        """Executes one action; an error is recorded as a failure."""
        try:
            if isinstance(action, Apply | TakeOver):
                booster = Key(run.model.namespace, run.model.name)
                await self._conflicts.check_child(booster, run.model.uid, action.child, run.state)
            await self._execute(run, action)
        except (ApiError, Unreachable, TerminalError) as exc:
            run.result.failures.append(Failure(action.ref, exc))

    async def _execute(self, run: _Execution, action: ChildAction | Deletion) -> None:
        match action:
            case Apply():
                await self._apply(run, action)
            case TakeOver(child=child):
                await self._read_and_retry(run, child)
            case Recreate(delete=delete, create=create):
                await self._delete(run, delete)
                await self._apply(run, create)
            case Delete():
                await self._delete(run, action)
            case DeleteUnlabeled(resource=resource, name=name):
                await self._delete_unlabeled(run, resource, name)
            case WaitForDeletion():
                run.result.waiting.append(action)
            case NameConflict(ref=ref, live=live):
                raise ChildConflict(ref.kind, ref.name, _owner_of(live))

    async def _apply(self, run: _Execution, action: Apply) -> None:
        """Applies a child, unless the API server has just rejected the same one."""
        child, state = action.child.object, run.state
        if rejection := state.active_rejection(child, self._clock()):
            raise rejection.error
        try:
            await self._send(run, action)
        except (ApiError, TerminalError) as exc:
            if severity_of(exc) in (Severity.REJECTED, Severity.TERMINAL):
                attempts = state.rejected_attempts(child) + 1
                pause = min(FIRST_RETRY_SECONDS * 2.0 ** min(attempts, 20), MAX_RETRY_SECONDS)
                pause = max(pause, min_wait_seconds(exc, attempts))
                state.record_rejection(child, exc, attempts, self._clock() + pause)
            raise
        state.record_applied(child)
        if action.live is not None:
            state.record_repair(child, self._clock())

    async def _send(self, run: _Execution, action: Apply) -> None:
        resource, live = action.child.resource, action.live
        try:
            with self._cache.writing(run.write(resource, action.child.name)) as write:
                obj = await self._kube.apply(resource, action.body)
                self._record_written(write, obj)
        except Conflict:
            if live is not None:
                raise  # the object has changed; the watch will show it
            await self._read_and_retry(run, action.child)
            return
        (run.result.changed if live else run.result.created).append(action.ref)
        generation = obj["metadata"].get("generation", 0)
        before = live["metadata"].get("generation") if live else None
        if resource is MODEL_SERVING and generation != before:
            run.state.written_generations[action.child.name] = generation

    async def _read_and_retry(self, run: _Execution, child: Desired) -> None:
        """Reads the live object from the API server and executes the action that it requires."""
        with self._cache.writing(run.write(child.resource, child.name)) as write:
            # What the watch shows meanwhile may be newer than the answer.
            live = await self._kube.get(child.resource, run.model.namespace, child.name)
            action = action_for(run.model, child, live)
            if action is None:  # an earlier write succeeded, but its answer was lost
                self._record_written(write, live)
                return
        match action:
            case TakeOver():
                await self._take_over(run, child, live)
            case _:
                await self._execute(run, action)

    async def _take_over(self, run: _Execution, child: Desired, live: Object) -> None:
        """Makes our field manager the owner of fields, then applies the child."""
        key = key_of(live)
        if patch := take_over_patch(live, FIELD_MANAGER):
            live = await self._kube.json_patch(child.resource, key.namespace, key.name, patch)
        await self._apply(run, apply_over(child, live))

    async def _delete(self, run: _Execution, action: Delete) -> None:
        with self._cache.writing(run.write(action.resource, action.name)) as write:
            try:
                await self._kube.delete(action.resource, *write.key, uid=action.uid)
            except NotFound:
                return  # already deleted; the watch will show it
            self._cache.record_deletion(write, action.uid, self._clock())
        run.result.deleted.append(action.ref)

    async def _delete_unlabeled(self, run: _Execution, resource: Resource, name: str) -> None:
        """Reads a child that may have lost our label, and deletes it if it is obsolete."""
        with suppress(NotFound):
            live = await self._kube.get(resource, run.model.namespace, name)
            if delete := delete_if_obsolete(run.model, live):
                await self._delete(run, delete)
        ref = (resource.kind, Key(run.model.namespace, name))
        self._unlabeled.discard(ref, [run.model.uid])

    def _record_written(self, write: InflightWrite, obj: Object) -> None:
        obj["metadata"].pop("managedFields", None)
        self._cache.record_write(write, obj, self._clock())


@value
class _Execution:
    """One plan while it is executed."""

    model: Model
    state: BoosterState
    result: PlanResult

    def write(self, resource: Resource, name: str) -> InflightWrite:
        """Returns the record of a write of one child."""
        namespace, booster = self.model.namespace, self.model.name
        return InflightWrite(
            resource, Key(namespace, name), Key(namespace, booster), self.model.uid
        )


def _owner_of(live: Object) -> str:
    """Returns kind and name of the owner of an object, its controller first; ``""`` if none."""
    refs = sorted(owner_references(live), key=lambda ref: not ref.get("controller"))
    return f'{refs[0].get("kind")} "{refs[0].get("name")}"' if refs else ""
