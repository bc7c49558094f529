"""Compares desired and observed children and plans the writes and deletes.

Each write carries its precondition in its own body, so no read is needed before it. A create has
a resource version that no object has. An update has the uid that was observed, and the resource
version as well if an autoscaler writes the replicas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, REGISTRY_MANAGED_BY
from app.convert.gang import keep_gang_policy
from app.model.children import Desired
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.ownership import is_booster_reference, is_ours
from app.values.meta import (
    Object,
    annotations_of,
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
    ChildAction,
    ChildRef,
    Delete,
    DeleteUnlabeled,
    NameConflict,
    Plan,
    Recreate,
    TakeOver,
    WaitForDeletion,
)
from controller.plan.drift import Drift, drift_of


def make_plan(
    model: Model,
    desired: Iterable[Desired],
    observed: Iterable[Object],
    unlabeled: Iterable[ChildRef] = (),
) -> Plan:
    """Returns the actions that turn the observed children into the desired ones.

    Args:
        model: the ModelBooster that owns the children.
        desired: the desired children, as conversion makes them.
        observed: all children that are ours, and other objects with the name of a desired child.
        unlabeled: children that may exist without our label, so they are not observed.
    """
    live = {ChildRef.of_object(obj): obj for obj in observed}
    unseen = set(unlabeled) - live.keys()
    actions: list[ChildAction] = []
    for child in desired:
        ref = ChildRef.of(child)
        action = action_for(model, child, live.pop(ref, None))
        unseen.discard(ref)
        if action is not None:
            actions.append(action)
    deletes = filter(None, (delete_if_obsolete(model, obj) for obj in live.values()))
    lookups = (DeleteUnlabeled(RESOURCES[kind], name) for kind, name in sorted(unseen))
    return Plan(tuple(actions), (*deletes, *lookups))


def wait_for_name(plan: Plan, routes: Collection[str]) -> Plan:
    """Returns a plan that does not create a ModelRoute while others with its name are about to go.

    A ModelRoute with an earlier name stays until then, and so do the backends that it names.

    Args:
        plan: the plan.
        routes: names of those ModelRoutes.
    """
    if not routes:
        return plan
    actions: list[ChildAction] = []
    deletions = plan.deletions
    for action in plan.actions:
        if isinstance(action, Recreate) and action.ref.kind == MODEL_ROUTE.kind:
            deletions = ()
        is_new = isinstance(action, Recreate) or (isinstance(action, Apply) and action.live is None)
        if is_new and action.ref.kind == MODEL_ROUTE.kind:
            refs = [ChildRef(MODEL_ROUTE.kind, name) for name in routes]
            actions += (WaitForDeletion(ref, is_ours=True) for ref in refs)
        else:
            actions.append(action)
    return Plan(tuple(actions), deletions)


def without_servings(plan: Plan, names: Collection[str]) -> Plan:
    """Returns a plan that does not create some ModelServings.

    Args:
        plan: the plan.
        names: names of those whose pods wait for the warm-up of a cache.
    """
    actions = tuple(
        action
        for action in plan.actions
        if not (
            isinstance(action, Apply)
            and action.live is None
            and action.ref.kind == MODEL_SERVING.kind
            and action.ref.name in names
        )
    )
    return Plan(actions, plan.deletions)


def action_for(model: Model, child: Desired, live: Object | None) -> ChildAction | None:
    """Returns the action for one child; None if it is up to date.

    Args:
        model: the ModelBooster that owns the child.
        child: the desired child, as conversion makes it.
        live: the object with its name; None if there is none.
    """
    if live is None:
        return _create(child)
    if not is_ours(live, model.uid):
        if belongs_to_predecessor(live, model):
            return WaitForDeletion(ChildRef.of(child), is_ours=False)
        return NameConflict(ChildRef.of(child), live)
    if is_terminating(live):
        return WaitForDeletion(ChildRef.of(child), is_ours=True)
    desired = _with_preserved_fields(child, live)
    if desired is None or _changes_model_name(child, live):
        return Recreate(Delete(child.resource, child.name, uid_of(live)), _create(child))
    drift = _drift_of(desired, live)
    if drift is Drift.NONE:
        return None
    if drift is Drift.SELECTOR or REGISTRY_MANAGED_BY not in labels_of(live):
        return TakeOver(child)
    return apply_over(child, live)


def delete_if_obsolete(model: Model, live: Object) -> Delete | None:
    """Returns the delete of an object that is not desired; None if it is to stay.

    Args:
        model: the ModelBooster that is reconciled.
        live: an object whose name no desired child has.
    """
    resource, name = RESOURCES[live["kind"]], key_of(live).name
    if not is_ours(live, model.uid) or is_terminating(live):
        return None
    backend_names = {backend_child_name(model, backend) for backend in model.backends}
    if resource in (MODEL_SERVING, MODEL_SERVER) and name in backend_names:
        return None  # the backend is still in the spec; its type is not served yet
    return Delete(resource, name, uid_of(live))


def apply_over(child: Desired, live: Object) -> Apply:
    """Returns the apply of a child to a live object of ours; it fails on any other object."""
    preconditions = {"uid": uid_of(live)}
    if child.replica_bounds is not None:
        # Do not overwrite replicas that an autoscaler has changed since this read.
        preconditions["resourceVersion"] = live["metadata"]["resourceVersion"]
    desired = _with_preserved_fields(child, live) or child.object
    return Apply(child, _with_metadata(desired, **preconditions), live)


def belongs_to_predecessor(live: Object, model: Model) -> bool:
    """Whether an object belongs to a deleted ModelBooster with the same name."""
    return any(
        is_booster_reference(ref) and ref.get("name") == model.name and ref.get("uid") != model.uid
        for ref in owner_references(live)
    )


def _drift_of(desired: Object, live: Object) -> Drift:
    live_owners = {ref.get("uid"): ref for ref in owner_references(live)}
    metadata = desired["metadata"]
    return max(
        drift_of(desired["spec"], live.get("spec")),
        drift_of(metadata["labels"], labels_of(live)),
        drift_of(metadata.get("annotations", {}), annotations_of(live)),
        *(drift_of(ref, live_owners.get(ref["uid"])) for ref in metadata["ownerReferences"]),
    )


def _with_preserved_fields(child: Desired, live: Object) -> Object | None:
    """Returns the child with fields of the live object that must not change.

    These are replicas that an autoscaler has set, and a stored ``gangPolicy``. Returns None if the
    stored ``gangPolicy``, which is immutable, asks for more than the desired roles have.
    """
    if child.resource is not MODEL_SERVING:
        return child.object
    spec, live_spec = dict(child.object["spec"]), live.get("spec") or {}
    replicas = live_spec.get("replicas")
    if child.replica_bounds is not None and isinstance(replicas, int):
        least, most = child.replica_bounds
        spec["replicas"] = max(least, min(most, replicas))
    template = keep_gang_policy(live_spec.get("template"), spec["template"])
    if template is None:
        return None
    return {**child.object, "spec": {**spec, "template": template}}


def _changes_model_name(child: Desired, live: Object) -> bool:
    """Whether ``modelName`` of a ModelRoute, which is immutable, has to change."""
    if child.resource is not MODEL_ROUTE:
        return False
    name: str | None = (live.get("spec") or {}).get("modelName")
    return name is not None and name != child.object["spec"].get("modelName")


def _create(child: Desired) -> Apply:
    return Apply(child, _with_metadata(child.object, resourceVersion=NO_VERSION), None)


def _with_metadata(obj: Object, **fields: str) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **fields}}
