"""The columns of ``get``: those of kthena's CLI, then ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING
from app.values.meta import Object, Resource, owner_references
from app.values.untyped import as_dict, as_list

STATUSES = ("Failed", "Active", "Initialized")
"""Conditions that make the STATUS of a ModelBooster; the first that is True."""

SERVING_STATUSES = {"Available": "Available", "UpdateInProgress": "Updating"}
"""Conditions of a ModelServing, and the STATUS that each makes; ``Progressing`` comes last."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of ``get``.

    Args:
        title: the header.
        text: returns the cell of an object.
        wide: whether it is shown with ``-o wide`` only.
        cut: how it may be cut on a narrow terminal, see ``cli.output.Column``.
    """

    title: str
    text: Callable[[Object], str]
    wide: bool = False
    cut: str = ""


def cells_of(resource: Resource, now: datetime, age: Callable[[float], str]) -> list[Cell]:
    """Returns the columns of a kind.

    Args:
        resource: the kind.
        now: the time that ages count to.
        age: returns the text of an age in seconds.
    """

    def age_of(obj: Object) -> str:
        seconds = age_seconds(obj, now)
        return "<unknown>" if seconds is None else age(seconds)

    name = Cell("NAME", lambda obj: str(obj["metadata"]["name"]), cut="middle")
    last = Cell("AGE", age_of)
    owner = Cell("MODELBOOSTER", _owner, wide=True, cut="middle")
    if resource is MODEL_BOOSTER:
        return [
            *(name, Cell("STATUS", booster_status), last),
            Cell("READY", ready_backends),
            Cell(
                "MODEL",
                lambda obj: as_text(status_of(obj).get("modelName")),
                wide=True,
                cut="middle",
            ),
            Cell(
                "TRAFFIC", lambda obj: as_text(status_of(obj).get("traffic")), wide=True, cut="end"
            ),
            Cell("REASON", booster_reason, cut="end"),
        ]
    middle = {
        MODEL_SERVING: [Cell("READY", ready_replicas), Cell("STATUS", serving_status)],
        MODEL_ROUTE: [Cell("MODEL", route_model), Cell("RULES", _rules)],
        MODEL_SERVER: [
            Cell("ENGINE", lambda obj: as_text(_spec(obj).get("inferenceEngine"))),
            Cell("PORT", lambda obj: as_text(as_dict(_spec(obj).get("workloadPort")).get("port"))),
        ],
    }
    return [name, *middle.get(resource, []), last, owner]


def age_seconds(obj: Object, now: datetime) -> float | None:
    """Returns the age of an object in seconds; None if it has no time of creation."""
    return seconds_since(obj["metadata"].get("creationTimestamp"), now)


def seconds_since(time: Any, now: datetime) -> float | None:
    """Returns the seconds since a time of the API server; None if it is none."""
    try:
        return (now - datetime.fromisoformat(str(time))).total_seconds()
    except (ValueError, TypeError):
        return None


def conditions_of(obj: Object) -> dict[str, Object]:
    """Returns the conditions of an object by type."""
    entries = map(as_dict, as_list(status_of(obj).get("conditions")))
    return {str(entry.get("type")): entry for entry in entries}


def status_of(obj: Object) -> Object:
    """Returns the status of an object; an empty dict if it has none."""
    return as_dict(obj.get("status"))


def booster_status(booster: Object) -> str:
    """Returns the first of Failed, Active and Initialized that is True, else Unknown."""
    conditions = conditions_of(booster)
    true = [kind for kind in STATUSES if conditions.get(kind, {}).get("status") == "True"]
    return true[0] if true else "Unknown"


def booster_reason(booster: Object) -> str:
    """Returns the reason of the condition Active, with its message unless it is Active."""
    conditions = conditions_of(booster)
    active = conditions.get("Active", {})
    reason, message = as_text(active.get("reason")), as_text(active.get("message"))
    held = as_text(conditions.get("Initialized", {}).get("reason"))
    if held != reason and held in ("RolloutHeld", "WaitingForCache", "CacheWarmupFailed"):
        return f"{reason}, {held}"
    if active.get("status") == "True" or not message:
        return reason
    return f"{reason}: {message}"


def ready_backends(booster: Object) -> str:
    """Returns how many backends are ready, as ``ready/all``."""
    entries = [*map(as_dict, as_list(status_of(booster).get("backendStatuses")))]
    ready = sum(entry.get("ready") is True for entry in entries)
    spec = _spec(booster)
    wanted = len(as_list(spec.get("backends"))) or int("backend" in spec)
    return f"{ready}/{len(entries) or wanted}"


def ready_replicas(serving: Object) -> str:
    """Returns the replicas that serve and all of them, as ``availableReplicas/replicas``."""
    status = status_of(serving)
    return f"{status.get('availableReplicas') or 0}/{status.get('replicas') or 0}"


def serving_status(serving: Object) -> str:
    """Returns Available, Updating or Progressing by the first condition that is True."""
    conditions = conditions_of(serving)
    for kind, text in {**SERVING_STATUSES, "Progressing": "Progressing"}.items():
        if conditions.get(kind, {}).get("status") == "True":
            return text
    return "Unknown"


def route_model(route: Object) -> str:
    """Returns the model name of a ModelRoute; its adapters if it has none."""
    spec = _spec(route)
    adapters = ",".join(map(str, as_list(spec.get("loraAdapters"))))
    return as_text(spec.get("modelName")) or adapters or "<lora>"


def as_text(value: Any) -> str:
    """Returns a value as text; ``""`` if it is not set."""
    return "" if value is None else str(value)


def _rules(route: Object) -> str:
    return str(len(as_list(_spec(route).get("rules"))))


def _owner(obj: Object) -> str:
    names = [str(r.get("name")) for r in owner_references(obj) if r.get("kind") == "ModelBooster"]
    return ",".join(names) or "<none>"


def _spec(obj: Object) -> Object:
    return as_dict(obj.get("spec"))
