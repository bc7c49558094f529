"""Carries out a plan: the only place from which children are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

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
from app.model.canonical import Model
from app.model.children import Desired
from app.values.meta import Key, Object, Resource, key_of, owner_references
from controller.cluster.lost import Lost
from controller.cluster.view import View
from controller.cluster.writes import Write
from controller.election.leadership import cause_of
from controller.planning.failure import Failure, Weight, weight_of
from controller.planning.memory import Memory
from controller.planning.order import may_begin, phases
from controller.planning.outcome import Done
from controller.planning.plan import (
    Apply,
    Delete,
    Look,
    Plan,
    Replace,
    Step,
    Taken,
    TakeOver,
    Wait,
    applied_over,
    named,
    obsolete,
    step_for,
)
from controller.planning.takeover import take_over_patch
from controller.reconcile.contests import Contests

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 120.0
"""Longest pause before we look again whether a name is free."""


class Writer:
    """Writes children.

    Args:
        kube: the API server.
        view: where what the writes return is noted.
        lost: children that may stand out of sight.
        contests: knows which children another controller changes back.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        kube: Kube,
        view: View,
        lost: Lost,
        contests: Contests,
        clock: Clock = time.monotonic,
    ) -> None:
        self._kube = kube
        self._contests = contests
        self._view = view
        self._lost = lost
        self._clock = clock

    async def carry_out(self, model: Model, todo: Plan, memory: Memory) -> Done:
        """Carries out a plan as far as it goes, and returns how far that was.

        The children go in phases, see ``controller.planning.order``; those of one phase go at once.
        Nothing is deleted before all that should be is there.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        work = _Work(model, memory, Done())
        for phase in phases(todo.steps):
            await self._all(work, [step for step in phase if may_begin(step, work.done)])
        if not work.done.failures:
            await self._all(work, todo.deletes)
        return work.done

    async def _all(self, work: _Work, steps: Sequence[Step | Delete | Look]) -> None:
        if len(steps) == 1:
            await self._write(work, steps[0])
            return
        try:
            async with asyncio.TaskGroup() as group:
                for step in steps:
                    group.create_task(self._write(work, step))
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    async def _write(self, work: _Work, step: Step | Delete | Look) -> None:
        """Carries out one step; what goes wrong is noted, not raised."""
        try:
            if isinstance(step, Apply | TakeOver):
                booster = Key(work.model.namespace, work.model.name)
                await self._contests.check_child(booster, work.model.uid, step.child, work.memory)
            await self._do(work, step)
        except (ApiError, Unreachable, TerminalError) as exc:
            work.done.failures.append(Failure(_named(step), exc))

    async def _do(self, work: _Work, step: Step | Delete | Look) -> None:
        match step:
            case Apply():
                await self._apply(work, step)
            case TakeOver(child=child):
                await self._look_first(work, child)
            case Replace(delete=delete, create=create):
                await self._delete(work, delete)
                await self._apply(work, create)
            case Delete():
                await self._delete(work, step)
            case Look(resource=resource, name=name):
                await self._seek(work, resource, name)
            case Wait():
                work.done.waiting.append(step)
            case Taken(resource=resource, live=live):
                raise ChildConflict(resource.kind, key_of(live).name, _owner_of(live))

    async def _apply(self, work: _Work, step: Apply) -> None:
        """Applies a child, unless the server has just refused the very same."""
        child, memory = step.child.object, work.memory
        if refusal := memory.standing_refusal(child, self._clock()):
            raise refusal.error
        try:
            await self._send(work, step)
        except (ApiError, TerminalError) as exc:
            if weight_of(exc) in (Weight.REFUSED, Weight.TERMINAL):
                tries = memory.tries(child) + 1
                pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 20), LONGEST_PAUSE_SECONDS)
                pause = max(pause, min_wait_seconds(exc, tries))
                memory.refuse(child, exc, tries, self._clock() + pause)
            raise
        memory.took(child)
        if step.old is not None:
            memory.repaired(child, self._clock())

    async def _send(self, work: _Work, step: Apply) -> None:
        resource, old = step.child.resource, step.old
        try:
            with self._view.writing(work.write(resource, step.child.name)) as write:
                obj = await self._kube.apply(resource, step.body)
                self._note(write, obj)
        except Conflict:
            if old is not None:
                raise  # it has moved on; the watch will show how it is now
            await self._look_first(work, step.child)
            return
        (work.done.changed if old else work.done.created).append(_named(step))
        generation = obj["metadata"].get("generation", 0)
        was = old["metadata"].get("generation") if old else None
        if resource is MODEL_SERVING and generation != was:
            work.memory.written[step.child.name] = generation

    async def _look_first(self, work: _Work, child: Desired) -> None:
        """Looks at what really stands there, and does what is right then."""
        with self._view.writing(work.write(child.resource, child.name)) as write:
            # What the watch shows meanwhile may be newer than the answer.
            live = await self._kube.get(child.resource, work.model.namespace, child.name)
            step = step_for(work.model, child, live)
            if step is None:  # what an earlier write of ours made, whose answer was lost
                self._note(write, live)
                return
        match step:
            case TakeOver():
                await self._take_over(work, child, live)
            case _:
                await self._do(work, step)

    async def _take_over(self, work: _Work, child: Desired, live: Object) -> None:
        """Makes the fields ours that another manager holds, and then as we want them."""
        key = key_of(live)
        if patch := take_over_patch(live, FIELD_MANAGER):
            live = await self._kube.json_patch(child.resource, key.namespace, key.name, patch)
        await self._apply(work, applied_over(child, live))

    async def _delete(self, work: _Work, step: Delete) -> None:
        with self._view.writing(work.write(step.resource, step.name)) as write:
            try:
                await self._kube.delete(step.resource, *write.key, uid=step.uid)
            except NotFound:
                return  # somebody was quicker, and the watch will show it
            self._view.deleted(write, step.uid, self._clock())
        work.done.deleted.append(_named(step))

    async def _seek(self, work: _Work, resource: Resource, name: str) -> None:
        """Deletes an unwanted child, if one really stands out of sight."""
        place = (resource.kind, Key(work.model.namespace, name))
        with suppress(NotFound):
            live = await self._kube.get(resource, work.model.namespace, name)
            if delete := obsolete(work.model, live):
                await self._delete(work, delete)
        self._lost.found(place, [work.model.uid])

    def _note(self, write: Write, obj: Object) -> None:
        obj["metadata"].pop("managedFields", None)
        self._view.made(write, obj, self._clock())


@dataclass(frozen=True, slots=True)
class _Work:
    """One plan being carried out."""

    model: Model
    memory: Memory
    done: Done

    def write(self, resource: Resource, name: str) -> Write:
        """Returns a write of a child."""
        namespace, booster = self.model.namespace, self.model.name
        return Write(resource, Key(namespace, name), Key(namespace, booster), self.model.uid)


def _named(step: Step | Delete | Look) -> str:
    match step:
        case Apply(child=child) | TakeOver(child=child) | Replace(create=Apply(child=child)):
            return named(child.resource, child.name)
        case Taken(resource=resource, live=live):
            return named(resource, key_of(live).name)
        case Delete(resource=resource, name=name) | Wait(resource=resource, name=name):
            return named(resource, name)
        case Look(resource=resource, name=name):
            return named(resource, name)


def _owner_of(live: Object) -> str:
    """Returns who owns an object, in words; ``""`` if nobody does."""
    refs = sorted(owner_references(live), key=lambda ref: not ref.get("controller"))
    return f'{refs[0].get("kind")} "{refs[0].get("name")}"' if refs else ""
