"""Finds the schema faults of an object, as the API server reports them.

pydantic decides whether an object is valid, but reports only the first fault of each value, in its
own words. For invalid objects, this module checks the schema of the CRD and finds every fault.
Tests compare both with a real API server.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import ValidationError

from app.apis.crd import model_booster_schema
from app.values.fields import (
    Cause,
    FieldError,
    Path,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from app.values.meta import Object
from app.values.names import subdomain_faults


def schema_faults(obj: Object, refusal: ValidationError | None = None) -> list[FieldError]:
    """Returns every fault that the schema check of the API server finds in a ModelBooster.

    It does not check CEL rules (``app.apis.cel``), nor metadata except for the name.

    Args:
        obj: the object as the server stores it (``app.apis.pruning``): a null field is a fault.
        refusal: the error of pydantic. Its faults are returned if the schema check finds none, so
            an invalid object always has a fault.
    """
    found = [*_name_faults(obj), *_faults(obj, model_booster_schema(), Path())]
    if not found and refusal is not None:
        found = list(_refusals(refusal))
    return found


def _refusals(refusal: ValidationError) -> Iterator[FieldError]:
    for detail in refusal.errors(include_url=False, include_context=False, include_input=False):
        path = Path()
        for step in detail["loc"]:
            path = path.index(step) if isinstance(step, int) else path.child(step)
        yield FieldError(path, Cause.INVALID, f"Invalid value: {detail['msg']}")


def _name_faults(obj: Object) -> Iterator[FieldError]:
    """Yields the faults of the name, which the API server checks for every kind."""
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        return
    path = Path("metadata.name")
    for fault in subdomain_faults(name):
        yield invalid(path, name, fault)


def _faults(value: Any, schema: Object, path: Path) -> Iterator[FieldError]:
    kind = _kind(value)
    wanted = ("integer", "string") if "anyOf" in schema else (schema["type"],)
    if kind not in wanted:
        detail = f'{path} in body must be of type {",".join(wanted)}: "{kind}"'
        yield FieldError(path, Cause.TYPE_INVALID, f'Invalid value: "{kind}": {detail}')
    if "enum" in schema and value not in schema["enum"]:
        yield not_supported(path, value, schema["enum"])
    if kind == "string":
        yield from _string_faults(value, schema, path)
    elif kind in ("integer", "number"):
        yield from _number_faults(value, schema, path, as_float=kind == "number")
    elif kind == "array":
        yield from _list_faults(value, schema, path)
    elif kind == "object":
        yield from _object_faults(value, schema, path)


def _string_faults(value: str, schema: Object, path: Path) -> Iterator[FieldError]:
    """Yields at most one fault: the API server checks the pattern only if the length is valid."""
    if len(value) > schema.get("maxLength", len(value)):
        yield too_long(path, schema["maxLength"])
    elif len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        yield invalid(path, value, f"{path} in body should be at least {least} chars long")
    elif "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        yield invalid(path, value, f"{path} in body should match '{schema['pattern']}'")


def _number_faults(
    value: float, schema: Object, path: Path, *, as_float: bool
) -> Iterator[FieldError]:
    said = _go_float if as_float else str
    for bound, held, words in (
        (schema.get("minimum"), operator.ge, "greater than or equal to"),
        (schema.get("maximum"), operator.le, "less than or equal to"),
    ):
        if bound is not None and not held(value, bound):
            text = f"Invalid value: {said(value)}: {path} in body should be {words} {said(bound)}"
            yield FieldError(path, Cause.INVALID, text)


def _list_faults(value: list[Any], schema: Object, path: Path) -> Iterator[FieldError]:
    if len(value) < schema.get("minItems", 0):
        yield invalid(
            path, len(value), f"{path} in body should have at least {schema['minItems']} items"
        )
    if len(value) > schema.get("maxItems", len(value)):
        yield too_many(path, len(value), schema["maxItems"])
    for position, item in enumerate(value if "items" in schema else ()):
        yield from _faults(item, schema["items"], path.index(position))
    if schema.get("x-kubernetes-list-type") == "map":
        yield from _key_faults(value, schema["x-kubernetes-list-map-keys"], path)


def _key_faults(items: list[Any], keys: list[str], path: Path) -> Iterator[FieldError]:
    """Yields one fault for each set of keys that more than one item has."""
    for position, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            detail = "must be an object for an array of list-type map"
            yield invalid(path.index(position), item, detail)
            return
    seen: dict[str, int] = {}
    for position, item in enumerate(items):
        if item is None:
            continue
        found = {key: item[key] for key in keys if key in item}
        try:
            text = json.dumps(found, sort_keys=True, default=str)
        except RecursionError:
            continue  # not a valid key; the item has another fault
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield duplicate(path.index(position), found)


def _object_faults(value: Object, schema: Object, path: Path) -> Iterator[FieldError]:
    for name in schema.get("required", ()):
        if name not in value:
            yield required(path.child(name))
    fields = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, inner in value.items():
        below = fields.get(name, others)
        if below is not None:
            yield from _faults(inner, below, path.child(str(name)))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    # In Python, "$" also matches before a trailing newline; in the schema, only at the end.
    return re.compile(text.removesuffix("$") + r"\Z" if text.endswith("$") else text, re.ASCII)


def _kind(value: Any) -> str:
    """Returns the JSON type of a value, as the API server names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _go_float(value: float) -> str:
    """Returns a number as Go's ``%v`` prints a float: ``1e+06`` for a million."""
    digits = Decimal(repr(float(value))).normalize()
    if -4 <= digits.adjusted() < 6:
        return f"{digits:f}"
    mantissa, _, exponent = f"{digits:e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"
