"""One pass: read, decide, act, report.

Level, not edge: a pass never asks what happened, only what is. Every ``await`` is a write; every
decision is a call to a pure function.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.errors import ApiError, ConflictingController, InvalidSpec, NotFound, Unreachable
from app.kube import min_wait_seconds
from app.kube.backoff import Clock
from app.values.meta import Key, Object, is_terminating, key_of, uid_of
from controller.cluster.lost import Lost
from controller.cluster.schema import Schema
from controller.cluster.view import View
from controller.planning.failure import Failure, Weight, worst
from controller.planning.intent import Intent
from controller.planning.memory import Memory
from controller.planning.outcome import PATIENCE_SECONDS, Done, conclude
from controller.planning.plan import Plan, plan
from controller.reconcile.reporter import Reporter
from controller.reconcile.waves import Waves
from controller.reconcile.writer import Writer
from controller.status.finding import Finding, held, reconciling, stuck
from controller.status.readiness import BackendReport, reports
from controller.status.status import is_settled, stored_status

SLOW_SECONDS = 2.0
"""A pass that takes longer says that it is at work."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a pass ended.

    Args:
        error: why it must be repeated; None if it need not.
        wait_seconds: when to look again: with an error at the earliest, without at the latest;
            None if there is no need to.
        is_gone: whether there is no such ModelBooster, or soon will be none.
    """

    error: Exception | None = None
    wait_seconds: float | None = None
    is_gone: bool = False


class Reconciler:
    """Makes the world be as a ModelBooster says.

    Args:
        view: the cluster.
        lost: children that may stand out of sight.
        intend: what a stored ModelBooster asks for; raises InvalidSpec.
        writer: writes children.
        reporter: writes the status.
        waves: decides who may restart pods unasked.
        repaired: told the kind of every child that had to be put right.
        schema: whether the installed CustomResourceDefinition is ours; without it, it is.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        view: View,
        lost: Lost,
        intend: Callable[[Object], Intent],
        writer: Writer,
        reporter: Reporter,
        waves: Waves,
        repaired: Callable[[str], None] = lambda kind: None,
        schema: Schema | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._view = view
        self._lost = lost
        self._intend = intend
        self._writer = writer
        self._reporter = reporter
        self._waves = waves
        self._repaired = repaired
        self._schema = schema
        self._clock = clock
        self._memories: dict[Key, Memory] = {}

    async def reconcile(self, key: Key) -> Result:
        """Runs one pass for the ModelBooster of this name.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        booster = self._view.get(MODEL_BOOSTER, key)
        if booster is None or is_terminating(booster):
            self._memories.pop(key, None)
            self._waves.gone(key)
            # The garbage collector removes the children, by their owner reference.
            return Result(is_gone=True)
        memory = self._memory_of(booster)
        if self._schema is not None and (why := self._schema.fault_of(booster)):
            if self._schema.may_tell():
                self._reporter.tell_replaced(booster, why, memory)
            return Result()  # everything stays as it is; the key is woken when our schema is back
        try:
            intent = self._intend(booster)
        except InvalidSpec as exc:
            return await self._report(booster, stuck(exc.reason, exc.message), memory, error=exc)
        lost = [(kind, at.name) for kind, at in self._lost.of(uid_of(booster))]
        observed = self._observed(booster, intent)
        todo = plan(intent.model, intent.children, observed, lost)
        decision = self._waves.decide(booster, todo, observed, memory)
        done = await self._act(booster, intent, decision.plan, memory)
        trouble = memory.trouble(done, self._clock())
        backends = self._backends(booster, intent, memory)
        finding = conclude(booster, done, backends, intent.notes, trouble)
        finding = finding and held(finding, decision.held)
        error, wait = self._again(done, memory)
        if finding is None:
            return Result(error, wait)
        return await self._report(
            booster, finding, memory, intent=intent, done=done, error=error, wait=wait
        )

    def refused(self) -> Iterable[Key]:
        """Returns the ModelBoosters of which the server does not take a child."""
        return [key for key, memory in self._memories.items() if memory.refused]

    def forget_refusals(self, key: Key) -> None:
        """Lets the refused children of a ModelBooster be sent again at the next pass."""
        if key in self._memories:
            self._memories[key].refused.clear()

    def _memory_of(self, booster: Object) -> Memory:
        key, uid = key_of(booster), uid_of(booster)
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memories[key] = Memory(uid)
        return memory

    def _observed(self, booster: Object, intent: Intent) -> list[Object]:
        """Returns all that is ours, and whatever stands under a name that we want."""
        found = {
            (obj["kind"], obj["metadata"]["name"]): obj
            for obj in self._view.children(uid_of(booster))
        }
        for child in intent.children:
            at = (child.resource.kind, child.name)
            if at not in found:
                live = self._view.get(child.resource, key_of(child.object))
                if live is not None:
                    found[at] = live
        return list(found.values())

    async def _act(self, booster: Object, intent: Intent, todo: Plan, memory: Memory) -> Done:
        memory.keep({(c.resource.kind, c.name) for c in intent.children})
        if not todo:
            return Done()
        if is_settled(booster):
            done = await self._writer.carry_out(intent.model, todo, memory)
            for child in (*done.created, *done.changed):  # the spec had been acted on before
                self._repaired(child.partition(" ")[0])
            return done
        saying: list[asyncio.Task[None]] = []

        def say() -> None:
            saying.append(asyncio.create_task(self._say_busy(booster, intent, memory)))

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, say)
        try:
            return await self._writer.carry_out(intent.model, todo, memory)
        finally:
            slow.cancel()
            for task in saying:
                await task

    async def _say_busy(self, booster: Object, intent: Intent, memory: Memory) -> None:
        try:
            await self._reporter.report(booster, reconciling(), memory, intent.model)
        except (ApiError, Unreachable):
            return  # the pass goes on, and what it finds is said at its end

    def _backends(
        self, booster: Object, intent: Intent, memory: Memory
    ) -> tuple[BackendReport, ...]:
        servings = {
            obj["metadata"]["name"]: obj
            for obj in self._view.children(uid_of(booster))
            if obj["kind"] == MODEL_SERVING.kind
        }
        memory.forget_written(servings)
        self._waves.note(key_of(booster), servings.values())
        bounds = {child.name: child.replica_bounds for child in intent.children}
        return reports(
            intent.model,
            servings,
            bounds,
            memory.written,
            stored_status(booster),
            self._view.pods(booster),
        )

    async def _report(
        self,
        booster: Object,
        finding: Finding,
        memory: Memory,
        *,
        intent: Intent | None = None,
        done: Done | None = None,
        error: Exception | None = None,
        wait: float | None = None,
    ) -> Result:
        model = intent.model if intent else None
        try:
            held = await self._reporter.report(booster, finding, memory, model, done)
        except NotFound:
            return Result(is_gone=True)  # the watch will show it
        except (ApiError, Unreachable) as exc:
            return Result(error or exc, wait)
        if held is not None:
            wait = held if wait is None else min(wait, held)
        return Result(error, wait)

    def _again(self, done: Done, memory: Memory) -> tuple[Exception | None, float | None]:
        """Returns why the pass must be repeated, if so, and when to look again."""
        now = self._clock()
        if done.failures:
            # A contest is looked at again at its own pace; any other failure decides before it.
            others = [f for f in done.failures if not isinstance(f.error, ConflictingController)]
            leading = worst(others or done.failures)
            if leading.weight is Weight.MOOT:
                return None, None
            return leading.error, min(_wait_after(f, memory, now) for f in done.failures)
        if memory.waiting_since is None:
            return None, None
        # Its going wakes the key; this is for what is not watched, and to say that it is late.
        left = memory.waiting_since + PATIENCE_SECONDS - now
        return None, left if left > 0 else PATIENCE_SECONDS


def _wait_after(failure: Failure, memory: Memory, now: float) -> float:
    if failure.weight is Weight.STALE:
        return 0
    if isinstance(failure.error, ConflictingController):
        return max(0, memory.next_look(failure.error) - now)
    if failure.weight in (Weight.REFUSED, Weight.TERMINAL):
        until = memory.next_try()
        return 0 if until is None else max(0, until - now)
    return min_wait_seconds(failure.error, memory.failures)
