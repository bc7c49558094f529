"""What the webhook keeps of other objects: the fields that rules about them read.

Names and routes are index values. The rest of a fleet of ten thousand would take four times as
much memory as these tuples.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from app.apis.kinds import MODEL_BOOSTER, MODEL_UID
from app.cache.records import Record
from app.model.ownership import is_booster_reference
from app.values.meta import Object, Resource, is_terminating, labels_of


class _ReferenceForm(NamedTuple):
    """What the owner references of many objects have in common."""

    api_version: str
    kind: str
    controller: bool | None
    is_booster: bool


_TERMINATING = {"deletionTimestamp": "1970-01-01T00:00:00Z"}
"""No rule reads more of an object that is being deleted than that it is."""


def booster_facts(booster: Object) -> str | None:
    """Returns when a ModelBooster was created; None if it is being deleted, or not created yet."""
    if is_terminating(booster):
        return None
    created: str | None = booster["metadata"].get("creationTimestamp")
    return created


def restore_booster(record: Record) -> Object:
    """Returns a ModelBooster with the fields that rules read."""
    if record.facts is None:
        return _restored(MODEL_BOOSTER, record, _TERMINATING)
    return _restored(MODEL_BOOSTER, record, {"creationTimestamp": record.facts})


def child_facts(child: Object) -> tuple[Any, ...] | None:
    """Returns whose a child is; None if it is being deleted.

    That is form, name and uid of each owner reference in turn, and before them the uid of the label
    if no reference is that of a ModelBooster. Most children have one, which makes three values.
    """
    if is_terminating(child):
        return None
    facts: list[Any] = []
    has_booster = False
    for ref in child["metadata"].get("ownerReferences") or ():
        form = _form(ref["apiVersion"], ref["kind"], ref.get("controller"))
        has_booster |= form.is_booster
        # The children of a ModelBooster share its name and its uid.
        facts += form, intern(ref["name"]), intern(ref["uid"])
    return tuple(facts) if has_booster else (labels_of(child).get(MODEL_UID), *facts)


def restore_child(resource: Resource, record: Record) -> Object:
    """Returns a child with the fields that rules read."""
    if record.facts is None:
        return _restored(resource, record, _TERMINATING)
    fields: Object = {}
    values = iter(record.facts)
    if len(record.facts) % 3 and (model_uid := next(values)) is not None:
        fields["labels"] = {MODEL_UID: model_uid}
    if refs := [_reference(*each) for each in zip(values, values, values, strict=True)]:
        fields["ownerReferences"] = refs
    return _restored(resource, record, fields)


def _reference(form: _ReferenceForm, name: str, uid: str) -> Object:
    ref = {"apiVersion": form.api_version, "kind": form.kind, "name": name, "uid": uid}
    return ref if form.controller is None else {**ref, "controller": form.controller}


def _restored(resource: Resource, record: Record, fields: Object) -> Object:
    namespace, name = record.key
    identity = {"namespace": namespace, "name": name, "uid": record.uid}
    metadata = {**identity, "resourceVersion": record.version, **fields}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


@lru_cache(maxsize=64)
def _form(api_version: str, kind: str, controller: bool | None) -> _ReferenceForm:
    """Returns the same instance for equal arguments."""
    is_booster = is_booster_reference({"apiVersion": api_version, "kind": kind})
    return _ReferenceForm(api_version, kind, controller, is_booster)
