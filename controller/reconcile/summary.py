"""Derives the conditions of a ModelBooster from the result of a pass."""

from __future__ import annotations

from collections.abc import Sequence

from app.apis.reasons import Reason
from app.values.meta import Object
from controller.plan.actions import WaitForDeletion
from controller.reconcile.failure import Severity, message_of, worst
from controller.reconcile.plan_result import FAILING_SECONDS, FailureStreak, PlanResult
from controller.status.booster_status import condition, is_settled, stored_status
from controller.status.conditions import (
    TRUE,
    UNKNOWN,
    ConditionSet,
    deployed,
    failing,
    readiness_unknown,
    retrying,
)
from controller.status.readiness import BackendReport


def summarize(
    booster: Object,
    result: PlanResult,
    backends: tuple[BackendReport, ...],
    notes: Sequence[str] = (),
    streak: FailureStreak | None = None,
) -> ConditionSet | None:
    """Returns the conditions after a pass; None to leave the stored ones as they are.

    Args:
        booster: the ModelBooster with its stored status.
        result: what the pass has done.
        backends: the state of each backend after the pass.
        notes: sentences for the message of ``Active``.
        streak: how long passes have been failing or waiting.
    """
    streak = streak or FailureStreak()
    if not result.failures:
        return _without_failures(booster, result.waiting, backends, notes, streak)
    leading, message = worst(result.failures), message_of(result.failures)
    match leading.severity:
        case Severity.NAMESPACE_TERMINATING | Severity.STALE:
            return None
        case Severity.TERMINAL | Severity.REJECTED:
            return failing(leading.reason, _with_serving_note(message, backends), backends)
    if not streak.is_persistent:
        return None if is_settled(booster) else retrying(message)
    active = condition(stored_status(booster), "Active").get("status")
    is_recent = streak.failing_seconds <= FAILING_SECONDS
    if is_settled(booster) and (active == TRUE or (active == UNKNOWN and is_recent)):
        return readiness_unknown(message, backends)
    return failing(Reason.APPLY_FAILED, _with_serving_note(message, backends), backends)


def _without_failures(
    booster: Object,
    waiting: Sequence[WaitForDeletion],
    backends: tuple[BackendReport, ...],
    notes: Sequence[str],
    streak: FailureStreak,
) -> ConditionSet:
    if waiting and streak.waiting_seconds >= FAILING_SECONDS:
        is_ours = all(wait.is_ours for wait in waiting)
        reason = Reason.APPLY_FAILED if is_ours else Reason.NAME_CONFLICT
        message = f"{_waiting_message(waiting)}, for more than {FAILING_SECONDS:.0f} s"
        return failing(reason, _with_serving_note(message, backends), backends)
    if waiting and not is_settled(booster):
        return retrying(_waiting_message(waiting))
    return deployed(backends, notes)


def _waiting_message(waiting: Sequence[WaitForDeletion]) -> str:
    names = ", ".join(str(wait.ref) for wait in waiting)
    is_ours = all(wait.is_ours for wait in waiting)
    whose = "being deleted" if is_ours else "of a deleted ModelBooster of the same name"
    return f"waiting for {names}, {whose}, to go"


def _with_serving_note(message: str, backends: Sequence[BackendReport]) -> str:
    """Adds to a message that existing children continue to serve, if some replica is ready."""
    if not any(report.ready_replicas for report in backends):
        return message
    return f"{message}; what was made before is left as it is, and goes on serving"
