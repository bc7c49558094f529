"""When a ModelServer changes what the router sends to pods.

An edit of the port, of the served name, of the connector or of the engine changes the pods and the
ModelServer. kthena replaces the pods one after the other, and a new one takes as long to start as
its model loads. A ModelServer that changed at once would fail every request until then. So these
fields stay as they are until a replica with the new template is available.

The selector is not among them: the router of kthena up to v0.2.0 must know the ModelServer that
selects a pod before the pod is ready.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.apis.kinds import MODEL_SERVER, MODEL_SERVING, REVISION
from app.model.children import Desired
from app.values.meta import Object, is_terminating, labels_of
from app.values.untyped import as_dict
from controller.plan.actions import of_kind
from controller.plan.drift import Drift, drift_of
from controller.plan.held import is_same_template, template_of, with_live_fields
from controller.status.readiness import Readiness, serving_readiness

SWITCHED = ("inferenceEngine", "kvConnector", "model", "workloadPort")
"""Fields of a ModelServer that old and new pods may not share."""


def hold_servers(children: Iterable[Desired], observed: Iterable[Object]) -> tuple[Desired, ...]:
    """Returns the children; a ModelServer whose new pods are not there yet keeps some fields.

    Args:
        children: the desired children.
        observed: the live children.
    """
    children, observed = [*children], [*observed]
    servers, servings = of_kind(MODEL_SERVER, observed), of_kind(MODEL_SERVING, observed)
    wanted = {child.name: child for child in children if child.resource is MODEL_SERVING}
    found = []
    for child in children:
        if child.resource is MODEL_SERVER and child.name in servers:
            live, serving = servers[child.name], servings.get(child.name)
            if _is_edited(child, live) and _has_old_pods(wanted.get(child.name), serving):
                child = with_live_fields(child, live, SWITCHED)
        found.append(child)
    return tuple(found)


def held_notes(held: Iterable[Desired], desired: Iterable[Desired]) -> dict[str, str]:
    """Returns a sentence about each ModelServer that keeps some fields, by its name.

    The sentences are for the condition ``Active``.

    Args:
        held: the children that ``hold_servers`` returned.
        desired: the children that it got, in the same order.
    """
    found = {}
    for child, wanted in zip(held, desired, strict=True):
        if child is not wanted:
            old, new = child.object["spec"], wanted.object["spec"]
            fields = ", ".join(name for name in SWITCHED if old.get(name) != new.get(name))
            found[child.name] = (
                f'ModelServer "{child.name}" keeps {fields} until the first replica with the new '
                "pod template is available"
            )
    return found


def _is_edited(desired: Desired, live: Object) -> bool:
    """Whether a new ModelServer, not an edit by hand of the live one, differs in ``SWITCHED``."""
    if labels_of(live).get(REVISION, "") in ("", labels_of(desired.object)[REVISION]):
        return False
    wanted, present = desired.object["spec"], as_dict(live.get("spec"))
    return drift_of(wanted["workloadSelector"], present.get("workloadSelector")) is Drift.NONE


def _has_old_pods(desired: Desired | None, live: Object | None) -> bool:
    """Whether a ModelServing has no available replica with the desired pod template yet."""
    if desired is None or live is None or is_terminating(live):
        return False
    present = template_of(live)
    if present is None or as_dict(live.get("spec")).get("replicas") == 0:
        return False
    return not is_same_template(desired.object["spec"]["template"], present) or not _is_switched(
        live
    )


def _is_switched(serving: Object) -> bool:
    """Whether a replica with the present pod template is available.

    ``availableReplicas`` counts old and new ones, and ``currentReplicas`` the old ones until the
    update is complete.
    """
    status = as_dict(serving.get("status"))
    if _count(status, "observedGeneration") < serving["metadata"].get("generation", 0):
        return False
    available, updated = _count(status, "availableReplicas"), _count(status, "updatedReplicas")
    if not updated:  # all old ones may be available, before the first is replaced
        return False
    if serving_readiness(serving, None, 0, was_ready=False)[0] is Readiness.YES:
        return True
    is_complete = updated >= _count(status, "replicas")
    return available > (0 if is_complete else _count(status, "currentReplicas"))


def _count(status: Object, field: str) -> int:
    value = status.get(field)
    return value if isinstance(value, int) else 0
