"""The result of executing a plan, and how long passes have been failing."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.values.meta import Resource
from app.values.value import hashable_value
from controller.plan.actions import ChildRef, WaitForDeletion
from controller.reconcile.failure import Failure

FAILING_SECONDS = 60.0
"""How long transient errors, or a wait for a deletion, may last before ``Failed`` is True."""

FAILING_PASSES = 5
"""How many passes in a row may fail with transient errors before ``Failed`` is True."""


@dataclass(slots=True)
class PlanResult:
    """What the execution of a plan has done.

    Args:
        created: children that were created.
        changed: children that existed and were applied.
        deleted: children that were deleted.
        failures: children that could not be written.
        waiting: deletions that have to end before a child can be created.
    """

    created: list[ChildRef] = field(default_factory=list)
    changed: list[ChildRef] = field(default_factory=list)
    deleted: list[ChildRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    waiting: list[WaitForDeletion] = field(default_factory=list)

    def has_changed(self, resource: Resource) -> bool:
        """Whether an existing child of a kind was applied."""
        return any(ref.kind == resource.kind for ref in self.changed)

    def is_pending(self, resource: Resource) -> bool:
        """Whether a child of a kind failed, or has to wait."""
        refs = [failure.child for failure in self.failures] + [wait.ref for wait in self.waiting]
        return any(ref.kind == resource.kind for ref in refs)


@hashable_value
class FailureStreak:
    """How long passes for a ModelBooster have been failing or waiting.

    Args:
        passes: passes in a row with transient errors, this one included.
        failing_seconds: time since the first of them.
        waiting_seconds: time since the passes wait for a deletion.
    """

    passes: int = 0
    failing_seconds: float = 0
    waiting_seconds: float = 0

    @property
    def is_persistent(self) -> bool:
        """Whether transient errors have lasted long enough to set ``Failed`` to True."""
        return self.passes >= FAILING_PASSES or self.failing_seconds > FAILING_SECONDS
