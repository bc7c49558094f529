"""What should be against what is: the writes and deletes that make the one of the other.

Each write carries its guard in its own body, so no read goes before it: a version that no object
has ever had ("create only"), the uid that we saw, or for a ModelServing whose replicas somebody
else writes the version as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.apis.kinds import CHILDREN, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, REGISTRY_MANAGED_BY
from app.convert.gang import keep_gang_policy
from app.model.children import Desired
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.ownership import is_booster_reference, is_ours
from app.values.meta import (
    Object,
    Resource,
    is_terminating,
    key_of,
    labels_of,
    owner_references,
    uid_of,
)
from controller.planning.comparison import Gap, gap

NO_VERSION = "1"
"""Resource version that no object has: an apply that carries it creates or answers 409."""

RESOURCES: dict[str, Resource] = {resource.kind: resource for resource in CHILDREN}


@dataclass(frozen=True, slots=True)
class Apply:
    """Send a child.

    Args:
        child: the child as conversion makes it.
        body: what is sent: the child with its guards.
        old: what stands there now; None if nothing does.
    """

    child: Desired
    body: Object
    old: Object | None


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Fields that another manager holds must become ours first; then ``child`` is applied."""

    child: Desired


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of this name, if it still has this uid."""

    resource: Resource
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Look:
    """A child that nobody wants any more may stand here out of sight; delete it if it does."""

    resource: Resource
    name: str


@dataclass(frozen=True, slots=True)
class Replace:
    """A field that cannot be changed must change: delete, then create."""

    delete: Delete
    create: Apply


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before this object is gone; ``ours`` if it is our own, on its way out."""

    resource: Resource
    name: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The name is taken by an object that is not ours."""

    resource: Resource
    live: Object


Write = Apply | TakeOver | Replace
Step = Write | Wait | Taken


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass's work: the steps for what is wanted, in order, and the deletes of what is not."""

    steps: tuple[Step, ...]
    deletes: tuple[Delete | Look, ...]

    def __bool__(self) -> bool:
        return bool(self.steps or self.deletes)


def named(resource: Resource, name: str) -> str:
    """Returns how a message calls an object."""
    return f'{resource.kind} "{name}"'


def plan(
    model: Model,
    desired: Iterable[Desired],
    observed: Iterable[Object],
    lost: Iterable[tuple[str, str]] = (),
) -> Plan:
    """Returns what to do to get the desired children.

    Args:
        model: whose children they are.
        desired: the children, as conversion makes them.
        observed: all that is ours, and whatever stands under the name of a desired child.
        lost: kind and name of children that may stand although they are not observed.
    """
    standing = {(obj["kind"], obj["metadata"]["name"]): obj for obj in observed}
    unseen = set(lost) - standing.keys()
    steps: list[Step] = []
    for child in desired:
        place = child.resource.kind, child.name
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
            return Wait(child.resource, child.name, ours=False)
        return Taken(child.resource, live)
    if is_terminating(live):
        return Wait(child.resource, child.name, ours=True)
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
    template = keep_gang_policy(live_spec.get("template"), spec["template"])
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
