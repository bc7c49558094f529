"""What a pass came to: what the status shall say of it, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.values.meta import Object
from controller.planning.failure import Failure, Weight, message_of, worst
from controller.planning.plan import Wait, named
from controller.status.booster_status import condition, is_settled, stored_status
from controller.status.conditions import (
    TRUE,
    UNKNOWN,
    ConditionSet,
    Reason,
    deployed,
    failing,
    readiness_unknown,
    retrying,
)
from controller.status.readiness import BackendReport

PATIENCE_SECONDS = 60.0
"""How long something may go wrong that mostly mends itself, before we call it a failure."""

PATIENT_TRIES = 5


@dataclass(slots=True)
class Done:
    """What carrying out a plan came to.

    Args:
        created: what was made, as ``ModelRoute "m"``.
        changed: what was changed.
        deleted: what was deleted.
        failures: what went wrong.
        waiting: what must go before anything can be done.
    """

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    waiting: list[Wait] = field(default_factory=list)


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


def conclude(
    booster: Object,
    done: Done,
    backends: tuple[BackendReport, ...],
    notes: Sequence[str] = (),
    trouble: Trouble | None = None,
) -> ConditionSet | None:
    """Returns what the status shall say; None to let stand what it says.

    Args:
        booster: the ModelBooster with its stored status.
        done: what the pass did.
        backends: what is known of each backend after it.
        notes: sentences that go with the message of ``Active``.
        trouble: how long things have not been going well.
    """
    trouble = trouble or Trouble()
    if not done.failures:
        return _undisturbed(booster, done.waiting, backends, notes, trouble)
    leading, message = worst(done.failures), message_of(done.failures)
    match leading.weight:
        case Weight.MOOT | Weight.STALE:
            return None
        case Weight.TERMINAL | Weight.REFUSED:
            return failing(leading.reason, with_what_runs(message, backends), backends)
    if not trouble.lasts:
        return None if is_settled(booster) else retrying(message)
    active = condition(stored_status(booster), "Active").get("status")
    is_recent = trouble.failing_seconds <= PATIENCE_SECONDS
    if is_settled(booster) and (active == TRUE or (active == UNKNOWN and is_recent)):
        return readiness_unknown(message, backends)
    return failing(Reason.APPLY_FAILED, with_what_runs(message, backends), backends)


def _undisturbed(
    booster: Object,
    waiting: Sequence[Wait],
    backends: tuple[BackendReport, ...],
    notes: Sequence[str],
    trouble: Trouble,
) -> ConditionSet:
    if waiting and trouble.waiting_seconds >= PATIENCE_SECONDS:
        theirs = any(not wait.ours for wait in waiting)
        reason = Reason.NAME_CONFLICT if theirs else Reason.APPLY_FAILED
        message = f"{waiting_for(waiting)}, for more than {PATIENCE_SECONDS:.0f} s"
        return failing(reason, with_what_runs(message, backends), backends)
    if waiting and not is_settled(booster):
        return retrying(waiting_for(waiting))
    return deployed(backends, notes)


def waiting_for(waiting: Sequence[Wait]) -> str:
    """Returns what we wait for, in words."""
    names = ", ".join(named(wait.resource, wait.name) for wait in waiting)
    ours = all(wait.ours for wait in waiting)
    whose = "being deleted" if ours else "of a deleted ModelBooster of the same name"
    return f"waiting for {names}, {whose}, to go"


def with_what_runs(message: str, backends: Sequence[BackendReport]) -> str:
    """Adds to a message that what was made before goes on serving, if it does."""
    if not any(report.ready_replicas for report in backends):
        return message
    return f"{message}; what was made before is left as it is, and goes on serving"
