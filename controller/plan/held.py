"""The children of a backend whose pods keep their present template.

The template and the scheduler stay as they are in the cluster; the replicas are applied. The
ModelServer keeps what has to match the pods.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from app.apis.kinds import BACKEND_NAME, MODEL_SERVER, MODEL_SERVING, REVISION
from app.convert.diff import FieldDiff, field_diffs
from app.convert.gang import keep_gang_policy
from app.model.children import Desired, revision
from app.values.fields import Path
from app.values.meta import Object, annotations_of, labels_of
from controller.plan.actions import ChildRef
from controller.plan.drift import Drift, drift_of
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE, template_hash

OF_THE_PODS = ("inferenceEngine", "kvConnector", "model", "workloadPort", "workloadSelector")
"""Fields of a ModelServer that have to match the running pods."""


def hold_templates(
    children: Iterable[Desired], observed: Iterable[Object], servings: Collection[str]
) -> list[Desired]:
    """Returns the children with the present pod template for some backends.

    Args:
        children: the desired children.
        observed: the live children.
        servings: names of the ModelServings that keep their template.
    """
    live = {ChildRef.of_object(obj): obj for obj in observed}
    children = list(children)
    backends = {
        labels_of(child.object)[BACKEND_NAME]
        for child in children
        if child.resource is MODEL_SERVING and child.name in servings
    }
    found = []
    for child in children:
        obj = live.get(ChildRef.of(child))
        if obj is not None and labels_of(child.object).get(BACKEND_NAME) in backends:
            if child.resource is MODEL_SERVING:
                child = _held_serving(child, obj)
            elif child.resource is MODEL_SERVER:
                child = _held_server(child, obj)
        found.append(child)
    return found


def hold_models(
    children: Iterable[Desired], observed: Iterable[Object], servings: Collection[str]
) -> list[Desired]:
    """Returns the children with the present pods for some backends, whose new pods have to wait.

    The fingerprint of the inputs stays too, so that the edit still counts as one when the wait is
    over.

    Args:
        children: the desired children, with fingerprints.
        observed: the live children.
        servings: names of the ModelServings that wait.
    """
    children, observed = list(children), list(observed)
    if not servings:
        return children
    live = {ChildRef.of_object(obj): obj for obj in observed}
    found = []
    for child in hold_templates(children, observed, servings):
        obj = live.get(ChildRef.of(child))
        if child.resource is MODEL_SERVING and child.name in servings and obj is not None:
            metadata = child.object["metadata"]
            annotations = {k: v for k, v in annotations_of(child.object).items() if k != POD_INPUTS}
            if inputs := annotations_of(obj).get(POD_INPUTS):
                annotations[POD_INPUTS] = inputs
            metadata = {**metadata, "annotations": annotations}
            child = replace(child, object={**child.object, "metadata": metadata})
        found.append(child)
    return found


def held_template(wanted: Object, live: Object) -> Object:
    """Returns the live pod template with the desired replicas of each role.

    Args:
        wanted: the desired ``spec.template``.
        live: the live one.
    """
    replicas = {role["name"]: role["replicas"] for role in wanted["roles"]}
    roles = [
        {**role, "replicas": replicas[role["name"]]} if role.get("name") in replicas else role
        for role in live.get("roles") or ()
    ]
    return {**live, "roles": roles}


def template_of(serving: Object) -> Object | None:
    """Returns ``spec.template`` of a ModelServing; None if it has none."""
    template = (serving.get("spec") or {}).get("template")
    return template if isinstance(template, dict) else None


def is_same_template(wanted: Object, live: Object) -> bool:
    """Whether a live pod template has all fields of ours; replicas of roles may differ.

    Args:
        wanted: the desired ``spec.template``.
        live: the live one.
    """
    kept = keep_gang_policy(live, wanted) or wanted
    return drift_of(kept, held_template(wanted, live)) is Drift.NONE


def template_diffs(wanted: Object, live: Object) -> list[FieldDiff]:
    """Returns the fields in which a new pod template differs from the live one.

    Args:
        wanted: the desired ``spec.template``.
        live: the live one.
    """
    old, new = held_template(wanted, live), keep_gang_policy(live, wanted) or wanted
    return [
        diff
        for diff in field_diffs(Path("spec.template"), old, new)
        if diff.new is None or drift_of(diff.new, diff.old) is not Drift.NONE
    ]


def with_live_fields(child: Desired, live: Object, fields: Collection[str]) -> Desired:
    """Returns a child that keeps some fields of its live spec; the child itself if none differs.

    Args:
        child: the desired child.
        live: the live one.
        fields: names of the fields.
    """
    wanted, present = child.object["spec"], live.get("spec") or {}
    if not any(_differs(wanted.get(field), present.get(field)) for field in fields):
        return child
    spec = {key: value for key, value in wanted.items() if key not in fields}
    spec |= {key: value for key, value in present.items() if key in fields}
    return _with_spec(child, spec, live)


def _held_serving(child: Desired, live: Object) -> Desired:
    template = template_of(live)
    if template is None:
        return child
    template = held_template(child.object["spec"]["template"], template)
    spec = {**child.object["spec"], "template": template}
    if "schedulerName" in live["spec"]:  # pods of several nodes name it in their template, too
        spec["schedulerName"] = live["spec"]["schedulerName"]
    held = _with_spec(child, spec, live)
    accepted = annotations_of(live).get(POD_TEMPLATE) or template_hash(template)
    annotations = {**annotations_of(child.object), POD_TEMPLATE: accepted}
    metadata = {**held.object["metadata"], "annotations": annotations}
    return replace(held, object={**held.object, "metadata": metadata})


def _held_server(child: Desired, live: Object) -> Desired:
    """Returns the ModelServer with the fields that match the running pods.

    If the operator would write the same ModelServer as before, it fits the pods.
    """
    if labels_of(live).get(REVISION) == labels_of(child.object)[REVISION]:
        return child
    return with_live_fields(child, live, OF_THE_PODS)


def _differs(wanted: Any, present: Any) -> bool:
    return (wanted is None) != (present is None) or drift_of(wanted, present) is not Drift.NONE


def _with_spec(child: Desired, spec: Object, live: Object) -> Desired:
    """Returns a child with another spec and its revision; that of the live object if it fits."""
    label = labels_of(live).get(REVISION, "")
    if not label or drift_of(spec, live.get("spec")) is not Drift.NONE:
        unstamped = () if child.replica_bounds is None else ("replicas",)
        label = revision({key: value for key, value in spec.items() if key not in unstamped})
    metadata = child.object["metadata"]
    metadata = {**metadata, "labels": {**metadata["labels"], REVISION: label}}
    return replace(child, object={**child.object, "metadata": metadata, "spec": spec})
