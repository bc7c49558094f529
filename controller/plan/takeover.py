"""Who holds a field: making ours what kthena's own controller, or a hand, left in a child.

Server-side apply removes a field when its last holder stops sending it. What was written by plain
updates is held by whoever wrote it, for ever: a forced apply alone would leave it there. So the
hold is handed over first, in ``metadata.managedFields``, and the apply that follows drops what we
do not send.
"""

from __future__ import annotations

from typing import Any

from app.values.meta import Object

SPEC = "f:spec"
MATCH_LABELS = "f:matchLabels"


def take_over_patch(live: Object, manager: str) -> list[Object]:
    """Returns the JSON Patch that hands fields of a child to our manager; empty if none are to be.

    An object that we never applied was made by another controller: all that plain updates hold of
    its spec becomes ours. In one of our own only selectors are taken back, from whoever added to
    them; what others put elsewhere is theirs to keep.

    Args:
        live: the object as the server has it now, with its managedFields.
        manager: our field manager.
    """
    entries: list[Object] = live["metadata"].get("managedFields") or []
    ours = next((e for e in entries if _is_apply_of(e, manager)), None)
    held: Object = {} if ours is None else ours.get("fieldsV1") or {}
    others: list[Object] = []
    for entry in entries:
        if entry is ours:
            continue
        taken = {} if entry.get("subresource") else _takes(entry, whole=ours is None)
        rest = _without(entry.get("fieldsV1") or {}, taken)
        held = _merged(held, taken)
        if rest:
            others.append({**entry, "fieldsV1": rest})
    if held == ((ours or {}).get("fieldsV1") or {}):
        return []
    entry = ours or {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
    }
    version = live["metadata"]["resourceVersion"]
    return [
        # Checked by the server: 409 if the object is no longer the one that we read.
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [{**entry, "fieldsV1": held}, *others],
        },
    ]


def _is_apply_of(entry: Object, manager: str) -> bool:
    return (
        entry.get("operation") == "Apply"
        and entry.get("manager") == manager
        and not entry.get("subresource")
    )


def _takes(entry: Object, *, whole: bool) -> Object:
    """Returns the fields of an entry that become ours."""
    spec = (entry.get("fieldsV1") or {}).get(SPEC)
    if not isinstance(spec, dict):
        return {}
    if whole and entry.get("operation") == "Update":
        return {SPEC: spec}
    selectors = _only_selectors(spec)
    return {SPEC: selectors} if selectors else {}


def _only_selectors(fields: Object) -> Object:
    found: Object = {}
    for key, value in fields.items():
        if not isinstance(value, dict):
            continue
        part = value if key == MATCH_LABELS else _only_selectors(value)
        if part:
            found[key] = part
    return found


def _merged(left: Any, right: Any) -> Object:
    merged = dict(left)
    for key, value in right.items():
        merged[key] = _merged(merged.get(key) or {}, value)
    return merged


def _without(fields: Object, taken: Object) -> Object:
    rest: Object = {}
    for key, value in fields.items():
        if key not in taken:
            rest[key] = value
        elif taken[key] and (part := _without(value, taken[key])):
            rest[key] = part
    return rest
