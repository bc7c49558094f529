"""Finds the writes that would restart pods although the ModelBooster was not edited.

A new pod template in a ModelServing replaces all its pods. After an edit of the ModelBooster that
is what the user wants. Otherwise the restart is *unrequested*: it is held until the annotation
``workload.serving.volcano.sh/rollout: allow`` of the ModelBooster allows it, or until its wave
begins (``controller.reconcile.rollout_waves``).

Today the only case is a ModelServing that kthena's own controller made and that we have never
written. An operator upgrade that changes pod templates is similar: the revision label is ours, but
its value differs. To hold those restarts too, remove the check of ``REGISTRY_MANAGED_BY`` in
``_restarts_unrequested``, and store the generation for which a template was written.
``status.observedGeneration`` does not suffice: it also advances when the API server rejects a
child. Only ``BoosterState.edited_generation`` covers that, and it is lost on restart. A changed
setting, such as an image, would count as unrequested as well.

Two kinds of ModelServings are always repaired at once: those with the revision label that we would
write (somebody edited them by hand), and those that this process has written at that revision.

Nothing is lost on restart, because everything is read from the cluster: the live ModelServing tells
whether it has to wait, and an annotation on it together with its status whether it is rolling out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.apis.kinds import MODEL_SERVING, REGISTRY_MANAGED_BY, REVISION, WORKLOAD
from app.model.children import Desired
from app.model.ownership import is_booster_reference
from app.values.meta import Key, Object, key_of, labels_of, owner_references
from controller.plan.actions import (
    Apply,
    ChildAction,
    ChildRef,
    DeleteUnlabeled,
    Plan,
    Recreate,
    TakeOver,
)
from controller.plan.drift import Drift, drift_of
from controller.status.booster_status import stored_status
from controller.status.readiness import Readiness, serving_readiness

ROLLOUT = f"{WORKLOAD}/rollout"
"""Annotation of a ModelBooster: ``allow`` or ``hold``. With any other value, or none, the waves
decide."""

ALLOW, HOLD = "allow", "hold"

ROLLED_OUT = f"{WORKLOAD}/rolled-out"
"""Annotation of a ModelServing that got an unrequested restart: the ModelBooster's generation."""


@dataclass(frozen=True, slots=True)
class UnrequestedRestarts:
    """The writes of a plan that would restart pods although the ModelBooster was not edited.

    Args:
        servings: names of the ModelServings they are for.
    """

    servings: tuple[str, ...]


def is_edited(booster: Object) -> bool:
    """Whether the spec was edited since a controller, ours or kthena's, last acted on it.

    Without a status this is unknown and counts as not edited, so that nothing restarts.
    """
    seen = stored_status(booster).get("observedGeneration", -1)
    generation = booster["metadata"].get("generation", 0)
    return isinstance(seen, int) and seen >= 0 and seen != generation


def unrequested_restarts(
    plan: Plan, observed: Iterable[Object], applied_revisions: Mapping[str, str]
) -> UnrequestedRestarts | None:
    """Returns the writes that would restart pods without a request; None if there are none.

    The caller has checked that the spec was not edited, see ``is_edited``.

    Args:
        plan: the plan of a pass.
        observed: the live children.
        applied_revisions: revision that this process last applied to each ModelServing, by name.
    """
    servings = {o["metadata"]["name"]: o for o in observed if o["kind"] == MODEL_SERVING.kind}
    names = [
        child.name
        for action in plan.actions
        if (child := _written_child(action)) is not None
        and child.resource is MODEL_SERVING
        and _restarts_unrequested(action, child, servings.get(child.name), applied_revisions)
    ]
    return UnrequestedRestarts(tuple(names)) if names else None


def without_restarts(plan: Plan, observed: Iterable[Object]) -> Plan:
    """Returns the part of a plan that may be executed while one of its restarts is held.

    A new ModelServer might not select the old pods, or name a model that their engine does not
    know. So existing children stay as they are, and none is deleted. Missing children are created,
    and edits by hand are repaired.
    """
    live = {ChildRef.of_object(obj): obj for obj in observed}
    actions = tuple(action for action in plan.actions if _is_safe(action, live))
    return Plan(actions, tuple(d for d in plan.deletions if isinstance(d, DeleteUnlabeled)))


def with_rollout_mark(plan: Plan, restarts: UnrequestedRestarts, generation: int) -> Plan:
    """Returns a plan that annotates the ModelServings it restarts, for ``is_rolling_out``."""
    actions = tuple(_marked(action, restarts, generation) for action in plan.actions)
    return replace(plan, actions=actions)


def is_rolling_out(serving: Object) -> bool:
    """Whether a ModelServing got an unrequested restart and is not available again yet."""
    annotations = serving["metadata"].get("annotations") or {}
    if ROLLED_OUT not in annotations:
        return False
    return serving_readiness(serving, None, 0, was_ready=False)[0] is not Readiness.YES


def owning_booster(child: Object) -> Key | None:
    """Returns the key of the ModelBooster that owns a child; None if no ModelBooster does."""
    for ref in owner_references(child):
        if is_booster_reference(ref):
            return Key(key_of(child).namespace, str(ref.get("name")))
    return None


def rollout_annotation(booster: Object) -> str:
    """Returns the annotation ``ROLLOUT`` of a ModelBooster; ``""`` if there is none."""
    annotations = booster["metadata"].get("annotations") or {}
    return str(annotations.get(ROLLOUT, ""))


def _written_child(action: ChildAction) -> Desired | None:
    match action:
        case Apply(child=child) | TakeOver(child=child) | Recreate(create=Apply(child=child)):
            return child
    return None


def _restarts_unrequested(
    action: ChildAction, child: Desired, live: Object | None, applied_revisions: Mapping[str, str]
) -> bool:
    if live is None or REGISTRY_MANAGED_BY in labels_of(live):
        return False
    revision = labels_of(child.object)[REVISION]
    if revision in (labels_of(live).get(REVISION), applied_revisions.get(child.name)):
        return False  # we wrote this revision, and somebody else changed the object since
    if isinstance(action, Recreate):
        return True
    live_template = (live.get("spec") or {}).get("template")
    return drift_of(child.object["spec"]["template"], live_template) is not Drift.NONE


def _is_safe(action: ChildAction, live: Mapping[ChildRef, Object]) -> bool:
    child = _written_child(action)
    if child is None:
        return True  # writes nothing
    obj = live.get(action.ref)
    if obj is None:
        return True
    return labels_of(obj).get(REVISION) == labels_of(child.object)[REVISION]


def _marked(action: ChildAction, restarts: UnrequestedRestarts, generation: int) -> ChildAction:
    child = _written_child(action)
    if child is None or child.resource is not MODEL_SERVING or child.name not in restarts.servings:
        return action
    mark = {ROLLED_OUT: str(generation)}
    new = replace(child, object=_annotated(child.object, mark))
    match action:
        case Apply():
            return replace(action, child=new, body=_annotated(action.body, mark))
        case TakeOver():
            return replace(action, child=new)
        case Recreate(create=create):
            body = _annotated(create.body, mark)
            return replace(action, create=replace(create, child=new, body=body))
    return action


def _annotated(obj: Object, annotations: Mapping[str, str]) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "annotations": dict(annotations)}}
