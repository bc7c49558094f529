"""Limits how many ModelBoosters restart their pods without a request at the same time.

The next ModelBooster begins when one of the wave is available again. A ModelBooster that does not
become available keeps its place, which stops the rollout; the status of those that wait names it.
See ``controller.plan.rollout`` for what an unrequested restart is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable

from app.values.meta import Key, Object, key_of
from app.values.value import value
from controller.plan.actions import ChildRef, Plan
from controller.plan.desired import DesiredState
from controller.plan.fingerprints import ROLLOUT
from controller.plan.held import hold_models, hold_templates
from controller.plan.planner import make_plan
from controller.plan.rollout import (
    ALLOW,
    HOLD,
    is_edited,
    rollout_annotation,
    unrequested_restarts,
    without_restarts,
)
from controller.plan.rollout_marks import (
    is_rolling_out,
    owning_booster,
    with_live_marks,
    with_rollout_mark,
)
from controller.plan.rollout_text import allow_command, what_is_held
from controller.reconcile.booster_state import BoosterState

MAX_NAMES = 3
"""How many of the ModelBoosters that are rolling out are named in a message."""


@value
class RolloutDecision:
    """The plan that may be executed now.

    Args:
        plan: that plan.
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
        self._held: set[Key] = set()

    def decide(
        self,
        booster: Object,
        desired: DesiredState,
        observed: list[Object],
        unlabeled: Iterable[ChildRef],
        state: BoosterState,
        waiting: Collection[str] = (),
    ) -> RolloutDecision:
        """Returns the plan that may be executed now.

        Args:
            booster: the ModelBooster.
            desired: its desired state.
            observed: its live children.
            unlabeled: children that may exist without our label.
            state: its state.
            waiting: names of the ModelServings whose pods wait for the warm-up of a cache.
        """
        key = key_of(booster)
        self._held.discard(key)
        if self._stop_waiting(key):  # if it does not have to wait again, the next one may begin
            self._enqueue_next()
        generation = booster["metadata"].get("generation", 0)
        if is_edited(booster):  # also for later passes, in case a write of this pass fails
            state.edited_generation = generation
        children = with_live_marks(desired.children, observed)
        children = hold_models(children, observed, waiting)
        plan = make_plan(desired.model, children, observed, unlabeled)
        edited = state.edited_generation == generation
        restarts = unrequested_restarts(plan, observed, state.applied_revisions, edited=edited)
        if restarts is None:
            return RolloutDecision(plan)
        annotation = rollout_annotation(booster)
        if annotation == ALLOW or (annotation != HOLD and self._has_room(key)):
            self._rolling_out().add(key)
            return RolloutDecision(with_rollout_mark(plan, restarts.servings, generation))
        if annotation != HOLD and self._size:
            self._waiting[key] = None
        self._held.add(key)
        kept = hold_templates(children, observed, restarts.templates)
        plan = make_plan(desired.model, kept, observed, unlabeled)
        if restarts.takeovers:
            plan = without_restarts(plan, observed)
        what = what_is_held(restarts, children, observed)
        return RolloutDecision(plan, f"{what}{self._until(booster, annotation)}")

    @property
    def held(self) -> int:
        """The number of ModelBoosters whose pods wait for a rollout, as of their last passes."""
        return len(self._held)

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
        self._held.discard(key)
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

    def _until(self, booster: Object, annotation: str) -> str:
        """Returns how long the restarts of a ModelBooster are held, as the end of a sentence."""
        if annotation == HOLD:
            return f", as the annotation {ROLLOUT}: {HOLD} asks for"
        command = allow_command(booster["metadata"]["name"])
        if not self._size:
            return f" until you allow it: {command}"
        rolling = sorted(map(str, self._rolling_out()))
        more = ", ..." if len(rolling) > MAX_NAMES else ""
        before = ", ".join(rolling[:MAX_NAMES]) + more
        return f" until {before} is available again; to go first: {command}"
