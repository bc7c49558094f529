"""Finds the writes that would restart pods although the user did not ask for other pods.

A new pod template in a ModelServing replaces all its pods. After an edit of the ModelBooster that
is what the user wants. Otherwise the restart is *unrequested*: the template stays as it is until
the annotation ``workload.serving.volcano.sh/rollout: allow`` of the ModelBooster allows it, or
until its wave begins (``controller.reconcile.rollout_waves``). There are two cases:

* *Another template of the operator.* A new version, or a changed setting such as an image. The
  annotations of the ModelServing tell it (``controller.plan.fingerprints``): the user's inputs are
  the same, and no other client edited the template. Only the template is held
  (``controller.plan.held``).
* *A takeover.* kthena's own controller made the ModelServing, and we have never written it. Then
  all existing children stay as they are (``without_restarts``).

A ModelServing of a version that wrote no annotations is held unless ``status.observedGeneration``
shows an edit of the spec. It gets the annotations with the next write.

Nothing is lost on restart, because everything is read from the cluster: the live ModelServing tells
whether it has to wait, and an annotation on it together with its status whether it is rolling out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.apis.kinds import MODEL_SERVING, REGISTRY_MANAGED_BY, REVISION
from app.convert.gang import keep_gang_policy
from app.model.children import Desired
from app.values.meta import Object, annotations_of, labels_of
from app.values.value import value
from controller.plan.actions import ChildAction, ChildRef, DeleteUnlabeled, Plan, Recreate
from controller.plan.fingerprints import (
    POD_INPUTS,
    ROLLOUT,
    accepted_hash,
    is_new_template,
    template_hash,
)
from controller.plan.held import held_template, template_of
from controller.plan.rollout_marks import written_child
from controller.status.booster_status import stored_status

ALLOW, HOLD = "allow", "hold"
"""Values of the annotation ``ROLLOUT``."""


@value
class UnrequestedRestarts:
    """The writes of a plan that would restart pods although the user did not ask for other pods.

    Args:
        servings: names of the ModelServings they are for.
        takeovers: those of them that another controller made.
    """

    servings: tuple[str, ...]
    takeovers: tuple[str, ...] = ()

    @property
    def templates(self) -> tuple[str, ...]:
        """The other ones: the operator now has another template for them."""
        return tuple(name for name in self.servings if name not in self.takeovers)


def is_edited(booster: Object) -> bool:
    """Whether the spec was edited since a controller, ours or kthena's, last acted on it.

    Without a status this is unknown and counts as not edited, so that nothing restarts.
    """
    seen = stored_status(booster).get("observedGeneration", -1)
    generation = booster["metadata"].get("generation", 0)
    return isinstance(seen, int) and seen >= 0 and seen != generation


def unrequested_restarts(
    plan: Plan,
    observed: Iterable[Object],
    applied_revisions: Mapping[str, str],
    *,
    edited: bool = False,
) -> UnrequestedRestarts | None:
    """Returns the writes that would restart pods without a request; None if there are none.

    Args:
        plan: the plan of a pass, of children with fingerprints.
        observed: the live children.
        applied_revisions: revision that this process last applied to each ModelServing, by name.
        edited: whether the spec was edited, see ``is_edited``. It decides about ModelServings
            without annotations.
    """
    live = {o["metadata"]["name"]: o for o in observed if o["kind"] == MODEL_SERVING.kind}
    servings, takeovers = [], []
    for action in plan.actions:
        child = written_child(action)
        if child is None or child.resource is not MODEL_SERVING:
            continue
        obj = live.get(child.name)
        if obj is None or not _has_other_template(action, child, obj):
            continue
        annotations = annotations_of(obj)
        if POD_INPUTS in annotations:
            if not _is_requested(child, obj):
                servings.append(child.name)
        elif not edited and labels_of(child.object)[REVISION] not in (
            labels_of(obj).get(REVISION),  # we wrote it, and somebody else changed it since
            applied_revisions.get(child.name),
        ):
            servings.append(child.name)
            if REGISTRY_MANAGED_BY not in labels_of(obj):
                takeovers.append(child.name)
    return UnrequestedRestarts(tuple(servings), tuple(takeovers)) if servings else None


def without_restarts(plan: Plan, observed: Iterable[Object]) -> Plan:
    """Returns the part of a plan that may be executed while a takeover is held.

    A new ModelServer might not select the old pods, or name a model that their engine does not
    know. So existing children stay as they are, and none is deleted. Missing children are created,
    and edits by hand are repaired.
    """
    live = {ChildRef.of_object(obj): obj for obj in observed}
    actions = tuple(action for action in plan.actions if _is_safe(action, live))
    return Plan(actions, tuple(d for d in plan.deletions if isinstance(d, DeleteUnlabeled)))


def rollout_annotation(booster: Object) -> str:
    """Returns the annotation ``ROLLOUT`` of a ModelBooster; ``""`` if there is none."""
    return str(annotations_of(booster).get(ROLLOUT, ""))


def _has_other_template(action: ChildAction, child: Desired, live: Object) -> bool:
    if isinstance(action, Recreate):
        return True
    present = template_of(live)
    return present is not None and is_new_template(child, live)


def _is_requested(child: Desired, live: Object) -> bool:
    """Whether an edit, of the user's inputs or of the live template, is the cause of a restart."""
    wanted, annotations = annotations_of(child.object), annotations_of(live)
    present = template_of(live)
    if annotations[POD_INPUTS] != wanted[POD_INPUTS] or present is None:
        return True
    accepted = accepted_hash(live)
    if accepted is not None and accepted != template_hash(present):
        return True
    held = held_template(child.object["spec"]["template"], present)
    return keep_gang_policy(present, held) is None  # fewer replicas of a role than its gang has


def _is_safe(action: ChildAction, live: Mapping[ChildRef, Object]) -> bool:
    child = written_child(action)
    if child is None:
        return True  # writes nothing
    obj = live.get(action.ref)
    if obj is None:
        return True
    return labels_of(obj).get(REVISION) == labels_of(child.object)[REVISION]
