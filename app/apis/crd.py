"""The CustomResourceDefinition, made from the types.

What pydantic emits and what the API server takes as a structural schema differ. ``structural``
turns the one into the other and raises where it cannot, so that no type silently loses a
constraint. What pydantic cannot know stands here: names, columns, places of the CEL rules. The
schema has no defaults in ``spec``: what the server stores shows in every later diff.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from app.apis.cel import rules_at
from app.apis.kinds import MODEL_BOOSTER
from app.apis.modelbooster import ModelBooster
from app.apis.schema import Fields
from app.values.meta import Object

NAME = str(MODEL_BOOSTER)

COLUMNS: tuple[Object, ...] = (
    {
        "name": "Active",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Active')].status",
        "description": "Whether every backend is ready.",
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Active')].reason",
        "description": "Why it is active, or why not.",
    },
    {
        "name": "Failed",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Failed')].status",
        "description": "Whether something is wrong that waiting will not mend.",
    },
    {
        "name": "Initialized",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Initialized')].status",
        "description": "Whether all that serves it has been made.",
        "priority": 1,
    },
    {
        "name": "Model",
        "type": "string",
        "jsonPath": ".status.modelName",
        "description": "What clients ask for as model.",
        "priority": 1,
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
"""What ``kubectl get mb`` shows; those of priority 1 only with ``-o wide``."""

NEVER_ACTED_ON: Object = {"observedGeneration": -1}
"""The status of a new object: without it, tools that wait take a new object for a finished one."""

NO_NAME_YET = ""
"""Default of ``status.modelName``. No CRD of kthena has this field, so an object that was read with
our CRD has it and one that was read with kthena's has not; see ``app.apis.definition``."""

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
    """Returns the CustomResourceDefinition. One object for all callers: do not change it."""
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
    """Returns the structural schema of a ModelBooster. Do not change it."""
    schema = structural(ModelBooster)
    del schema["required"]  # metadata, which the server always has; a spec is R12's
    properties = schema["properties"]
    # Of metadata a schema may constrain the name and nothing else, not even describe it.
    name = properties["metadata"]["properties"]["name"]
    properties["metadata"] = {"type": "object", "properties": {"name": name}}
    properties["status"]["default"] = NEVER_ACTED_ON
    properties["status"]["properties"]["modelName"]["default"] = NO_NAME_YET
    return schema


def chart_template(document: str) -> str:
    """Returns the CRD as a template of the chart, behind the values crds.install and crds.keep.

    Args:
        document: the CRD as YAML, its keys in the order of ``model_booster_crd``.
    """
    text = document.replace("{{", '{{ "{{" }}')
    head, _, rest = text.partition("metadata:\n")
    return (
        '{{- /* Generated from app/apis by "make generate"; do not edit. */ -}}\n'
        "{{- if .Values.crds.install }}\n"
        f"{head}metadata:\n"
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
        '  labels: {{- include "model-booster.labels" (list . "") | nindent 4 }}\n'
        f"{rest}"
        "{{- end }}\n"
    )


def structural(model: type[Fields]) -> Object:
    """Returns the structural schema of a type, with the CEL rules that stand on it and below it.

    Raises:
        ValueError: it uses something that no structural schema can say.
    """
    emitted = model.model_json_schema(by_alias=True)
    return _structural(emitted, emitted.get("$defs", {}), model.__name__)


def _structural(node: Object, types: Object, place: str = "") -> Object:
    """Returns a part of a JSON schema as the API server wants it.

    Args:
        node: what pydantic emitted.
        types: the types that it refers to by name.
        place: the name of the type or field that ``node`` describes, for the CEL rules.
    """
    node, place = _resolved(node, types, place)
    if "anyOf" in node:
        return _int_or_string(node)
    schema = {key: _copy(node[key]) for key in _KEPT if key in node}
    low, high = _NATURAL_BOUNDS.get(node.get("format", ""), (None, None))
    for key, bound in (("minimum", low), ("maximum", high)):
        # The server's numbers have no more bits.
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
    if lost := {key for key in node if key not in known and not key.startswith("x-kubernetes-")}:
        raise ValueError(f"{place}: no structural schema says {', '.join(sorted(lost))}")
    return schema


def _resolved(node: Object, types: Object, place: str) -> tuple[Object, str]:
    """Puts the type in place of its name, and "may be absent" in place of "may be null"."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            rest = {key: value for key, value in node.items() if key != "$ref"}
            # What a field says about itself beats what its type says about itself.
            node, place = {**types[name], **rest}, name
            continue
        branches = [b for b in node.get("anyOf", ()) if b.get("type") != "null"]
        if len(branches) != 1:
            return node, place
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        node = {**branches[0], **rest}


def _int_or_string(node: Object) -> Object:
    """Returns the schema of a quantity, the only choice between types that we have."""
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
    # One list in two places would be written as a YAML anchor, which nobody likes to read.
    return list(value) if isinstance(value, list) else value
