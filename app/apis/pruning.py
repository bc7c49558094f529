"""Prunes an object as the API server does, for objects that come from elsewhere.

The API server removes null fields and unknown fields, except inside ``config``, and writes numbers
as Go does. The command line does the same, so it checks and renders what the controller will read.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.apis.crd import model_booster_schema
from app.values.meta import Object

_FREE: Object = {"x-kubernetes-preserve-unknown-fields": True}
_UNKNOWN: Object = {}
_METADATA: Object = {"type": "object", "additionalProperties": _FREE}
"""Metadata has its own schema, so only its null fields are removed."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned object.

    Args:
        object: a copy without null and unknown fields.
        unknown: sorted paths of the unknown fields, as the API server writes them.
    """

    object: Object
    unknown: tuple[str, ...]


def pruned(obj: Object) -> Pruned:
    """Returns a ModelBooster as the API server would store it, and its unknown fields.

    Values of a wrong type stay, so that validation reports them; all fields inside them count as
    unknown. Null items of lists stay too. The depth of nesting is not limited.
    """
    schema = model_booster_schema()
    root = {**schema, "properties": {**schema["properties"], "metadata": _METADATA}}
    unknown: list[str] = []
    result: list[Any] = [None]
    todo: list[tuple[Any, Object, str, Any, Any]] = [(obj, root, "", result, 0)]
    while todo:
        value, schema, path, into, place = todo.pop()
        if isinstance(value, dict):
            fields: Object = {}
            into[place] = fields
            for name, inner in value.items():
                below = _field(schema, name)
                at = f"{path}.{name}"
                if below is _UNKNOWN:
                    unknown.append(at.removeprefix("."))
                elif inner is not None or schema is _FREE:
                    fields[name] = None  # keeps the order of the fields
                    todo.append((inner, below, at, fields, name))
        elif isinstance(value, list):
            into[place] = items = [None] * len(value)
            below = schema if schema is _FREE else schema.get("items", _UNKNOWN)
            todo += [
                (inner, below, f"{path}[{position}]", items, position)
                for position, inner in enumerate(value)
            ]
        else:
            into[place] = _number(value) if isinstance(value, int | float) else value
    return Pruned(result[0], tuple(sorted(unknown)))


def _field(schema: Object, name: Any) -> Object:
    """Returns the schema of a field; ``_UNKNOWN`` if there is none."""
    if schema is _FREE:
        return _FREE
    below: Object | None = schema.get("properties", {}).get(name)
    if below is None:
        below = schema.get("additionalProperties")
    if below is None:
        return _UNKNOWN
    return _FREE if "x-kubernetes-preserve-unknown-fields" in below else below


def _number(value: float) -> float:
    """Returns a number as Go writes it: 64-bit integers, and whole floats without a point."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if -(2**63) <= value < 2**63 or abs(value) > 10**300:
            return value
        value = float(value)
    # Go writes the shortest digits of a float, not its exact value, with an exponent from 1e21.
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < 1e21 else value
