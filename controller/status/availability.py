"""Whether a backend can answer requests now, for the weights of the ModelRoute.

One replica suffices, whatever else is rolled out; ``readiness`` asks for all of them. The
ModelServing decides by ``status.availableReplicas``; a replica of prefill and decode is a whole
pair. The serving controller does not notice a pod that runs on but is no longer ready. The router
does, so the readiness of pods counts too, as far as pods are watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from app.apis.kinds import MODEL_SERVING
from app.model.children import Desired
from app.model.forms import BackendForm, Model
from app.model.names import backend_child_name
from app.model.roles import is_disaggregated, served
from app.values.meta import Object, is_terminating
from app.values.untyped import as_dict
from controller.status.pod_records import backend_name


class Lack(StrEnum):
    """Why a backend is not available."""

    REPLICAS = "replicas"
    """It has 0 replicas."""
    POD = "pod"
    """None of its pods is ready."""
    PAIR = "pair"
    """No prefill and decode pods of one replica are ready."""


def lacking(
    model: Model,
    children: Iterable[Desired],
    servings: Mapping[str, Object],
    pods: Iterable[Object] = (),
) -> dict[str, Lack]:
    """Returns what each backend lacks that is not available, by the name of its ModelServing.

    Args:
        model: the ModelBooster.
        children: its desired children.
        servings: its live ModelServings, by name.
        pods: the records of its pods.
    """
    desired = {child.name: child for child in children if child.resource is MODEL_SERVING}
    records: dict[str, list[Object]] = {}
    for record in pods:
        records.setdefault(backend_name(record), []).append(record)
    found = {}
    for backend in served(model):
        name = backend_child_name(model, backend)
        serving = servings.get(name)
        lack = _lack(backend, desired.get(name), serving, records.get(backend.name, []))
        if lack is not None:
            found[name] = lack
    return found


def _lack(
    backend: BackendForm, desired: Desired | None, serving: Object | None, records: list[Object]
) -> Lack | None:
    if _replicas(desired, serving) == 0:
        return Lack.REPLICAS
    lack = Lack.PAIR if is_disaggregated(backend) else Lack.POD
    if serving is None or is_terminating(serving):
        return lack
    available = as_dict(serving.get("status")).get("availableReplicas")
    if not isinstance(available, int) or available < 1:
        return lack
    ready = _has_ready_pair(records) if is_disaggregated(backend) else _has_ready_pod(records)
    return lack if ready is False else None


def _replicas(desired: Desired | None, serving: Object | None) -> int | None:
    """Returns the replicas that a backend is going to have; None if unknown."""
    if desired is not None and desired.replica_bounds is None:
        wanted = desired.object["spec"].get("replicas")
    else:  # an autoscaler sets them
        wanted = None if serving is None else as_dict(serving.get("spec")).get("replicas")
    return wanted if isinstance(wanted, int) else None


def _has_ready_pod(records: list[Object]) -> bool | None:
    """Whether a pod is ready; None if no pod is known."""
    return any(record["ready"] for record in records) if records else None


def _has_ready_pair(records: list[Object]) -> bool | None:
    """Whether prefill and decode pods of the same replica are ready; None if no pair is known."""
    pairs: dict[str, dict[str, bool]] = {}
    for record in records:
        roles = pairs.setdefault(record["group"], {})
        roles[record["role"]] = roles.get(record["role"], False) or record["ready"]
    whole = [roles for roles in pairs.values() if {"prefill", "decode"} <= roles.keys()]
    return any(all(roles.values()) for roles in whole) if whole else None
