"""The whole status of a ModelBooster, made of what one pass found.

Every condition is made anew each time, so that none sticks; only the time of its last transition
is carried over.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from app.model.canonical import Model
from app.values.meta import Object
from controller.status.conditions import FALSE, TRUE, ConditionSet

MAX_MESSAGE_LENGTH = 32768
"""Longest message that the API server takes in a condition."""


def status_of(
    booster: Object, finding: ConditionSet, now: str, model: Model | None = None
) -> Object:
    """Returns the whole status, as it should be stored.

    Args:
        booster: the ModelBooster as stored, its status included.
        finding: what the pass found.
        now: the time, RFC 3339 in UTC with whole seconds.
        model: what the ModelBooster means; None if it means nothing that we understand.
    """
    stored = stored_status(booster)
    generation = booster["metadata"].get("generation", 0)
    status: Object = {
        "observedGeneration": generation
        if finding.is_decided
        else stored.get("observedGeneration", -1),
        "modelName": model.route_name if model else _name_in(booster),
        "conditions": _conditions(finding, generation, _stored_conditions(stored), now),
    }
    if finding.backends is not None:
        status["backendStatuses"] = [report.as_stored() for report in finding.backends]
    elif "backendStatuses" in stored:
        status["backendStatuses"] = stored["backendStatuses"]
    return status


def _conditions(
    finding: ConditionSet, generation: int, stored: dict[str, Object], now: str
) -> list[Object]:
    said = [
        ("Initialized", finding.initialized),
        ("Active", finding.active),
        ("Failed", finding.failed),
        ("Ready", finding.active),
    ]
    if finding.failed.status == TRUE:
        said.append(("Stalled", finding.failed))  # tools that know this one stop waiting at once
    conditions: list[Object] = []
    for kind, statement in said:
        old = stored.get(kind, {})
        then = str(old.get("lastTransitionTime") or "")
        # A clock that was set back does not make the past later than the present.
        moved = max(now, then) if old.get("status") != statement.status else then
        conditions.append(
            {
                "type": kind,
                "status": statement.status,
                "reason": str(statement.reason),
                "message": _cut(statement.message),
                "lastTransitionTime": moved or now,
                "observedGeneration": generation,
            }
        )
    return conditions


class StatusChange(IntEnum):
    """How much a status differs from the stored one."""

    NONE = 0
    DETAILS = 1
    """What is known of single backends, and messages; no condition moves."""
    STATE = 2


def status_change(booster: Object, status: Object) -> StatusChange:
    """Returns how much a status differs from the one that is stored; times do not count."""
    stored = stored_status(booster)
    if _essence(stored) != _essence(status):
        return StatusChange.STATE
    same = without_transition_times(stored) == without_transition_times(status)
    return StatusChange.NONE if same else StatusChange.DETAILS


def condition(status: Object, kind: str) -> Object:
    """Returns the condition of a type; an empty dict if it is not there."""
    return _stored_conditions(status).get(kind, {})


def is_settled(booster: Object) -> bool:
    """Whether the stored status says how this very generation fared."""
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
    """Returns a status without the times of its conditions."""
    conditions = [
        {key: value for key, value in c.items() if key != "lastTransitionTime"}
        for c in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}


def _name_in(booster: Object) -> str:
    """Returns what clients ask for, of an object that may be anything."""
    spec = booster.get("spec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and name else str(booster["metadata"]["name"])


def _cut(message: str) -> str:
    return (
        message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 3] + "..."
    )
