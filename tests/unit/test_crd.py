"""The CRD as a value: what a structural schema may hold, and what ours must."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from app.apis.cel import CEL_RULES
from app.apis.crd import model_booster_crd, model_booster_schema, structural
from app.apis.schema import Fields
from app.values.meta import Object
from modelbooster.cli.files.crd import chart_template

LITERAL = re.compile(r'"[^"]*"')
"""A message in an expression."""

CLIENT_SIDE_APPLY_BYTES = 262_144
"""Annotations of an object have no more room, and client-side apply puts the object into one."""

SAYABLE = {
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}


def nodes(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Yields every schema in a schema, with its path as the server writes paths."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from nodes(schema[key], f"{path}{suffix}")


ALL = dict(nodes(model_booster_schema()))


def test_schema_is_structural() -> None:
    for path, schema in ALL.items():
        assert schema.keys() <= SAYABLE, path
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), path


def test_every_list_says_how_it_is_merged() -> None:
    kinds = {
        path.rpartition(".")[2]: schema.get("x-kubernetes-list-type")
        for path, schema in ALL.items()
        if schema.get("type") == "array"
    }
    assert kinds["metrics"] is None  # upstream's, which client-side and server-side replace whole
    assert {name for name, kind in kinds.items() if kind == "map"} == {
        "backends",
        "env",
        "claims",
        "conditions",
        "backendStatuses",
    }
    assert all(kind == "atomic" for name, kind in kinds.items() if name in {"workers", "envFrom"})


def test_keys_of_list_maps_are_required() -> None:
    for path, schema in ALL.items():
        keys = schema.get("x-kubernetes-list-map-keys", ())
        assert set(keys) <= set(schema["items"]["required"] if keys else ()), path


def test_only_status_has_a_default() -> None:
    assert {path: s["default"] for path, s in ALL.items() if "default" in s} == {
        ".status": {"observedGeneration": -1},
        ".status.modelName": "",
    }


def test_nothing_is_required_at_the_root() -> None:
    assert "required" not in ALL[""]


def test_of_metadata_only_the_name_is_constrained() -> None:
    name = dict(ALL[".metadata.name"])
    del name["description"]
    assert ALL[".metadata"].keys() == {"type", "properties"}
    assert ALL[".metadata"]["properties"].keys() == {"name"}
    assert name == {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (
            ".spec.name",
            {"maxLength": 253, "pattern": "^[a-zA-Z0-9]([-a-zA-Z0-9._/:]*[a-zA-Z0-9])?$"},
        ),
        (".spec.backends", {"minItems": 1, "maxItems": 16, "x-kubernetes-list-map-keys": ["name"]}),
        (".spec.backends[]", {"required": ["name", "type", "modelURI", "workers"]}),
        (".spec.backend", {"required": ["name", "type", "modelURI", "workers"]}),
        (".spec.backend.name", {"maxLength": 63}),
        (".spec.backend.modelURI", {"pattern": "^(hf://|s3://|obs://|pvc://|ms://).+"}),
        (".spec.backend.cacheURI", {"pattern": "^(hostpath://|pvc://).+"}),
        (".spec.backend.minReplicas", {"format": "int32", "minimum": 0, "maximum": 1000000}),
        (".spec.backend.maxReplicas", {"format": "int32", "minimum": 1, "maximum": 1000000}),
        (".spec.backend.replicas", {"format": "int32", "minimum": 0, "maximum": 1000000}),
        (".spec.backend.scalingCost", {"format": "int32", "minimum": 0, "maximum": 2147483647}),
        (".spec.backend.routeWeight", {"minimum": 0, "maximum": 100}),
        (".spec.backend.scaleToZeroGracePeriod", {"type": "string", "maxLength": 64}),
        (".spec.backend.gangScheduling", {"type": "boolean"}),
        (".spec.backend.loraAdapters", {"maxItems": 10, "x-kubernetes-list-type": "atomic"}),
        (".spec.backend.loraAdapters[].name", {"maxLength": 253}),
        (".spec.backend.workers", {"minItems": 1, "maxItems": 1000}),
        (".spec.backend.workers[].config", {"x-kubernetes-preserve-unknown-fields": True}),
        (".spec.backend.workers[].tolerations[].tolerationSeconds", {"format": "int64"}),
        (".spec.autoscalingPolicy", {"required": ["metrics"]}),
        (".spec.autoscalingPolicy.metrics", {"minItems": 1, "maxItems": 32}),
        (
            ".spec.autoscalingPolicy.metrics[].targetValue",
            {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
            },
        ),
        (".spec.backend.env[].valueFrom.fileKeyRef", {"required": ["key", "path", "volumeName"]}),
        (".spec.backend.env[].valueFrom.secretKeyRef", {"x-kubernetes-map-type": "atomic"}),
        (".spec.costExpansionRatePercent", {"minimum": 0, "maximum": 1000}),
        (".status.observedGeneration", {"format": "int64"}),
        (".status.conditions", {"x-kubernetes-list-map-keys": ["type"]}),
        (".status.conditions[].lastTransitionTime", {"format": "date-time"}),
        (".status.backendStatuses[]", {"required": ["name", "replicas"]}),
    ],
)
def test_constraints(path: str, want: Object) -> None:
    assert {key: ALL[path].get(key) for key in want} == want


@pytest.mark.parametrize("path", [".spec.autoscalingPolicy.behavior.scaleUp.panicPolicy"])
def test_nothing_below_behavior_is_required(path: str) -> None:
    assert "required" not in ALL[path]


def test_rules_stand_where_they_belong_and_nowhere_else() -> None:
    places: dict[str, list[str]] = {}
    for path, schema in ALL.items():
        for entry in schema.get("x-kubernetes-validations", ()):
            cases = json.loads(
                f"[{', '.join(LITERAL.findall(entry.get('messageExpression', '')))}]"
            )
            for message in cases or [entry["message"]]:
                places.setdefault(message, []).append(path)
    backends = [".spec.backends[]", ".spec.backend"]
    wanted = {
        "ModelBooster": [""],
        "Spec": [".spec"],
        "Backend": backends,
        "AutoscalingPolicySpec": [f"{path}.autoscalingPolicy" for path in (*backends, ".spec")],
        "Backend.scaleToZeroGracePeriod": [f"{path}.scaleToZeroGracePeriod" for path in backends],
    }
    assert places == {rule.message: wanted[rule.at] for rule in CEL_RULES}
    assert len(CEL_RULES) == 14


def test_a_backend_has_four_entries() -> None:
    # Each costs the API server a call, and a copy of all property schemas for each field it reads.
    entries = ALL[".spec.backend"]["x-kubernetes-validations"]
    fields = [entry.get("fieldPath") for entry in entries]
    assert fields == [None, ".minReplicas", ".workers", ".loraAdapters"]
    [by_type] = [entry for entry in entries if "messageExpression" in entry]
    assert "message" not in by_type
    assert by_type["rule"].startswith("self.type in ['vLLM','SGLang','MindIE'] ? ")
    assert by_type["rule"].endswith(" : true")


def test_a_spec_is_asked_for_only_where_there_was_one() -> None:
    [rule] = ALL[""]["x-kubernetes-validations"]
    assert rule == {
        "rule": "has(self.spec) || (oldSelf.hasValue() && !has(oldSelf.value().spec))",
        "message": "a ModelBooster needs a spec",
        "fieldPath": ".spec",
        "reason": "FieldValueRequired",
        "optionalOldSelf": True,
    }


def test_every_field_is_described() -> None:
    # An item is described by its type, a list or map by its field; metadata must not be.
    silent = [
        path
        for path, schema in ALL.items()
        if not schema.get("description") and not path.endswith(("[]", "{}")) and path != ".metadata"
    ]
    assert silent == []


def test_names_and_columns() -> None:
    crd = model_booster_crd()
    [version] = crd["spec"]["versions"]
    columns = [
        (c["name"], c["jsonPath"], c.get("priority", 0))
        for c in version["additionalPrinterColumns"]
    ]
    assert crd["metadata"]["name"] == "modelboosters.workload.serving.volcano.sh"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"] == {
        "kind": "ModelBooster",
        "listKind": "ModelBoosterList",
        "plural": "modelboosters",
        "singular": "modelbooster",
        "shortNames": ["mb"],
        "categories": ["kthena"],
    }
    assert version["subresources"] == {"status": {}}
    assert columns == [
        ("Active", ".status.conditions[?(@.type=='Active')].status", 0),
        ("Reason", ".status.conditions[?(@.type=='Active')].reason", 0),
        ("Failed", ".status.conditions[?(@.type=='Failed')].status", 0),
        ("Traffic", ".status.traffic", 0),
        ("Initialized", ".status.conditions[?(@.type=='Initialized')].status", 1),
        ("Setup", ".status.conditions[?(@.type=='Initialized')].reason", 1),
        ("Model", ".status.modelName", 1),
        ("Age", ".metadata.creationTimestamp", 0),
    ]


def test_client_side_apply_has_room_for_it() -> None:
    assert len(json.dumps(model_booster_crd())) < CLIENT_SIDE_APPLY_BYTES


def test_no_list_stands_in_it_twice() -> None:
    # Else its YAML has anchors.
    text = yaml.dump(model_booster_crd(), Dumper=yaml.CSafeDumper)
    assert "&id" not in text


def test_chart_template_is_switched_by_values() -> None:
    document = yaml.dump(model_booster_crd(), Dumper=yaml.CSafeDumper, sort_keys=False)
    lines = chart_template(document).splitlines()
    switches = [line for line in lines if "{{" in line]
    assert switches == [
        '{{- /* Generated from app/apis by "make generate"; do not edit. */ -}}',
        "{{- if .Values.crds.install }}",
        "  {{- if .Values.crds.keep }}",
        "  {{- end }}",
        '  labels: {{- include "model-booster.labels" (list . "") | nindent 4 }}',
        "{{- end }}",
    ]
    kept = "\n".join(line for line in lines if "{{" not in line)
    annotations = {"helm.sh/resource-policy": "keep"}
    crd = model_booster_crd()
    assert yaml.load(kept, Loader=yaml.CSafeLoader) == {
        **crd,
        "metadata": {**crd["metadata"], "annotations": annotations},
    }


def test_chart_template_escapes_what_helm_would_run() -> None:
    text = chart_template("metadata:\n  name: x\ndescription: see {{ .Values }}\n")
    assert 'description: see {{ "{{" }} .Values }}\n' in text


class _Tuple(Fields):
    pair: tuple[int, str]


class _Choice(Fields):
    choice: int | list[str]


class _Free(Fields):
    free: dict[str, Any]


class _Exclusive(Fields):
    above: Annotated[int, Field(gt=0)]


@pytest.mark.parametrize("model", [_Tuple, _Choice, _Free, _Exclusive])
def test_what_no_structural_schema_says_is_no_silent_loss(model: type[Fields]) -> None:
    with pytest.raises(ValueError, match=r"no structural schema says|FREE_FORM"):
        structural(model)
