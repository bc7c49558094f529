"""Whether a backend can serve, as far as its ModelServing tells; its pods tell only why not.

The serving controller only ever sets a condition to True, lets it stand while the spec moves on,
and writes none at all for a ModelServing that was made with no replicas. So a condition counts only
if the status is about the present generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.model.canonical import BackendForm, Model
from app.model.children import backend_child_name
from app.model.derive import SERVED_TYPES
from app.values.meta import Object, is_terminating
from controller.status.pod_records import MAX_SUMMARY_LENGTH, backend_name, problem_summary

AVAILABLE, PROGRESSING, UPDATING = "Available", "Progressing", "UpdateInProgress"


class Readiness(Enum):
    """Whether a backend serves, so far as anybody knows."""

    YES = True
    NO = False
    UNKNOWN = None


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What is known of one backend.

    Args:
        name: the backend's name.
        serving: name of its ModelServing; ``""`` if there is none.
        ready: whether it serves.
        replicas: how many replicas there are.
        ready_replicas: how many of them are ready.
        message: why it is not ready; ``""`` if it is.
        scaled_to_zero: whether no replicas are asked for.
        unserved_type: its type, if that is not served yet.
    """

    name: str
    serving: str
    ready: Readiness
    replicas: int = 0
    ready_replicas: int = 0
    message: str = ""
    scaled_to_zero: bool = False
    unserved_type: str = ""

    def as_stored(self) -> Object:
        """Returns the entry of ``status.backendStatuses``."""
        entry: Object = {
            "name": self.name,
            "replicas": self.replicas,
            "readyReplicas": self.ready_replicas,
            "ready": self.ready is Readiness.YES,
        }
        if self.serving:
            entry["modelServing"] = self.serving
        if self.message:
            entry["message"] = self.message
        return entry


def backend_reports(
    model: Model,
    servings: Mapping[str, Object],
    bounds: Mapping[str, tuple[int, int] | None],
    written: Mapping[str, int],
    stored: Object,
    pods: Iterable[Object] = (),
) -> tuple[BackendReport, ...]:
    """Returns what is known of each backend, in the order of the spec.

    Args:
        model: whose backends.
        servings: the ModelServings that exist, by name, as they are after this pass.
        bounds: between which replicas an autoscaler may choose, by ModelServing; None if none does.
        written: generation that our own last write gave a ModelServing, by name.
        stored: the stored status of the ModelBooster.
        pods: the records of its pods.
    """
    records: dict[str, list[Object]] = {}
    for record in pods:
        records.setdefault(backend_name(record), []).append(record)
    before = {
        str(entry.get("name")): entry.get("ready") is True
        for entry in stored.get("backendStatuses") or ()
    }
    return tuple(
        _report(
            backend,
            name,
            servings.get(name),
            bounds.get(name),
            written.get(name, 0),
            records.get(backend.name, ()),
            was_ready=before.get(backend.name, False),
        )
        for backend in model.backends
        for name in (backend_child_name(model, backend),)
    )


def _report(
    backend: BackendForm,
    name: str,
    serving: Object | None,
    bounds: tuple[int, int] | None,
    written: int,
    pods: Iterable[Object],
    *,
    was_ready: bool,
) -> BackendReport:
    if backend.type not in SERVED_TYPES:
        message = f"type {backend.type} is not served yet"
        at = name if serving else ""
        return BackendReport(
            backend.name, at, Readiness.NO, message=message, unserved_type=backend.type
        )
    if serving is None:
        message = f'ModelServing "{name}" does not exist'
        return BackendReport(backend.name, name, Readiness.NO, message=message)
    status = _dict(serving.get("status"))
    least = None if bounds is None else max(1, bounds[0])
    ready, message = serving_readiness(serving, least, written, was_ready=was_ready)
    if ready is not Readiness.YES:
        why = problem_summary(pods, MAX_SUMMARY_LENGTH - len(message) - len("; "))
        message = f"{message}; {why}" if why else message
    return BackendReport(
        backend.name,
        name,
        ready,
        replicas=_int(status.get("replicas")),
        ready_replicas=_int(status.get("availableReplicas")),
        message=message,
        scaled_to_zero=_dict(serving.get("spec")).get("replicas") == 0,
    )


def serving_readiness(
    serving: Object, least: int | None, written: int, *, was_ready: bool
) -> tuple[Readiness, str]:
    """Returns whether a ModelServing serves, and why not if it does not.

    Args:
        serving: the ModelServing.
        least: replicas that suffice while an autoscaler changes their number; None if none does.
        written: generation that our own last write gave it, 0 if we wrote none lately.
        was_ready: what we reported last; that stands while somebody else's change settles in.
    """
    if is_terminating(serving):
        return Readiness.NO, f'ModelServing "{serving["metadata"]["name"]}" is being deleted'
    if _dict(serving.get("spec")).get("replicas") == 0:
        return Readiness.YES, ""
    status = _dict(serving.get("status"))
    generation = _int(serving["metadata"].get("generation"))
    seen = _int(status.get("observedGeneration"))
    if seen < generation:
        if was_ready and seen >= written:
            return Readiness.YES, ""
        return Readiness.NO, f"waits for the serving controller to act on generation {generation}"
    conditions = _conditions(status)
    if conditions.get(AVAILABLE):
        return Readiness.YES, ""
    available = _int(status.get("availableReplicas"))
    scaling = conditions.get(PROGRESSING) and not conditions.get(UPDATING)
    if least is not None and scaling and available >= least:
        return Readiness.YES, ""  # replicas come and go, and enough of them serve: no outage
    count = f"{available}/{_int(status.get('replicas'))} replicas ready"
    if conditions.get(UPDATING):
        return Readiness.NO, f"{count}; an update is rolled out"
    if not conditions:
        return Readiness.UNKNOWN, "the serving controller reports no condition"
    return Readiness.NO, count


def _conditions(status: Object) -> dict[str, bool]:
    """Returns which of the three conditions are there, and whether each is True."""
    found: dict[str, bool] = {}
    entries = status.get("conditions")
    for entry in entries if isinstance(entries, list) else ():
        kind = _dict(entry).get("type")
        if kind in (AVAILABLE, PROGRESSING, UPDATING):
            found[kind] = entry.get("status") == "True"
    return found


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
