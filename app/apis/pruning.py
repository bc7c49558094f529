"""Prunes an object as the API server does, for objects that come from elsewhere.

The API server removes null fields and unknown fields, except inside ``config``, and writes numbers
as Go does. The command line does the same, so it checks and renders what the controller will read.
Which fields there are comes from the validator that pydantic built, because the schema of the
CustomResourceDefinition takes much longer to make, and most commands do not print it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from app.apis.modelbooster import ModelBooster
from app.values.meta import Object
from app.values.value import value

FREE_FORM: Object = {"x-kubernetes-preserve-unknown-fields": True}
"""The node of an object that may hold anything."""

_UNKNOWN: Object = {}
_METADATA: Object = {"additionalProperties": FREE_FORM}
"""Metadata has its own schema, so only its null fields are removed."""


@value
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
    schema = model_booster_fields()
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
                elif inner is not None or schema is FREE_FORM:
                    fields[name] = None  # keeps the order of the fields
                    todo.append((inner, below, at, fields, name))
        elif isinstance(value, list):
            into[place] = items = [None] * len(value)
            below = schema if schema is FREE_FORM else schema.get("items", _UNKNOWN)
            todo += [
                (inner, below, f"{path}[{position}]", items, position)
                for position, inner in enumerate(value)
            ]
        else:
            into[place] = _number(value) if isinstance(value, int | float) else value
    return Pruned(result[0], tuple(sorted(unknown)))


def _field(schema: Object, name: Any) -> Object:
    """Returns the schema of a field; ``_UNKNOWN`` if there is none."""
    if schema is FREE_FORM:
        return FREE_FORM
    below: Object | None = schema.get("properties", {}).get(name)
    if below is None:
        below = schema.get("additionalProperties")
    return _UNKNOWN if below is None else below


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


@cache
def model_booster_fields() -> Object:
    """Returns the fields of a ModelBooster as the nodes of a structural schema.

    A node has ``properties``, ``additionalProperties`` or ``items``; that of a plain value is
    empty. The result is cached: do not change it.
    """
    core: Any = ModelBooster.__pydantic_core_schema__
    types = {part["ref"]: part for part in core.get("definitions", ())}
    return _node(core, types)


def _node(core: Any, types: dict[str, Any]) -> Object:
    """Returns the node of a part of pydantic's core schema.

    Args:
        core: the part.
        types: the parts that others refer to.
    """
    match core["type"]:
        case "model-fields" | "typed-dict":
            fields = core["fields"].items()
            named = {field.get("validation_alias", name): field for name, field in fields}
            return {
                "properties": {name: _node(field["schema"], types) for name, field in named.items()}
            }
        case "list":
            return {"items": _node(core["items_schema"], types)}
        case "dict" if core["values_schema"]["type"] == "any":
            return FREE_FORM
        case "dict":
            return {"additionalProperties": _node(core["values_schema"], types)}
        case "definition-ref":
            return _node(types[core["schema_ref"]], types)
    return _node(core["schema"], types) if "schema" in core else {}
