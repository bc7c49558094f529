"""What carrying out a plan came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.plan.actions import ChildRef, Wait
from controller.reconcile.failure import Failure


@dataclass(slots=True)
class Done:
    """What carrying out a plan came to.

    Args:
        created: children that were made.
        changed: children that were changed.
        deleted: children that were deleted.
        failures: what went wrong.
        waiting: what must go before anything can be done.
    """

    created: list[ChildRef] = field(default_factory=list)
    changed: list[ChildRef] = field(default_factory=list)
    deleted: list[ChildRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    waiting: list[Wait] = field(default_factory=list)


PATIENCE_SECONDS = 60.0
"""How long something may go wrong that mostly mends itself, before we call it a failure."""

PATIENT_TRIES = 5


@dataclass(frozen=True, slots=True)
class Trouble:
    """How long things have not been going well.

    Args:
        failures: passes in a row that failed for something that mostly mends itself, this one
            included.
        failing_seconds: since the first of them.
        waiting_seconds: since we began to wait for an object to go.
    """

    failures: int = 0
    failing_seconds: float = 0
    waiting_seconds: float = 0

    @property
    def lasts(self) -> bool:
        """Whether it is time to call it a failure."""
        return self.failures >= PATIENT_TRIES or self.failing_seconds > PATIENCE_SECONDS
