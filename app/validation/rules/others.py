"""Rules about names that other objects of the cluster already use.

Two objects that are created at the same time can both pass, so the controller checks again. Of two
stored objects the older one keeps a name. An update may not take a name that is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
)
from app.model.names import backend_child_name
from app.model.ownership import is_booster_reference, is_ours
from app.model.roles import SERVED_TYPES
from app.validation.context import Lookup
from app.validation.inputs import RuleInputs
from app.values.fields import FieldError, Path, duplicate, invalid
from app.values.meta import Key, Object, Resource, key_of, owner_references

_BACKEND_CHILDREN = (MODEL_SERVING, MODEL_SERVER)
_POLICY_CHILDREN = (AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING)


def route_is_ours(inputs: RuleInputs) -> Iterator[FieldError]:
    """No ModelRoute of this name belongs to another owner.

    The garbage collector deletes the route of a deleted ModelBooster of this name; the controller
    waits for that.
    """
    lookup, model = _ready_lookup(inputs), inputs.model
    if lookup is None:
        return
    route = lookup.child(MODEL_ROUTE, Key(model.namespace, model.name))
    if route is not None and not _is_ours_or_orphaned(inputs, route):
        yield invalid(
            Path("metadata.name"),
            model.name,
            f'ModelRoute "{model.name}" already exists in namespace "{model.namespace}" '
            "and is not managed by a ModelBooster of this name",
        )


def model_name_is_free(inputs: RuleInputs) -> Iterator[FieldError]:
    """No other model of the namespace is routed under the same name."""
    lookup, model = _ready_lookup(inputs), inputs.model
    if lookup is None:
        return
    names = {
        key_of(other).name
        for other in _routing(inputs, lookup)
        if key_of(other).namespace == model.namespace
    }
    for name in sorted(names):
        yield duplicate(
            model.route_name_path,
            model.route_name,
            f'modelName is already routed by ModelRoute "{model.namespace}/{name}"',
        )


def generated_names_are_free(inputs: RuleInputs) -> Iterator[FieldError]:
    """No other object has the name of one of the children.

    ``a`` with backend ``b-c`` and ``a-b`` with backend ``c`` would have children of one name.
    """
    lookup, model = _ready_lookup(inputs), inputs.model
    if lookup is None:
        return
    profile = inputs.context.release_profile
    if inputs.has_model_policy and profile is not Profile.A:
        at = Path("metadata.name")
        yield from _name_conflicts(inputs, lookup, _POLICY_CHILDREN, model.name, at, model.name)
    for form, _ in inputs.backends:
        if form.type not in SERVED_TYPES:
            continue
        alone = form.policy is not None or (inputs.has_model_policy and profile is Profile.A)
        kinds = _BACKEND_CHILDREN + (_POLICY_CHILDREN if alone else ())
        name, at = backend_child_name(model, form), form.path.child("name")
        yield from _name_conflicts(inputs, lookup, kinds, name, at, form.name)


def _name_conflicts(
    inputs: RuleInputs, lookup: Lookup, kinds: tuple[Resource, ...], name: str, at: Path, value: str
) -> Iterator[FieldError]:
    """Yields at most one fault per name, as a conflict in one kind usually repeats in the next."""
    key = Key(inputs.model.namespace, name)
    for kind in kinds:
        owner = _claiming_booster(inputs, lookup, kind, key) or _owner_of_existing(
            inputs, lookup, kind, key
        )
        if owner is not None:
            text = f'generated name "{name}" ({kind.kind}) is already used by {owner}'
            yield duplicate(at, value, text)
            return


def _claiming_booster(inputs: RuleInputs, lookup: Lookup, kind: Resource, key: Key) -> str | None:
    others = (
        key_of(other).name for other in lookup.makers(kind, key) if _takes_precedence(inputs, other)
    )
    first = min(others, default=None)
    return None if first is None else f'ModelBooster "{first}"'


def _owner_of_existing(inputs: RuleInputs, lookup: Lookup, kind: Resource, key: Key) -> str | None:
    child = lookup.child(kind, key)
    if child is None or _is_ours_or_orphaned(inputs, child):
        return None
    owners = [ref for ref in owner_references(child) if ref.get("controller")]
    owners += filter(is_booster_reference, owner_references(child))
    if owners:
        return f'{owners[0].get("kind")} "{owners[0].get("name")}"'
    return "an object that no ModelBooster owns"


def model_name_is_free_elsewhere(inputs: RuleInputs) -> Iterator[str]:
    """Routers serve all namespaces. The warning does not reveal the other namespace."""
    lookup, model = _ready_lookup(inputs), inputs.model
    if lookup is None:
        return
    if _is_elsewhere(inputs, _routing(inputs, lookup)):
        yield (
            f'modelName "{model.route_name}" is also routed in another namespace; kthena\'s router '
            f"sends all requests to {preferred_route(inputs.context.profile)}, so choose another "
            "name"
        )
    elif _is_elsewhere(inputs, _adapting(lookup, model.route_name)):
        yield (
            f'modelName "{model.route_name}" is the name of an adapter in another namespace; '
            "kthena's router looks among models first, so choose another name"
        )


def lora_names_are_free(inputs: RuleInputs) -> Iterator[str]:
    """The router looks up a name among models first, then among adapters, of all namespaces."""
    lookup, model = _ready_lookup(inputs), inputs.model
    if lookup is None:
        return
    for form, _ in inputs.backends:
        for position, adapter in enumerate(form.lora_adapters):
            others = [
                other
                for kind in (MODEL_BOOSTER, MODEL_ROUTE)
                for found in (lookup.routing, lookup.adapting)
                for other in found(kind, adapter.name)
                if _is_other(inputs, other)
            ]
            if not others:
                continue
            at = form.path.child("loraAdapters").index(position).child("name")
            here = sorted({o.name for o in map(key_of, others) if o.namespace == model.namespace})
            if here:
                yield (
                    f'{at}: "{adapter.name}" is already routed by ModelRoute '
                    f'"{model.namespace}/{here[0]}"; requests may reach either'
                )
            else:
                yield (
                    f'{at}: "{adapter.name}" is also routed in another namespace, and requests '
                    "reach only one of the two; choose another name"
                )


def preferred_route(profile: Profile | None) -> str:
    """Returns which of several ModelRoutes with one model name gets the requests."""
    if profile is None:
        return "one of them"
    return "the one written last" if profile is Profile.A else "the older one"


def _is_elsewhere(inputs: RuleInputs, others: Iterable[Object]) -> bool:
    return any(key_of(other).namespace != inputs.model.namespace for other in others)


def _adapting(lookup: Lookup, name: str) -> Iterator[Object]:
    for kind in (MODEL_BOOSTER, MODEL_ROUTE):
        yield from lookup.adapting(kind, name)


def names_were_compared(inputs: RuleInputs) -> Iterator[str]:
    """A webhook that has just started has not read the other objects yet."""
    lookup = inputs.context.lookup
    if lookup is not None and not lookup.ready:
        yield (
            "names were not compared with those of other objects, which are still being read; "
            "the controller will do so"
        )


def _ready_lookup(inputs: RuleInputs) -> Lookup | None:
    lookup = inputs.context.lookup
    return lookup if lookup is not None and lookup.ready else None


def _routing(inputs: RuleInputs, lookup: Lookup) -> Iterator[Object]:
    """Yields the other objects that route our model; a ModelBooster counts as its own route."""
    name = inputs.model.route_name
    yield from (b for b in lookup.routing(MODEL_BOOSTER, name) if _takes_precedence(inputs, b))
    for route in lookup.routing(MODEL_ROUTE, name):
        if _is_other(inputs, route) and not any(map(is_booster_reference, owner_references(route))):
            yield route


def _is_other(inputs: RuleInputs, obj: Object) -> bool:
    """Whether an object is neither this ModelBooster nor its ModelRoute, which has its name."""
    return key_of(obj) != Key(inputs.model.namespace, inputs.model.name)


def _takes_precedence(inputs: RuleInputs, other: Object) -> bool:
    """Whether another ModelBooster's claim to a name takes precedence over ours."""
    if not _is_other(inputs, other):
        return False
    mine = (inputs.obj.get("metadata") or {}).get("creationTimestamp")
    theirs = other["metadata"].get("creationTimestamp")
    return inputs.is_update or not mine or not theirs or bool(theirs <= mine)


def _is_ours_or_orphaned(inputs: RuleInputs, child: Object) -> bool:
    if inputs.model.uid and is_ours(child, inputs.model.uid):
        return True
    return any(
        is_booster_reference(ref) and ref.get("name") == inputs.model.name
        for ref in owner_references(child)
    )
