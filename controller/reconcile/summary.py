"""What a pass came to: what the status shall say of it, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence

from app.values.meta import Object
from controller.plan.actions import Wait
from controller.reconcile.failure import Weight, message_of, worst
from controller.reconcile.plan_result import PATIENCE_SECONDS, Done, Trouble
from controller.status.finding import (
    TRUE,
    UNKNOWN,
    Finding,
    Reason,
    deployed,
    retrying,
    stuck,
    unclear,
)
from controller.status.readiness import BackendReport
from controller.status.status import condition, is_settled, stored_status


def conclude(
    booster: Object,
    done: Done,
    backends: tuple[BackendReport, ...],
    notes: Sequence[str] = (),
    trouble: Trouble | None = None,
) -> Finding | None:
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
            return stuck(leading.reason, with_what_runs(message, backends), backends)
    if not trouble.lasts:
        return None if is_settled(booster) else retrying(message)
    active = condition(stored_status(booster), "Active").get("status")
    is_recent = trouble.failing_seconds <= PATIENCE_SECONDS
    if is_settled(booster) and (active == TRUE or (active == UNKNOWN and is_recent)):
        return unclear(message, backends)
    return stuck(Reason.APPLY_FAILED, with_what_runs(message, backends), backends)


def _undisturbed(
    booster: Object,
    waiting: Sequence[Wait],
    backends: tuple[BackendReport, ...],
    notes: Sequence[str],
    trouble: Trouble,
) -> Finding:
    if waiting and trouble.waiting_seconds >= PATIENCE_SECONDS:
        theirs = any(not wait.ours for wait in waiting)
        reason = Reason.NAME_CONFLICT if theirs else Reason.APPLY_FAILED
        message = f"{waiting_for(waiting)}, for more than {PATIENCE_SECONDS:.0f} s"
        return stuck(reason, with_what_runs(message, backends), backends)
    if waiting and not is_settled(booster):
        return retrying(waiting_for(waiting))
    return deployed(backends, notes)


def waiting_for(waiting: Sequence[Wait]) -> str:
    """Returns what we wait for, in words."""
    names = ", ".join(str(wait.ref) for wait in waiting)
    ours = all(wait.ours for wait in waiting)
    whose = "being deleted" if ours else "of a deleted ModelBooster of the same name"
    return f"waiting for {names}, {whose}, to go"


def with_what_runs(message: str, backends: Sequence[BackendReport]) -> str:
    """Adds to a message that what was made before goes on serving, if it does."""
    if not any(report.ready_replicas for report in backends):
        return message
    return f"{message}; what was made before is left as it is, and goes on serving"
