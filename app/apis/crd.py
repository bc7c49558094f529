"""Generates the CustomResourceDefinition from the types.

The API server needs a structural schema, which differs from the schema that pydantic emits.
``structural`` converts one to the other. It raises if it cannot, so no type loses a constraint
silently. This module also defines what pydantic does not know: names, columns and CEL rules. The
schema has no defaults in ``spec``, because stored defaults show in every later diff.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from app.apis.cel import rules_at
from app.apis.definition import NAME
from app.apis.kinds import MODEL_BOOSTER
from app.apis.modelbooster import ModelBooster
from app.apis.schema import Fields
from app.apis.status import COLUMNS
from app.values.meta import Object

NEVER_ACTED_ON: Object = {"observedGeneration": -1}
"""Default of ``status``. Without it, tools that wait would treat a new object as reconciled."""

NO_NAME_YET = ""
"""Default of ``status.modelName``. No CRD of kthena has this field, so only objects read with our
CRD have it; see ``app.apis.definition``."""

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)
_DROPPED = {"title", "default"}
_NATURAL_BOUNDS = {"int64": (-(2**63), 2**63 - 1)}


@cache
def model_booster_crd() -> Object:
    """Returns the CustomResourceDefinition. It is cached: do not change it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": MODEL_BOOSTER.group,
            "names": {
                "kind": MODEL_BOOSTER.kind,
                "listKind": f"{MODEL_BOOSTER.kind}List",
                "plural": MODEL_BOOSTER.plural,
                "singular": MODEL_BOOSTER.kind.lower(),
                "shortNames": ["mb"],
                "categories": ["kthena"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": MODEL_BOOSTER.version,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": list(COLUMNS),
                    "schema": {"openAPIV3Schema": model_booster_schema()},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


@cache
def model_booster_schema() -> Object:
    """Returns the structural schema of a ModelBooster. It is cached: do not change it."""
    schema = structural(ModelBooster)
    del schema["required"]  # metadata is always present, and R12 requires spec
    properties = schema["properties"]
    # A schema may only constrain the name in metadata, and may not describe the field.
    name = properties["metadata"]["properties"]["name"]
    properties["metadata"] = {"type": "object", "properties": {"name": name}}
    properties["status"]["default"] = NEVER_ACTED_ON
    properties["status"]["properties"]["modelName"]["default"] = NO_NAME_YET
    return schema


def structural(model: type[Fields]) -> Object:
    """Returns the structural schema of a type, with the CEL rules of the type and its fields.

    Raises:
        ValueError: a structural schema cannot express the type.
    """
    emitted = model.model_json_schema(schema_generator=_WithDescriptions)
    return _structural(emitted, emitted.get("$defs", {}), model.__name__)


def _structural(node: Object, types: Object, place: str = "") -> Object:
    """Returns a part of a JSON schema as a structural schema.

    Args:
        node: the part of the schema that pydantic emitted.
        types: the referenced types by name.
        place: the type or field that ``node`` describes, to find its CEL rules.
    """
    node, place = _resolved(node, types, place)
    if "anyOf" in node:
        return _int_or_string(node)
    schema = {key: _copy(node[key]) for key in _KEPT if key in node}
    low, high = _NATURAL_BOUNDS.get(node.get("format", ""), (None, None))
    for key, bound in (("minimum", low), ("maximum", high)):
        # The API server's integers have 64 bits anyway.
        if key in schema and schema[key] == bound:
            del schema[key]
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "required" in node:
        schema["required"] = _copy(node["required"])
    if "properties" in node:
        schema["properties"] = {
            name: _structural(field, types, f"{place}.{name}")
            for name, field in node["properties"].items()
        }
    values = node.get("additionalProperties")
    if isinstance(values, dict):
        schema["additionalProperties"] = _structural(values, types)
    elif values is not None and "x-kubernetes-preserve-unknown-fields" not in node:
        raise ValueError(f"{place}: free-form objects need the mark FREE_FORM")
    if "items" in node:
        schema["items"] = _structural(node["items"], types)
    schema |= _marks(node)
    if rules := rules_at(place):
        schema["x-kubernetes-validations"] = rules
    known = {*_KEPT, *_DROPPED, "required", "properties", "additionalProperties", "items", "$defs"}
    if unsupported := {
        key for key in node if key not in known and not key.startswith("x-kubernetes-")
    }:
        raise ValueError(f"{place}: no structural schema says {', '.join(sorted(unsupported))}")
    return schema


def _resolved(node: Object, types: Object, place: str) -> tuple[Object, str]:
    """Replaces references by their types, and removes null from the alternatives."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            rest = {key: value for key, value in node.items() if key != "$ref"}
            # The description of a field overrides that of its type.
            node, place = {**types[name], **rest}, name
            continue
        branches = [b for b in node.get("anyOf", ()) if b.get("type") != "null"]
        if len(branches) != 1:
            return node, place
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        node = {**branches[0], **rest}


def _int_or_string(node: Object) -> Object:
    """Returns the schema of a quantity, the only type with alternatives."""
    branches = [b for b in node["anyOf"] if b["type"] != "null"]
    if [b.get("type") for b in branches] != ["integer", "string"]:
        raise ValueError(f"no structural schema says {node['anyOf']}")
    described = {"description": node["description"]} if "description" in node else {}
    return {
        **described,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": branches[1]["pattern"],
        "x-kubernetes-int-or-string": True,
    }


def _marks(node: Object) -> dict[str, Any]:
    return {key: _copy(value) for key, value in node.items() if key.startswith("x-kubernetes-")}


def _copy(value: Any) -> Any:
    # A shared list would become an anchor in YAML.
    return list(value) if isinstance(value, list) else value


class _WithDescriptions(GenerateJsonSchema):
    """Adds the docstrings of fields as descriptions.

    Pydantic can read them when it creates a class (``use_attribute_docstrings``). That takes longer
    than the rest of the start of the program, and only the definition shows them.
    """

    def model_schema(self, schema: Any) -> Object:
        cls: type[BaseModel] = schema["cls"]
        names = {name: field.alias or name for name, field in cls.model_fields.items()}
        return _described(super().model_schema(schema), cls, names)

    def typed_dict_schema(self, schema: Any) -> Object:
        return _described(super().typed_dict_schema(schema), schema["cls"], {})


def _described(schema: Object, cls: type, names: dict[str, str]) -> Object:
    """Adds the descriptions of a class's fields to its schema."""
    for field, text in _descriptions(cls).items():
        schema["properties"][names.get(field, field)]["description"] = text
    return schema


def _descriptions(cls: type) -> dict[str, str]:
    """Returns the docstring of each field of a class that has one, by the field's name."""
    body = _classes(cls.__module__)[cls.__name__].body
    found = {}
    for field, text in pairwise(body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                found[name] = inspect.cleandoc(words)
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Returns the class statements of a module, by the names of the classes."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
