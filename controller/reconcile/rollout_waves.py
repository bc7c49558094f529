"""Lets unasked rollouts through, one wave at a time.

At most so many ModelBoosters restart their pods unasked at the same time; the next one begins when
one of them is available again. A model that does not become available keeps its place, which stops
the rollout: the status of those that wait names it. See ``controller.plan.rollout`` for what is
unasked.
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
    Unasked,
    booster_of,
    held_back,
    is_edited,
    is_rolling_out,
    marked,
    order_of,
    unasked,
)
from controller.reconcile.booster_state import Memory

MOST_NAMED = 3
"""So many of the models that are being rolled out are named in a message."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done of a plan.

    Args:
        plan: that.
        held: why the rest is held back, and how to let it go; ``""`` if nothing is.
    """

    plan: Plan
    held: str = ""


class Waves:
    """Decides who may restart pods unasked.

    Args:
        size: how many ModelBoosters at the same time; 0 for none that is not told to.
        servings: all ModelServings; asked once, the first time that it matters after a start.
        wake: lets a ModelBooster that waits have another pass.
    """

    def __init__(
        self,
        size: int,
        servings: Callable[[], Iterable[Object]],
        wake: Callable[[Key], None],
    ) -> None:
        self._size = size
        self._servings = servings
        self._wake = wake
        self._rolling: set[Key] | None = None
        self._waiting: OrderedDict[Key, None] = OrderedDict()

    def decide(
        self,
        booster: Object,
        todo: Plan,
        observed: list[Object],
        memory: Memory,
    ) -> Decision:
        """Returns what of a plan may be done now.

        Args:
            booster: whose plan it is.
            todo: the plan.
            observed: the children as they are.
            memory: what is remembered of it.
        """
        key = key_of(booster)
        if self._leaves(key):  # unless it has to wait again, another one may be next
            self._wake_next()
        generation = booster["metadata"].get("generation", 0)
        if is_edited(booster):  # which holds for later passes too, should a write of this one fail
            memory.released = generation
        if not todo or memory.released == generation:
            return Decision(todo)
        which = unasked(todo, observed, memory.applied)
        if which is None:
            return Decision(todo)
        order = order_of(booster)
        if order == ALLOW or (order != HOLD and self._has_room(key)):
            self._known().add(key)
            return Decision(marked(todo, which, generation))
        if order != HOLD and self._size:
            self._waiting[key] = None
        return Decision(held_back(todo, observed), self._why(booster, which, order))

    def note(self, key: Key, servings: Iterable[Object]) -> None:
        """Takes in how the ModelServings of a ModelBooster are after a pass; none if it is gone."""
        if any(map(is_rolling_out, servings)):
            if self._rolling is not None:
                self._rolling.add(key)
            return
        if self._rolling and key in self._rolling:
            self._rolling.discard(key)
            self._wake_next()

    def gone(self, key: Key) -> None:
        """Forgets a ModelBooster that is no more."""
        if self._leaves(key):
            self._wake_next()
        self.note(key, ())

    def _leaves(self, key: Key) -> bool:
        """Takes a ModelBooster out of those that wait; returns whether it was among them."""
        return key in self._waiting and self._waiting.pop(key) is None

    def _has_room(self, key: Key) -> bool:
        return self._size > 0 and len(self._known() - {key}) < self._size

    def _known(self) -> set[Key]:
        """Returns the ModelBoosters that are being rolled out."""
        if self._rolling is None:
            found = (booster_of(serving) for serving in self._servings() if is_rolling_out(serving))
            self._rolling = set(filter(None, found))
        return self._rolling

    def _wake_next(self) -> None:
        room = self._size - len(self._known())
        for key in list(self._waiting)[: max(0, room)]:
            self._wake(key)

    def _why(self, booster: Object, which: Unasked, order: str) -> str:
        names = ", ".join(f'"{name}"' for name in which.servings)
        what = (
            f"ModelServing {names} was made by another controller. To take it over restarts its "
            "pods, so its objects stay as they are"
        )
        if order == HOLD:
            return f"{what}, as the annotation {ROLLOUT}: {HOLD} asks for"
        name = booster["metadata"]["name"]
        release = f"kubectl annotate modelbooster {name} {ROLLOUT}={ALLOW}"
        if not self._size:
            return f"{what} until you allow it: {release}"
        rolling = sorted(map(str, self._known()))
        more = ", ..." if len(rolling) > MOST_NAMED else ""
        before = ", ".join(rolling[:MOST_NAMED]) + more
        return f"{what} until {before} is available again; to go first: {release}"
