"""Takes over ownership of fields that another field manager wrote into a child.

Server-side apply removes a field when its last owner stops applying it. The owner of a field that
was written by a plain update never changes, so a forced apply alone would leave the field in
place. Therefore ``metadata.managedFields`` is patched first: the fields become ours, and the
apply that follows removes those that we do not send.
"""

from __future__ import annotations

from typing import Any

from app.values.meta import Object

SPEC = "f:spec"
MATCH_LABELS = "f:matchLabels"


def take_over_patch(live: Object, manager: str) -> list[Object]:
    """Returns the JSON Patch that makes our field manager the owner of fields of a child.

    If we have never applied the object, another controller made it: all fields of its spec that
    plain updates own become ours. If we have, only selectors become ours, with what others added;
    other fields that others added stay theirs.

    Args:
        live: the live object with its managedFields.
        manager: our field manager.

    Returns:
        The operations of the patch; empty if no field has to change its owner.
    """
    entries: list[Object] = live["metadata"].get("managedFields") or []
    ours = next((e for e in entries if _is_apply_of(e, manager)), None)
    owned: Object = {} if ours is None else ours.get("fieldsV1") or {}
    others: list[Object] = []
    for entry in entries:
        if entry is ours:
            continue
        taken = {} if entry.get("subresource") else _fields_to_take(entry, whole=ours is None)
        rest = _without(entry.get("fieldsV1") or {}, taken)
        owned = _merged(owned, taken)
        if rest:
            others.append({**entry, "fieldsV1": rest})
    if owned == ((ours or {}).get("fieldsV1") or {}):
        return []
    entry = ours or {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
    }
    version = live["metadata"]["resourceVersion"]
    return [
        # Precondition: the API server answers 409 if the object has changed since we read it.
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [{**entry, "fieldsV1": owned}, *others],
        },
    ]


def _is_apply_of(entry: Object, manager: str) -> bool:
    return (
        entry.get("operation") == "Apply"
        and entry.get("manager") == manager
        and not entry.get("subresource")
    )


def _fields_to_take(entry: Object, *, whole: bool) -> Object:
    """Returns the fields of a managedFields entry that become ours.

    Args:
        entry: the entry of another manager.
        whole: whether its whole spec becomes ours, not only selectors.
    """
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
