"""Finds faults of rules in an object that does not match the schema.

Rules read the types, and an object with a wrong type has none. So the faulty values are replaced by
valid ones, in two different ways. A fault that both objects have does not depend on these values.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from app.apis.crd import model_booster_schema
from app.values.fields import Cause, FieldError
from app.values.meta import Object

MAX_REPLACED = 20
"""Most values to replace; an object with more faults is shown with those of the schema only."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_SAMPLES = ("hf://owner/name", "pvc://claim/folder", "hostpath:///mnt/models", "1", "example")
"""Sample values: each pattern of the schema matches at least one of them."""

_REPLACED = frozenset(
    {Cause.INVALID, Cause.NOT_SUPPORTED, Cause.TYPE_INVALID, Cause.REQUIRED, Cause.TOO_LONG}
)

Check = Callable[[Object], tuple[FieldError, ...]]
"""Returns the faults of the rules; raises ValidationError if the schema rejects an object."""


def faults_beside(
    obj: Object, schema_faults: tuple[FieldError, ...], check: Check
) -> list[FieldError]:
    """Returns the faults of rules that do not depend on the values that the schema rejects.

    Args:
        obj: the object.
        schema_faults: what the schema rejects.
        check: checks an object that matches the schema.
    """
    if not 0 < len(schema_faults) <= MAX_REPLACED:
        return []
    try:
        first, second = (check(_repaired(obj, schema_faults, last=last)) for last in (False, True))
    except (ValidationError, _NotRepairable, RecursionError):
        return []
    bad = [str(fault.path) for fault in schema_faults]
    return [
        fault
        for fault in first
        if fault in second and not any(str(fault.path).startswith(path) for path in bad)
    ]


class _NotRepairable(ValueError):
    """There is no valid value for a place, or the place is not found."""


def _repaired(obj: Object, faults: tuple[FieldError, ...], *, last: bool) -> Object:
    """Returns a copy with valid values; optional ones are left out, or set to another one."""
    result = copy.deepcopy(obj)
    for fault in faults:
        if fault.cause not in _REPLACED:
            raise _NotRepairable
        steps: list[str | int] = [
            int(position) if position else name for name, position in _STEP.findall(str(fault.path))
        ]
        _repair(result, steps, last=last)
    return result


def _repair(obj: Object, steps: list[str | int], *, last: bool) -> None:
    value: Any = obj
    into: Any
    schema: Object = model_booster_schema()
    is_required = True
    for depth, step in enumerate(steps):
        is_required = isinstance(step, int) or step in schema.get("required", ())
        schema = _below(schema, step)
        if depth < len(steps) - 1:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                raise _NotRepairable from None
    place: Any = steps[-1] if steps else 0
    into = value
    if not steps or type(into) is not (list if type(place) is int else dict):
        raise _NotRepairable
    if is_required or last:
        into[place] = _sample(schema, last=last)
    elif isinstance(into, dict):
        into.pop(place, None)  # it may be the missing field itself
    else:
        raise _NotRepairable


def _below(schema: Object, step: str | int) -> Object:
    found = (
        schema.get("items")
        if isinstance(step, int)
        else schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    )
    if not isinstance(found, dict):
        raise _NotRepairable
    return found


def _sample(schema: Object, *, last: bool) -> Any:
    """Returns a valid value of a schema, for a list of choices the first or the last."""
    if "enum" in schema:
        return schema["enum"][-1 if last else 0]
    if "anyOf" in schema:
        return "1"
    match schema.get("type"):
        case "string":
            return _text(schema)
        case "integer" | "number":
            return schema.get("minimum", 0) + last
        case "boolean":
            return last
        case "array" if not schema.get("minItems"):
            return []
        case "object" if not schema.get("required"):
            return {}
    raise _NotRepairable


def _text(schema: Object) -> str:
    pattern = re.compile(schema.get("pattern", ""), re.ASCII)
    for sample in _SAMPLES:
        if pattern.search(sample) and len(sample) <= schema.get("maxLength", len(sample)):
            return sample
    raise _NotRepairable
