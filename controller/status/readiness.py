"""Whether a backend can serve. Its ModelServing decides; its pods only explain why not.

The serving controller only sets conditions to True, and keeps them when the spec changes. For a
ModelServing that was created with 0 replicas it writes none. So a condition counts only if
``observedGeneration`` is the current generation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from app.model.forms import BackendForm, Model
from app.model.names import backend_child_name
from app.model.roles import SERVED_TYPES
from app.values.meta import Object, is_terminating
from app.values.untyped import as_dict
from app.values.value import value
from controller.status.download_status import backend_download
from controller.status.pod_records import MAX_SUMMARY_LENGTH, backend_name, problem_summary
from controller.status.podless import advice

NO_SHARES: Mapping[str, str] = {}

AVAILABLE, PROGRESSING, UPDATING = "Available", "Progressing", "UpdateInProgress"


class Readiness(Enum):
    """Whether a backend can serve."""

    YES = True
    NO = False
    UNKNOWN = None


@value
class BackendReport:
    """Status of one backend.

    Args:
        name: name of the backend.
        serving: name of its ModelServing; ``""`` if there is none.
        ready: whether it can serve.
        replicas: number of replicas.
        ready_replicas: number of ready replicas.
        message: why it is not ready, and why it gets another share of the requests than it should;
            ``""`` if it is ready and gets it.
        scaled_to_zero: whether its spec asks for 0 replicas.
        unserved_type: its type, if that is not supported yet; else ``""``.
        warmup: the field ``cacheWarmup`` of its status; None without one.
        download: how far its downloads are; None if none is running or has failed.
    """

    name: str
    serving: str
    ready: Readiness
    replicas: int = 0
    ready_replicas: int = 0
    message: str = ""
    scaled_to_zero: bool = False
    unserved_type: str = ""
    warmup: Object | None = None
    download: Object | None = None

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
        if self.warmup is not None:
            entry["cacheWarmup"] = self.warmup
        if self.download:
            entry["download"] = self.download
        return entry


def backend_reports(
    model: Model,
    servings: Mapping[str, Object],
    bounds: Mapping[str, tuple[int, int] | None],
    written: Mapping[str, int],
    stored: Object,
    pods: Iterable[Object] = (),
    podless: Collection[str] = (),
    shares: Mapping[str, str] = NO_SHARES,
) -> tuple[BackendReport, ...]:
    """Returns the status of each backend, in the order of the spec.

    Args:
        model: the ModelBooster.
        servings: the existing ModelServings after this pass, by name.
        bounds: minimum and maximum replicas of the autoscaler, by name of the ModelServing; None
            without an autoscaler.
        written: generation that our last write returned, by name of the ModelServing.
        stored: the stored status of the ModelBooster.
        pods: the records of its pods.
        podless: names of the ModelServings that have had no pod for long.
        shares: sentences about the shares of requests that backends get, by name.
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
            is_podless=name in podless,
            share=shares.get(backend.name, ""),
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
    pods: Collection[Object],
    *,
    was_ready: bool,
    is_podless: bool,
    share: str,
) -> BackendReport:
    if backend.type not in SERVED_TYPES:
        message = f"type {backend.type} is not served yet"
        serving_name = name if serving else ""
        return BackendReport(
            backend.name, serving_name, Readiness.NO, message=message, unserved_type=backend.type
        )
    if serving is None:
        message = f'ModelServing "{name}" does not exist'
        return BackendReport(backend.name, name, Readiness.NO, message=message)
    status = as_dict(serving.get("status"))
    min_replicas = None if bounds is None else max(1, bounds[0])
    ready, message = serving_readiness(serving, min_replicas, written, was_ready=was_ready)
    message = "; ".join(filter(None, (share, message)))
    if ready is not Readiness.YES:
        if is_podless:
            why = advice(serving["metadata"].get("namespace", ""))
        else:
            why = problem_summary(pods, MAX_SUMMARY_LENGTH - len(message) - len("; "))
        message = f"{message}; {why}" if why else message
    return BackendReport(
        backend.name,
        name,
        ready,
        replicas=_int(status.get("replicas")),
        ready_replicas=_int(status.get("availableReplicas")),
        message=message,
        scaled_to_zero=as_dict(serving.get("spec")).get("replicas") == 0,
        download=backend_download(pods),
    )


def serving_readiness(
    serving: Object, min_replicas: int | None, written: int, *, was_ready: bool
) -> tuple[Readiness, str]:
    """Returns whether a ModelServing can serve, and why not.

    Args:
        serving: the ModelServing.
        min_replicas: ready replicas that suffice while an autoscaler scales; None without one.
        written: generation that our last write returned; 0 if there was none lately.
        was_ready: the last reported value. It is kept until the serving controller has seen a
            change that is not ours.
    """
    if is_terminating(serving):
        return Readiness.NO, f'ModelServing "{serving["metadata"]["name"]}" is being deleted'
    if as_dict(serving.get("spec")).get("replicas") == 0:
        return Readiness.YES, ""
    status = as_dict(serving.get("status"))
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
    if min_replicas is not None and scaling and available >= min_replicas:
        return Readiness.YES, ""  # it scales, and enough replicas are ready
    count = f"{available}/{_int(status.get('replicas'))} replicas ready"
    if conditions.get(UPDATING):
        return Readiness.NO, f"{count}; an update is rolled out"
    if not conditions:
        return Readiness.UNKNOWN, "the serving controller reports no condition"
    return Readiness.NO, count


def _conditions(status: Object) -> dict[str, bool]:
    """Returns whether each of the three conditions is True; absent ones are left out."""
    found: dict[str, bool] = {}
    entries = status.get("conditions")
    for entry in entries if isinstance(entries, list) else ():
        kind = as_dict(entry).get("type")
        if kind in (AVAILABLE, PROGRESSING, UPDATING):
            found[kind] = entry.get("status") == "True"
    return found


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
