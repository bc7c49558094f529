"""ModelServings that have no pod at all, although they should have some.

The serving controller then fails to create pods, for instance because a ResourceQuota refuses
them. It does not say so in the status of the ModelServing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.apis.kinds import MANAGED_BY, MODEL_UID
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.roles import served
from app.values.meta import Object, is_terminating
from app.values.untyped import as_dict
from controller.status.pod_records import backend_name

PODLESS_SECONDS = 30.0
"""How long a ModelServing may be without pods before the status says so."""


def podless(model: Model, servings: Mapping[str, Object], pods: Iterable[Object]) -> Iterator[str]:
    """Yields the names of the ModelServings that should have pods and have none.

    Args:
        model: the ModelBooster.
        servings: its live ModelServings, by name.
        pods: the records of its pods.
    """
    having = {backend_name(record) for record in pods}
    for backend in served(model):
        name = backend_child_name(model, backend)
        serving = servings.get(name)
        if backend.name not in having and serving is not None and _should_have_pods(serving):
            yield name


def advice(namespace: str) -> str:
    """Returns what the status says of a ModelServing without pods, and where to look."""
    return (
        "no pod has been created, something may refuse them (a ResourceQuota, a LimitRange, a "
        f"webhook); see kubectl get events -n {namespace}, kubectl describe modelserving,quota -n "
        f"{namespace} and the log of kthena's controller"
    )


def _should_have_pods(serving: Object) -> bool:
    """Whether replicas are wanted and missing whose pods would have the labels that we watch."""
    spec = as_dict(serving.get("spec"))
    replicas = spec.get("replicas")
    if is_terminating(serving) or not replicas or _has_available(serving, replicas):
        return False
    roles = as_dict(spec.get("template")).get("roles")
    return isinstance(roles, list) and all(map(_has_our_labels, roles))


def _has_available(serving: Object, replicas: Any) -> bool:
    """Whether the serving controller reports all replicas available, so that there are pods."""
    status = as_dict(serving.get("status"))
    seen, generation = status.get("observedGeneration"), serving["metadata"].get("generation")
    return bool(seen == generation and status.get("availableReplicas") == replicas)


def _has_our_labels(role: Any) -> bool:
    template = as_dict(as_dict(role).get("entryTemplate"))
    labels = as_dict(as_dict(template.get("metadata")).get("labels"))
    return MANAGED_BY in labels and MODEL_UID in labels
