"""Rules about tolerations, affinity and runtime class: the checks of the API server.

Paths and messages are those of the API server. Toleration operators that only newer releases know
are left to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.validation.inputs import RuleInputs
from app.values.fields import FieldError, Path, forbidden, invalid, not_supported, required
from app.values.meta import Object
from app.values.names import (
    label_faults,
    qualified_faults,
    subdomain_faults,
    value_faults,
)

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_SETS, _PRESENCE, _ORDER = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")


def tolerations_are_sound(inputs: RuleInputs) -> Iterator[FieldError]:
    """Key, operator, value and effect of a toleration fit together."""
    for backend in inputs.served_backends:
        for worker in backend.workers:
            for position, written in enumerate(worker.tolerations):
                yield from toleration_faults(
                    worker.path.child("tolerations").index(position), written
                )


def toleration_faults(path: Path, written: Object) -> Iterator[FieldError]:
    """Yields what is wrong with a toleration."""
    key, operator = written.get("key") or "", written.get("operator") or ""
    value, effect = written.get("value") or "", written.get("effect") or ""
    at = path.child("operator")
    if key:
        yield from _named(path.child("key"), key)
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and '
        yield invalid(at, operator, detail + 'all keys"')
    if "tolerationSeconds" in written and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield invalid(path.child("effect"), effect, detail)
    if operator in ("", "Equal"):
        if faults := ";".join(value_faults(value)):
            yield invalid(at, value, faults)
    elif operator == "Exists":
        if value:
            yield invalid(at, value, "value must be empty when `operator` is 'Exists'")
    elif operator not in _ORDER:
        yield not_supported(at, operator, ["Equal", "Exists"])
    if effect and effect not in _EFFECTS:
        yield not_supported(path.child("effect"), effect, _EFFECTS)


def node_affinity_is_sound(inputs: RuleInputs) -> Iterator[FieldError]:
    """``nodeAffinity`` has terms, and expressions that a node can match."""
    for path, written in _affinities(inputs, "nodeAffinity"):
        if _REQUIRED in written:
            at = path.child(_REQUIRED, "nodeSelectorTerms")
            terms = written[_REQUIRED]["nodeSelectorTerms"]
            if not terms:
                yield required(at, "must have at least one node selector term")
            for position, term in enumerate(terms):
                yield from _node_term(at.index(position), term, strict=True)
        for position, preferred in enumerate(written.get(_PREFERRED) or ()):
            at = path.child(_PREFERRED).index(position)
            yield from _weight(at, preferred)
            yield from _node_term(at.child("preference"), preferred["preference"], strict=False)


def _node_term(path: Path, term: Object, *, strict: bool) -> Iterator[FieldError]:
    for position, condition in enumerate(term.get("matchExpressions") or ()):
        at, values = path.child("matchExpressions").index(position), condition.get("values") or ()
        if condition["operator"] in _ORDER:
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                yield required(at.child("values"), detail)
            yield from _named(at.child("key"), condition["key"])
            if strict:
                yield from _values(at.child("values"), values)
        else:
            yield from _condition(at, condition, strict=strict)
    for position, condition in enumerate(term.get("matchFields") or ()):
        yield from _field(path.child("matchFields").index(position), condition)


def _field(path: Path, condition: Object) -> Iterator[FieldError]:
    values = condition.get("values") or ()
    if condition["operator"] not in _SETS:
        yield invalid(
            path.child("operator"), condition["operator"], "not a valid selector operator"
        )
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(path.child("values"), detail)
    if condition["key"] != "metadata.name":
        yield invalid(path.child("key"), condition["key"], "not a valid field selector key")
    else:
        yield from _values(path.child("values"), values, subdomain_faults)


def pod_affinity_is_sound(inputs: RuleInputs) -> Iterator[FieldError]:
    """``podAffinity`` and ``podAntiAffinity`` name a topology, and labels that a pod can have."""
    for kind in ("podAffinity", "podAntiAffinity"):
        for path, written in _affinities(inputs, kind):
            for position, term in enumerate(written.get(_REQUIRED) or ()):
                yield from _pod_term(path.child(_REQUIRED).index(position), term)
            for position, preferred in enumerate(written.get(_PREFERRED) or ()):
                at = path.child(_PREFERRED).index(position)
                yield from _weight(at, preferred)
                yield from _pod_term(at.child("podAffinityTerm"), preferred["podAffinityTerm"])


def _pod_term(path: Path, term: Object) -> Iterator[FieldError]:
    for field in ("labelSelector", "namespaceSelector"):
        yield from _selector(path.child(field), term.get(field) or {})
    yield from _values(path.child("namespaces"), term.get("namespaces") or (), label_faults)
    yield from _label_keys(path, term)
    at, key = path.child("topologyKey"), term["topologyKey"]
    if key:
        yield from _named(at, key)
    else:
        yield required(at, "can not be empty")


def _selector(path: Path, selector: Object) -> Iterator[FieldError]:
    at = path.child("matchLabels")
    for key, value in (selector.get("matchLabels") or {}).items():
        yield from _named(at, key)
        for fault in value_faults(value):
            yield invalid(at, value, fault)
    for position, condition in enumerate(selector.get("matchExpressions") or ()):
        yield from _condition(path.child("matchExpressions").index(position), condition)


def _label_keys(path: Path, term: Object) -> Iterator[FieldError]:
    selector = term.get("labelSelector")
    chosen = {condition["key"] for condition in (selector or {}).get("matchExpressions") or ()}
    chosen.update((selector or {}).get("matchLabels") or ())
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        keys, at = term.get(field) or (), path.child(field)
        if keys and selector is None:
            yield forbidden(at, "must not be specified when labelSelector is not set")
            continue
        for position, key in enumerate(keys):
            yield from _named(at.index(position), key)
    mismatching = term.get("mismatchLabelKeys") or ()
    for position, key in enumerate(term.get("matchLabelKeys") or ()):
        at = path.child("matchLabelKeys").index(position)
        if key in chosen:
            yield invalid(at, key, "exists in both matchLabelKeys and labelSelector")
        if key in mismatching:
            yield invalid(at, key, "exists in both matchLabelKeys and mismatchLabelKeys")


def runtime_class_is_a_name(inputs: RuleInputs) -> Iterator[FieldError]:
    """``runtimeClassName`` is a valid name of a RuntimeClass."""
    for backend in inputs.served_backends:
        name = backend.runtime_class_name
        for fault in subdomain_faults(name) if name else ():
            yield invalid(backend.path.child("runtimeClassName"), name, fault)


def _affinities(inputs: RuleInputs, kind: str) -> Iterator[tuple[Path, Object]]:
    for backend in inputs.served_backends:
        for worker in backend.workers:
            if worker.affinity and kind in worker.affinity:
                yield worker.path.child("affinity", kind), worker.affinity[kind]


def _condition(path: Path, condition: Object, *, strict: bool = True) -> Iterator[FieldError]:
    """Yields the faults of one expression of a label selector."""
    operator, values = condition["operator"], condition.get("values") or ()
    at = path.child("values")
    if operator in _SETS:
        if not values:
            yield required(at, "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in _PRESENCE:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(at, detail)
    else:
        yield invalid(path.child("operator"), operator, "not a valid selector operator")
    yield from _named(path.child("key"), condition["key"])
    if strict:
        yield from _values(at, values)


def _weight(path: Path, preferred: Object) -> Iterator[FieldError]:
    weight: Any = preferred["weight"]
    if not 1 <= weight <= 100:
        yield invalid(path.child("weight"), weight, "must be in the range 1-100")


def _named(path: Path, key: str) -> Iterator[FieldError]:
    for fault in qualified_faults(key):
        yield invalid(path, key, fault)


def _values(
    path: Path,
    values: Sequence[str],
    faults: Callable[[str], Iterator[str]] = value_faults,
) -> Iterator[FieldError]:
    for position, value in enumerate(values):
        for fault in faults(value):
            yield invalid(path.index(position), value, fault)
