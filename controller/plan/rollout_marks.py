"""The annotations of ModelServings by which the controller tells what it has done.

They are metadata only: kthena restarts pods only if the roles of the template change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from app.apis.kinds import BACKEND_NAME, MODEL_SERVING, WORKLOAD
from app.model.children import Desired
from app.model.ownership import is_booster_reference
from app.values.meta import (
    Key,
    Object,
    annotated,
    annotations_of,
    key_of,
    labels_of,
    owner_references,
)
from controller.plan.actions import Apply, ChildAction, Plan, Recreate, TakeOver
from controller.plan.fingerprints import (
    POD_INPUTS,
    POD_TEMPLATE,
    is_written,
    pod_inputs,
    template_hash,
    wanted_hash,
)
from controller.plan.held import is_same_template, template_of
from controller.status.readiness import Readiness, serving_readiness

ROLLED_OUT = f"{WORKLOAD}/rolled-out"
"""Annotation of a ModelServing that got an unrequested restart: the ModelBooster's generation."""


def with_fingerprints(booster: Object, children: Iterable[Desired]) -> list[Desired]:
    """Returns the children; each ModelServing with the annotations ``POD_INPUTS, POD_TEMPLATE``.

    They depend on nothing but the arguments, so they may be cached with the children, for as long
    as the spec and ``pod_annotations`` stay the same.

    Args:
        booster: the ModelBooster as stored.
        children: its desired children, as conversion makes them.
    """
    inputs = pod_inputs(booster)
    found = []
    for child in children:
        if child.resource is MODEL_SERVING:
            marks = {
                POD_INPUTS: inputs[labels_of(child.object)[BACKEND_NAME]],
                POD_TEMPLATE: template_hash(child.object["spec"]["template"]),
            }
            child = replace(child, object=annotated(child.object, marks))
        found.append(child)
    return found


def with_live_marks(children: Iterable[Desired], observed: Iterable[Object]) -> list[Desired]:
    """Returns the children; each ModelServing with the annotations that its live one decides.

    These are the hash of a template to which others added fields, in ``POD_TEMPLATE``, and
    ``ROLLED_OUT``, which stays.

    Args:
        children: the desired children, with fingerprints.
        observed: the live children.
    """
    live = {o["metadata"]["name"]: o for o in observed if o["kind"] == MODEL_SERVING.kind}
    return [
        _with_marks_of(live[child.name], child)
        if child.resource is MODEL_SERVING and child.name in live
        else child
        for child in children
    ]


def with_rollout_mark(plan: Plan, servings: Collection[str], generation: int) -> Plan:
    """Returns a plan that annotates some ModelServings that it writes, for ``is_rolling_out``."""
    actions = tuple(_marked(action, servings, generation) for action in plan.actions)
    return replace(plan, actions=actions)


def is_rolling_out(serving: Object) -> bool:
    """Whether a ModelServing got an unrequested restart and is not available again yet."""
    if ROLLED_OUT not in annotations_of(serving):
        return False
    return serving_readiness(serving, None, 0, was_ready=False)[0] is not Readiness.YES


def owning_booster(child: Object) -> Key | None:
    """Returns the key of the ModelBooster that owns a child; None if no ModelBooster does."""
    for ref in owner_references(child):
        if is_booster_reference(ref):
            return Key(key_of(child).namespace, str(ref.get("name")))
    return None


def written_child(action: ChildAction) -> Desired | None:
    """Returns the child that an action writes; None if it writes nothing."""
    match action:
        case Apply(child=child) | TakeOver(child=child) | Recreate(create=Apply(child=child)):
            return child
    return None


def _with_marks_of(live: Object, child: Desired) -> Desired:
    marks = {}
    present = template_of(live)
    if present and is_written(child, live):
        # It is ours; the API server or another webhook may have added fields to it.
        written, accepted = wanted_hash(child), template_hash(present)
        if accepted != written and is_same_template(child.object["spec"]["template"], present):
            marks[POD_TEMPLATE] = f"{written}/{accepted}"
    if is_rolling_out(live):
        marks[ROLLED_OUT] = annotations_of(live)[ROLLED_OUT]
    return replace(child, object=annotated(child.object, marks)) if marks else child


def _marked(action: ChildAction, servings: Collection[str], generation: int) -> ChildAction:
    child = written_child(action)
    if child is None or child.resource is not MODEL_SERVING or child.name not in servings:
        return action
    mark = {ROLLED_OUT: str(generation)}
    new = replace(child, object=annotated(child.object, mark))
    match action:
        case Apply():
            return replace(action, child=new, body=annotated(action.body, mark))
        case TakeOver():
            return replace(action, child=new)
        case Recreate(create=create):
            body = annotated(create.body, mark)
            return replace(action, create=replace(create, child=new, body=body))
    return action
