"""What should be against what is: the writes and deletes that make the one of the other.

Each write carries its guard in its own body, so no read goes before it: a version that no object
has ever had ("create only"), the uid that we saw, or for a ModelServing whose replicas somebody
else writes the version as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, REGISTRY_MANAGED_BY
from app.convert.gang import kept
from app.model.canonical import Model
from app.model.children import Desired, backend_child_name, is_booster_reference, is_ours
from app.values.meta import (
    Object,
    is_terminating,
    key_of,
    labels_of,
    owner_references,
    uid_of,
)
from controller.plan.actions import (
    NO_VERSION,
    RESOURCES,
    Apply,
    ChildRef,
    Delete,
    Look,
    Plan,
    Replace,
    Step,
    Taken,
    TakeOver,
    Wait,
    ref_of,
    ref_of_object,
)
from controller.plan.drift import Gap, gap


def plan(
    model: Model,
    desired: Iterable[Desired],
    observed: Iterable[Object],
    lost: Iterable[ChildRef] = (),
) -> Plan:
    """Returns what to do to get the desired children.

    Args:
        model: whose children they are.
        desired: the children, as conversion makes them.
        observed: all that is ours, and whatever stands under the name of a desired child.
        lost: children that may stand although they are not observed.
    """
    standing = {ref_of_object(obj): obj for obj in observed}
    unseen = set(lost) - standing.keys()
    steps: list[Step] = []
    for child in desired:
        place = ref_of(child)
        step = step_for(model, child, standing.pop(place, None))
        unseen.discard(place)
        if step is not None:
            steps.append(step)
    deletes = filter(None, (obsolete(model, obj) for obj in standing.values()))
    looks = (Look(RESOURCES[kind], name) for kind, name in sorted(unseen))
    return Plan(tuple(steps), (*deletes, *looks))


def step_for(model: Model, child: Desired, live: Object | None) -> Step | None:
    """Returns what to do about one child; None if it is as it should be.

    Args:
        model: whose child it is.
        child: the child as conversion makes it.
        live: what stands under its name; None if nothing does.
    """
    if live is None:
        return _create(child)
    if not is_ours(live, model.uid):
        if is_predecessors(live, model):
            return Wait(ref_of(child), ours=False)
        return Taken(ref_of(child), live)
    if is_terminating(live):
        return Wait(ref_of(child), ours=True)
    wanted = _with_kept(child, live)
    if wanted is None or _is_renamed_route(child, live):
        return Replace(Delete(child.resource, child.name, uid_of(live)), _create(child))
    distance = _gap_of(wanted, live)
    if distance is Gap.NONE:
        return None
    if distance is Gap.LABELS or REGISTRY_MANAGED_BY not in labels_of(live):
        return TakeOver(child)
    return applied_over(child, live)


def obsolete(model: Model, live: Object) -> Delete | None:
    """Returns the delete of an object that no desired child has the name of; None if it stays."""
    resource, name = RESOURCES[live["kind"]], key_of(live).name
    if not is_ours(live, model.uid) or is_terminating(live):
        return None
    kept_names = {backend_child_name(model, backend) for backend in model.backends}
    if resource in (MODEL_SERVING, MODEL_SERVER) and name in kept_names:
        return None  # the spec still names the backend; its type is just not served yet
    return Delete(resource, name, uid_of(live))


def applied_over(child: Desired, live: Object) -> Apply:
    """Returns the apply of a child over a live object that is ours, guarded against any other."""
    guards = {"uid": uid_of(live)}
    if child.replica_bounds is not None:
        # Whoever scaled meanwhile must not lose his replicas to the value that we saw.
        guards["resourceVersion"] = live["metadata"]["resourceVersion"]
    wanted = _with_kept(child, live) or child.object
    return Apply(child, _with_metadata(wanted, **guards), live)


def is_predecessors(live: Object, model: Model) -> bool:
    """Whether an object belongs to a deleted ModelBooster that had the same name."""
    return any(
        is_booster_reference(ref) and ref.get("name") == model.name and ref.get("uid") != model.uid
        for ref in owner_references(live)
    )


def _gap_of(wanted: Object, live: Object) -> Gap:
    standing = {ref.get("uid"): ref for ref in owner_references(live)}
    metadata = wanted["metadata"]
    return max(
        gap(wanted["spec"], live.get("spec")),
        gap(metadata["labels"], labels_of(live)),
        *(gap(ref, standing.get(ref["uid"])) for ref in metadata["ownerReferences"]),
    )


def _with_kept(child: Desired, live: Object) -> Object | None:
    """Returns the child with what must stay in a live one: replicas that were scaled, the gang.

    Returns None if the live object cannot become the child: a stored ``gangPolicy`` can be neither
    changed nor removed, and this one asks for more than the roles would have.
    """
    if child.resource is not MODEL_SERVING:
        return child.object
    spec, live_spec = dict(child.object["spec"]), live.get("spec") or {}
    replicas = live_spec.get("replicas")
    if child.replica_bounds is not None and isinstance(replicas, int):
        least, most = child.replica_bounds
        spec["replicas"] = max(least, min(most, replicas))
    template = kept(live_spec.get("template"), spec["template"])
    if template is None:
        return None
    return {**child.object, "spec": {**spec, "template": template}}


def _is_renamed_route(child: Desired, live: Object) -> bool:
    """Whether clients shall ask for the model by another name: it is immutable in a ModelRoute."""
    if child.resource is not MODEL_ROUTE:
        return False
    name: str | None = (live.get("spec") or {}).get("modelName")
    return name is not None and name != child.object["spec"].get("modelName")


def _create(child: Desired) -> Apply:
    return Apply(child, _with_metadata(child.object, resourceVersion=NO_VERSION), None)


def _with_metadata(obj: Object, **guards: str) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **guards}}
