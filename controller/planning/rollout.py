"""Which writes would restart pods although the ModelBooster's spec did not ask for it.

A new pod template in a ModelServing replaces all its pods. If the ModelBooster was edited, that is
what the user wants. Otherwise it is *unasked*, and held back until somebody allows it: per model by
the annotation ``workload.serving.volcano.sh/rollout: allow``, or for all in waves
(``controller.reconcile.waves``).

Today the one case is a ModelServing that kthena's own controller made and that we have never
written. An upgrade of this operator that changes templates is the same case: the revision label is
ours then, but of other content. To hold those back as well, drop the test for
``REGISTRY_MANAGED_BY`` in ``_is_unasked``, and store the generation that a template was made for
where a failed write does not move it on. ``status.observedGeneration`` moves on also when the
server refuses a child; only ``Memory.released`` covers that, and it does not outlive the process.
A changed setting, such as an image, is unasked as well then.

What is repaired at once, as ever: a child that carries the revision label we would write (somebody
edited it by hand), or that this process has written at that revision.

All of it is read from the cluster, so a restart forgets nothing: who waits follows from the live
ModelServing, who is being rolled out from an annotation on it and its status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.apis.kinds import MODEL_SERVING, REGISTRY_MANAGED_BY, REVISION, WORKLOAD
from app.model.children import Desired, is_booster_reference
from app.values.meta import Key, Object, key_of, labels_of, owner_references
from controller.planning.comparison import Gap, gap
from controller.planning.plan import Apply, Look, Plan, Replace, Step, TakeOver
from controller.status.booster_status import stored_status
from controller.status.readiness import Readiness, serving_readiness

ROLLOUT = f"{WORKLOAD}/rollout"
"""Annotation of a ModelBooster: ``allow`` or ``hold``; nothing, or anything else, leaves it to the
waves."""

ALLOW, HOLD = "allow", "hold"

ROLLED_OUT = f"{WORKLOAD}/rolled-out"
"""Annotation that we give a ModelServing with an unasked write: the ModelBooster's generation."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """The writes of a plan that would restart pods unasked.

    Args:
        servings: names of the ModelServings that they are for.
    """

    servings: tuple[str, ...]


def is_edited(booster: Object) -> bool:
    """Whether the spec was edited since a controller, ours or kthena's, last acted on it.

    Without a status nobody knows; that counts as not edited, so that nothing restarts.
    """
    seen = stored_status(booster).get("observedGeneration", -1)
    generation = booster["metadata"].get("generation", 0)
    return isinstance(seen, int) and seen >= 0 and seen != generation


def unasked(todo: Plan, observed: Iterable[Object], applied: Mapping[str, str]) -> Unasked | None:
    """Returns the writes of a plan that would restart pods unasked; None if there are none.

    The caller has seen that the spec was not edited, see ``is_edited``.

    Args:
        todo: the plan.
        observed: the children as they are.
        applied: revision that this process has last given each ModelServing, by name.
    """
    servings = {o["metadata"]["name"]: o for o in observed if o["kind"] == MODEL_SERVING.kind}
    names = [
        child.name
        for step in todo.steps
        if (child := _child_of(step)) is not None
        and child.resource is MODEL_SERVING
        and _is_unasked(step, child, servings.get(child.name), applied)
    ]
    return Unasked(tuple(names)) if names else None


def held_back(todo: Plan, observed: Iterable[Object]) -> Plan:
    """Returns what of a plan may be done while a ModelServing of it is held back.

    What belongs together stays together: a new ModelServer may not find the old pods, or names
    a model that their engine does not know. So all children that exist stay as they are, and
    none is deleted. Missing ones are made, and what was edited by hand is repaired.
    """
    live = {(o["kind"], o["metadata"]["name"]): o for o in observed}
    steps = tuple(step for step in todo.steps if _may_go(step, live))
    return Plan(steps, tuple(each for each in todo.deletes if isinstance(each, Look)))


def marked(todo: Plan, which: Unasked, generation: int) -> Plan:
    """Returns a plan whose unasked writes leave a mark, by which ``is_rolling_out`` finds them."""
    return replace(todo, steps=tuple(_marked(step, which, generation) for step in todo.steps))


def is_rolling_out(serving: Object) -> bool:
    """Whether a ModelServing got a new template unasked and is not available again since."""
    annotations = serving["metadata"].get("annotations") or {}
    if ROLLED_OUT not in annotations:
        return False
    return serving_readiness(serving, None, 0, was_ready=False)[0] is not Readiness.YES


def booster_of(child: Object) -> Key | None:
    """Returns where the ModelBooster of a child stands."""
    for ref in owner_references(child):
        if is_booster_reference(ref):
            return Key(key_of(child).namespace, str(ref.get("name")))
    return None


def order_of(booster: Object) -> str:
    """Returns what the annotation of a ModelBooster asks for; ``""`` if nothing."""
    annotations = booster["metadata"].get("annotations") or {}
    return str(annotations.get(ROLLOUT, ""))


def _child_of(step: Step) -> Desired | None:
    match step:
        case Apply(child=child) | TakeOver(child=child) | Replace(create=Apply(child=child)):
            return child
    return None


def _is_unasked(
    step: Step, child: Desired, live: Object | None, applied: Mapping[str, str]
) -> bool:
    if live is None or REGISTRY_MANAGED_BY in labels_of(live):
        return False
    revision = labels_of(child.object)[REVISION]
    if revision in (labels_of(live).get(REVISION), applied.get(child.name)):
        return False  # ours, changed by somebody else since
    if isinstance(step, Replace):
        return True
    stands = (live.get("spec") or {}).get("template")
    return gap(child.object["spec"]["template"], stands) is not Gap.NONE


def _may_go(step: Step, live: Mapping[tuple[str, str], Object]) -> bool:
    child = _child_of(step)
    if child is None:
        return True  # writes nothing
    stands = live.get((child.resource.kind, child.name))
    if stands is None:
        return True
    return labels_of(stands).get(REVISION) == labels_of(child.object)[REVISION]


def _marked(step: Step, which: Unasked, generation: int) -> Step:
    child = _child_of(step)
    if child is None or child.resource is not MODEL_SERVING or child.name not in which.servings:
        return step
    mark = {ROLLED_OUT: str(generation)}
    new = replace(child, object=_annotated(child.object, mark))
    match step:
        case Apply():
            return replace(step, child=new, body=_annotated(step.body, mark))
        case TakeOver():
            return replace(step, child=new)
        case Replace(create=create):
            body = _annotated(create.body, mark)
            return replace(step, create=replace(create, child=new, body=body))
    return step


def _annotated(obj: Object, annotations: Mapping[str, str]) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "annotations": dict(annotations)}}
