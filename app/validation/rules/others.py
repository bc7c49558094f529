"""What other objects have to say about a ModelBooster: names that are taken.

Two objects that are created at once can both pass, so the controller has the last word. Of two
stored ones the older keeps a name; an edit may take no name that anybody has.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from app.model.names import backend_child_name
from app.model.ownership import is_booster_reference, is_ours
from app.model.roles import SERVED_TYPES
from app.validation.context import Lookup
from app.validation.inputs import Case
from app.values.fields import FieldError, Path, duplicate, invalid
from app.values.meta import Key, Object, Resource, key_of, owner_references

_BACKEND_CHILDREN = (MODEL_SERVING, MODEL_SERVER)
_POLICY_CHILDREN = (AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING)


def route_is_ours(case: Case) -> Iterator[FieldError]:
    """There is no ModelRoute of this name that somebody else has made.

    One that a predecessor of this name left behind goes with the garbage; the controller waits.
    """
    lookup, model = _asked(case), case.model
    if lookup is None:
        return
    route = lookup.child(MODEL_ROUTE, Key(model.namespace, model.name))
    if route is not None and not _is_mine_or_left_behind(case, route):
        yield invalid(
            Path("metadata.name"),
            model.name,
            f'ModelRoute "{model.name}" already exists in namespace "{model.namespace}" '
            "and is not managed by a ModelBooster of this name",
        )


def model_name_is_free(case: Case) -> Iterator[FieldError]:
    """No other model of the namespace is routed under the same name."""
    lookup, model = _asked(case), case.model
    if lookup is None:
        return
    names = {
        key_of(other).name
        for other in _routing(case, lookup)
        if key_of(other).namespace == model.namespace
    }
    for name in sorted(names):
        yield duplicate(
            model.route_name_path,
            model.route_name,
            f'modelName is already routed by ModelRoute "{model.namespace}/{name}"',
        )


def generated_names_are_free(case: Case) -> Iterator[FieldError]:
    """Nobody else has the names of the objects that are made.

    ``a`` with backend ``b-c`` and ``a-b`` with backend ``c`` would make the same ones.
    """
    lookup, model = _asked(case), case.model
    if lookup is None:
        return
    if case.model_scope:
        at = Path("metadata.name")
        yield from _clashes(case, lookup, _POLICY_CHILDREN, model.name, at, model.name)
    for form, _ in case.listed:
        if form.type not in SERVED_TYPES:
            continue
        kinds = _BACKEND_CHILDREN + (() if form.policy is None else _POLICY_CHILDREN)
        name, at = backend_child_name(model, form), form.path.child("name")
        yield from _clashes(case, lookup, kinds, name, at, form.name)


def _clashes(
    case: Case, lookup: Lookup, kinds: tuple[Resource, ...], name: str, at: Path, value: str
) -> Iterator[FieldError]:
    """Yields who else has a name, once: what clashes in one kind mostly does in the next."""
    key = Key(case.model.namespace, name)
    for kind in kinds:
        owner = _maker(case, lookup, kind, key) or _holder(case, lookup, kind, key)
        if owner is not None:
            text = f'generated name "{name}" ({kind.kind}) is already used by {owner}'
            yield duplicate(at, value, text)
            return


def _maker(case: Case, lookup: Lookup, kind: Resource, key: Key) -> str | None:
    others = (key_of(other).name for other in lookup.makers(kind, key) if _counts(case, other))
    first = min(others, default=None)
    return None if first is None else f'ModelBooster "{first}"'


def _holder(case: Case, lookup: Lookup, kind: Resource, key: Key) -> str | None:
    child = lookup.child(kind, key)
    if child is None or _is_mine_or_left_behind(case, child):
        return None
    owners = [ref for ref in owner_references(child) if ref.get("controller")]
    owners += filter(is_booster_reference, owner_references(child))
    if owners:
        return f'{owners[0].get("kind")} "{owners[0].get("name")}"'
    return "an object that no ModelBooster owns"


def model_name_is_free_elsewhere(case: Case) -> Iterator[str]:
    """Routers serve all namespaces. Which one it is would be telling."""
    lookup, model = _asked(case), case.model
    if lookup is not None and any(
        key_of(other).namespace != model.namespace for other in _routing(case, lookup)
    ):
        yield (
            f'modelName "{model.route_name}" is also routed in another namespace; '
            "requests may reach either"
        )


def lora_names_are_free(case: Case) -> Iterator[str]:
    """The router looks a name up among models first, then among adapters."""
    lookup, model = _asked(case), case.model
    if lookup is None:
        return
    for form, _ in case.listed:
        for position, adapter in enumerate(form.lora_adapters):
            names = sorted(
                {
                    key_of(other).name
                    for kind in (MODEL_BOOSTER, MODEL_ROUTE)
                    for found in (lookup.routing, lookup.adapting)
                    for other in found(kind, adapter.name)
                    if _is_other(case, other) and key_of(other).namespace == model.namespace
                }
            )
            if names:
                at = form.path.child("loraAdapters").index(position).child("name")
                yield (
                    f'{at}: "{adapter.name}" is already routed by ModelRoute '
                    f'"{model.namespace}/{names[0]}"; requests may reach either'
                )


def names_were_compared(case: Case) -> Iterator[str]:
    """A webhook that has just started does not know the other objects yet."""
    lookup = case.context.lookup
    if lookup is not None and not lookup.ready:
        yield (
            "names were not compared with those of other objects, which are still being read; "
            "the controller will do so"
        )


def _asked(case: Case) -> Lookup | None:
    lookup = case.context.lookup
    return lookup if lookup is not None and lookup.ready else None


def _routing(case: Case, lookup: Lookup) -> Iterator[Object]:
    """Yields the other objects that route our model; a route speaks through its ModelBooster."""
    name = case.model.route_name
    yield from (b for b in lookup.routing(MODEL_BOOSTER, name) if _counts(case, b))
    for route in lookup.routing(MODEL_ROUTE, name):
        if _is_other(case, route) and not any(map(is_booster_reference, owner_references(route))):
            yield route


def _is_other(case: Case, obj: Object) -> bool:
    """Whether an object is neither this ModelBooster nor its ModelRoute, which has its name."""
    return key_of(obj) != Key(case.model.namespace, case.model.name)


def _counts(case: Case, other: Object) -> bool:
    """Whether another ModelBooster's claim goes before ours."""
    if not _is_other(case, other):
        return False
    mine = (case.obj.get("metadata") or {}).get("creationTimestamp")
    theirs = other["metadata"].get("creationTimestamp")
    return case.update or not mine or not theirs or bool(theirs <= mine)


def _is_mine_or_left_behind(case: Case, child: Object) -> bool:
    if case.model.uid and is_ours(child, case.model.uid):
        return True
    return any(
        is_booster_reference(ref) and ref.get("name") == case.model.name
        for ref in owner_references(child)
    )
