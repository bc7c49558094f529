"""Limits how many ModelBoosters restart their pods without a request at the same time.

The next ModelBooster begins when one of the wave is available again. A ModelBooster that does not
become available keeps its place, which stops the rollout; the status of those that wait names it.
See ``controller.plan.rollout`` for what an unrequested restart is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.values.meta import Key, Object, key_of
from controller.plan.actions import Plan
from controller.plan.rollout import (
    ALLOW,
    HOLD,
    ROLLOUT,
    UnrequestedRestarts,
    is_edited,
    is_rolling_out,
    owning_booster,
    rollout_annotation,
    unrequested_restarts,
    with_rollout_mark,
    without_restarts,
)
from controller.reconcile.booster_state import BoosterState

MAX_NAMES = 3
"""How many of the ModelBoosters that are rolling out are named in a message."""


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """Which part of a plan may be executed now.

    Args:
        plan: that part.
        held_message: why restarts are held, and how to allow them; ``""`` if none are.
    """

    plan: Plan
    held_message: str = ""


class RolloutWaves:
    """Decides which ModelBoosters may restart pods without a request.

    Args:
        size: how many may at the same time; 0 for only those with the annotation.
        servings: returns all ModelServings; called once, when it first matters after a start.
        enqueue: adds a waiting ModelBooster to the queue.
    """

    def __init__(
        self,
        size: int,
        servings: Callable[[], Iterable[Object]],
        enqueue: Callable[[Key], None],
    ) -> None:
        self._size = size
        self._servings = servings
        self._enqueue = enqueue
        self._rolling: set[Key] | None = None
        self._waiting: OrderedDict[Key, None] = OrderedDict()

    def decide(
        self,
        booster: Object,
        plan: Plan,
        observed: list[Object],
        state: BoosterState,
    ) -> RolloutDecision:
        """Returns which part of a plan may be executed now.

        Args:
            booster: the ModelBooster.
            plan: its plan.
            observed: its live children.
            state: its state.
        """
        key = key_of(booster)
        if self._stop_waiting(key):  # if it does not have to wait again, the next one may begin
            self._enqueue_next()
        generation = booster["metadata"].get("generation", 0)
        if is_edited(booster):  # also for later passes, in case a write of this pass fails
            state.edited_generation = generation
        if not plan or state.edited_generation == generation:
            return RolloutDecision(plan)
        restarts = unrequested_restarts(plan, observed, state.applied_revisions)
        if restarts is None:
            return RolloutDecision(plan)
        annotation = rollout_annotation(booster)
        if annotation == ALLOW or (annotation != HOLD and self._has_room(key)):
            self._rolling_out().add(key)
            return RolloutDecision(with_rollout_mark(plan, restarts, generation))
        if annotation != HOLD and self._size:
            self._waiting[key] = None
        message = self._held_message(booster, restarts, annotation)
        return RolloutDecision(without_restarts(plan, observed), message)

    def observe(self, key: Key, servings: Iterable[Object]) -> None:
        """Takes the live ModelServings of a ModelBooster after a pass; none if it is gone."""
        if any(map(is_rolling_out, servings)):
            if self._rolling is not None:
                self._rolling.add(key)
            return
        if self._rolling and key in self._rolling:
            self._rolling.discard(key)
            self._enqueue_next()

    def remove(self, key: Key) -> None:
        """Removes a ModelBooster that was deleted."""
        if self._stop_waiting(key):
            self._enqueue_next()
        self.observe(key, ())

    def _stop_waiting(self, key: Key) -> bool:
        """Removes a ModelBooster from those that wait; returns whether it was one of them."""
        return key in self._waiting and self._waiting.pop(key) is None

    def _has_room(self, key: Key) -> bool:
        return self._size > 0 and len(self._rolling_out() - {key}) < self._size

    def _rolling_out(self) -> set[Key]:
        """Returns the ModelBoosters that are rolling out, without a copy."""
        if self._rolling is None:
            owners = (owning_booster(s) for s in self._servings() if is_rolling_out(s))
            self._rolling = set(filter(None, owners))
        return self._rolling

    def _enqueue_next(self) -> None:
        room = self._size - len(self._rolling_out())
        for key in list(self._waiting)[: max(0, room)]:
            self._enqueue(key)

    def _held_message(self, booster: Object, restarts: UnrequestedRestarts, annotation: str) -> str:
        names = ", ".join(f'"{name}"' for name in restarts.servings)
        what = (
            f"ModelServing {names} was made by another controller. To take it over restarts its "
            "pods, so its objects stay as they are"
        )
        if annotation == HOLD:
            return f"{what}, as the annotation {ROLLOUT}: {HOLD} asks for"
        name = booster["metadata"]["name"]
        command = f"kubectl annotate modelbooster {name} {ROLLOUT}={ALLOW}"
        if not self._size:
            return f"{what} until you allow it: {command}"
        rolling = sorted(map(str, self._rolling_out()))
        more = ", ..." if len(rolling) > MAX_NAMES else ""
        before = ", ".join(rolling[:MAX_NAMES]) + more
        return f"{what} until {before} is available again; to go first: {command}"
