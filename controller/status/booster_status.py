"""Builds the status of a ModelBooster, and compares it with the stored one.

All conditions are rebuilt in every pass, so no stale one remains. Only the time of the last
transition is kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from app.model.forms import Model
from app.values.meta import Object
from controller.status.conditions import FALSE, TRUE, ConditionSet

MAX_MESSAGE_LENGTH = 32768
"""Longest message of a condition, in characters; limit of metav1.Condition."""


def status_of(
    booster: Object, conditions: ConditionSet, now: str, model: Model | None = None
) -> Object:
    """Returns the complete status to store.

    Args:
        booster: the ModelBooster with its stored status.
        conditions: the conditions of the pass.
        now: the time, RFC 3339 in UTC with whole seconds.
        model: the canonical form of the ModelBooster; None if it is invalid.
    """
    stored = stored_status(booster)
    generation = booster["metadata"].get("generation", 0)
    status: Object = {
        "observedGeneration": generation
        if conditions.has_result
        else stored.get("observedGeneration", -1),
        "modelName": model.route_name if model else _name_in(booster),
        "conditions": _conditions(conditions, generation, _stored_conditions(stored), now),
    }
    if conditions.backends is not None:
        status["backendStatuses"] = [report.as_stored() for report in conditions.backends]
    elif "backendStatuses" in stored:
        status["backendStatuses"] = stored["backendStatuses"]
    traffic = stored.get("traffic") if conditions.traffic is None else conditions.traffic
    if traffic:
        status["traffic"] = traffic
    return status


def _conditions(
    conditions: ConditionSet, generation: int, stored: dict[str, Object], now: str
) -> list[Object]:
    values = [
        ("Initialized", conditions.initialized),
        ("Active", conditions.active),
        ("Failed", conditions.failed),
        ("Ready", conditions.active),
    ]
    if conditions.failed.status == TRUE:
        values.append(("Stalled", conditions.failed))  # kstatus tools stop waiting
    entries: list[Object] = []
    for kind, value in values:
        old = stored.get(kind, {})
        changed_at = str(old.get("lastTransitionTime") or "")
        if old.get("status") != value.status:
            changed_at = max(now, changed_at)  # times do not go back, even if the clock does
        entries.append(
            {
                "type": kind,
                "status": value.status,
                "reason": str(value.reason),
                "message": _cut(value.message),
                "lastTransitionTime": changed_at or now,
                "observedGeneration": generation,
            }
        )
    return entries


class StatusChange(IntEnum):
    """How much a status differs from the stored one."""

    NONE = 0
    DETAILS = 1
    """Only counters and messages differ, no condition."""
    STATE = 2
    """A condition or the observed generation differs."""


def status_change(booster: Object, status: Object) -> StatusChange:
    """Returns how much a status differs from the stored one; transition times do not count."""
    stored = stored_status(booster)
    if _essence(stored) != _essence(status):
        return StatusChange.STATE
    same = without_transition_times(stored) == without_transition_times(status)
    return StatusChange.NONE if same else StatusChange.DETAILS


def condition(status: Object, kind: str) -> Object:
    """Returns the condition of a type; an empty dict if there is none."""
    return _stored_conditions(status).get(kind, {})


def is_settled(booster: Object) -> bool:
    """Returns whether the stored status has a result for the current generation."""
    status = stored_status(booster)
    initialized = condition(status, "Initialized")
    generation = booster["metadata"].get("generation", 0)
    return (
        initialized.get("status") in (TRUE, FALSE)
        and initialized.get("observedGeneration") == generation
    )


def stored_status(booster: Object) -> Object:
    """Returns the stored status; an empty dict if there is none."""
    status = booster.get("status")
    return status if isinstance(status, dict) else {}


def _stored_conditions(status: Object) -> dict[str, Object]:
    return {c["type"]: c for c in status.get("conditions") or ()}


def _essence(status: Object) -> Any:
    return (
        status.get("observedGeneration"),
        status.get("modelName"),
        [
            (c.get("type"), c.get("status"), c.get("reason"), c.get("observedGeneration"))
            for c in status.get("conditions") or ()
        ],
    )


def without_transition_times(status: Object) -> Object:
    """Returns a status without the transition times of its conditions."""
    conditions = [
        {key: value for key, value in c.items() if key != "lastTransitionTime"}
        for c in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}


def _name_in(booster: Object) -> str:
    """Returns the model name that clients request, of an object that may be invalid."""
    spec = booster.get("spec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and name else str(booster["metadata"]["name"])


def _cut(message: str) -> str:
    return (
        message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 3] + "..."
    )
