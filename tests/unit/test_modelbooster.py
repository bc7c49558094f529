"""What the types take and refuse, and how a refusal is worded.

The words are those of kube-apiserver 1.34; tests/component/test_crd_server.py asks a real one for
them, on generated objects.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.apis.faults import schema_faults
from app.apis.modelbooster import ModelBooster
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker

QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
SOURCE = "^(hf://|s3://|obs://|pvc://|ms://).+"
NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
MODEL_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
TYPES = (
    '"vLLM", "vLLMDisaggregated", "SGLang", "SGLangDisaggregated", "MindIE", "MindIEDisaggregated"'
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)

TYPE, INVALID, REQUIRED = "FieldValueTypeInvalid", "FieldValueInvalid", "FieldValueRequired"
TOO_LONG, TOO_MANY = "FieldValueTooLong", "FieldValueTooMany"
NOT_SUPPORTED, DUPLICATE = "FieldValueNotSupported", "FieldValueDuplicate"


def judged(obj: Object) -> list[tuple[str, str, str]]:
    """Returns what is said of an object, having made sure that the types are of the same mind."""
    faults = [(str(f.path), str(f.cause), f.message) for f in schema_faults(obj)]
    if faults:
        with pytest.raises(ValidationError):
            ModelBooster.model_validate(obj)
    else:
        ModelBooster.model_validate(obj)
    return faults


def typed(path: str, given: str, wanted: str) -> str:
    return f'Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"'


def bounded(path: str, value: str, bound: str) -> str:
    return f"Invalid value: {value}: {path} in body should be {bound}"


def of(**fields: Any) -> Object:
    return booster_object("m", backend=backend(**fields))


def with_worker(**fields: Any) -> Object:
    return of(workers=[worker(**fields)])


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(booster_object("m"), id="least"),
        pytest.param(booster_object("a" * 63), id="longest name"),
        pytest.param(booster_object("m", name="a" * 253), id="longest name for clients"),
        pytest.param(booster_object("m", *[backend(f"b{i}") for i in range(16)]), id="16 backends"),
        pytest.param(of(loraAdapters=[lora(f"l{i}") for i in range(10)]), id="10 adapters"),
        pytest.param(of(loraAdapters=[lora("l" * 253)]), id="longest adapter name"),
        pytest.param(of(minReplicas=0, maxReplicas=1_000_000), id="bounds at their bounds"),
        pytest.param(of(replicas=0), id="no replicas"),
        pytest.param(of(scalingCost=2**31 - 1, routeWeight=0), id="large cost, no weight"),
        pytest.param(of(scaleToZeroGracePeriod="é" * 64), id="lengths count characters"),
        pytest.param(of(workers=[{}] * 1000), id="1000 workers"),
        pytest.param(
            of(autoscalingPolicy=policy(behavior={"scaleUp": {"panicPolicy": {}}})), id="R9"
        ),
        pytest.param(with_worker(config={"a": None, "b": [None]}), id="nulls in config"),
        pytest.param(with_worker(resources={"limits": {"cpu": 2, "x/y": "1e3"}}), id="quantities"),
        pytest.param(with_worker(tolerations=[{"tolerationSeconds": 2**63 - 1}]), id="64 bits"),
        pytest.param(booster_object("m", disaggregated()), id="prefill and decode"),
        pytest.param({"metadata": {"name": "m"}}, id="no spec: a rule's business"),
        pytest.param({"metadata": {"generateName": "m-"}, "spec": {}}, id="no name yet"),
        pytest.param(booster_object("m", colour=1), id="unknown field"),
    ],
)
def test_what_fits(obj: Object) -> None:
    assert judged(obj) == []


@pytest.mark.parametrize(
    ("obj", "path", "cause", "message"),
    [
        pytest.param(
            of(replicas="1"),
            "spec.backend.replicas",
            TYPE,
            typed("spec.backend.replicas", "string", "integer"),
            id="string for number",
        ),
        pytest.param(
            of(gangScheduling=1),
            "spec.backend.gangScheduling",
            TYPE,
            typed("spec.backend.gangScheduling", "integer", "boolean"),
            id="number for boolean",
        ),
        pytest.param(
            of(replicas=True),
            "spec.backend.replicas",
            TYPE,
            typed("spec.backend.replicas", "boolean", "integer"),
            id="boolean for number",
        ),
        pytest.param(
            of(replicas=1.5),
            "spec.backend.replicas",
            TYPE,
            typed("spec.backend.replicas", "number", "integer"),
            id="fraction",
        ),
        pytest.param(
            with_worker(tolerations=[{"tolerationSeconds": 2**63}]),
            "spec.backend.workers[0].tolerations[0].tolerationSeconds",
            TYPE,
            typed("spec.backend.workers[0].tolerations[0].tolerationSeconds", "number", "integer"),
            id="more than 64 bits",
        ),
        pytest.param(
            {"metadata": {"name": "m"}, "spec": []},
            "spec",
            TYPE,
            typed("spec", "array", "object"),
            id="spec is a list",
        ),
        pytest.param(
            with_worker(config=""),
            "spec.backend.workers[0].config",
            TYPE,
            typed("spec.backend.workers[0].config", "string", "object"),
            id="config is no object",
        ),
        pytest.param(
            of(workers=[None]),
            "spec.backend.workers[0]",
            TYPE,
            typed("spec.backend.workers[0]", "null", "object"),
            id="null in a list",
        ),
        pytest.param(
            with_worker(resources={"limits": {"cpu": 2.5}}),
            "spec.backend.workers[0].resources.limits.cpu",
            TYPE,
            typed("spec.backend.workers[0].resources.limits.cpu", "number", "integer,string"),
            id="quantity is a fraction",
        ),
        pytest.param(
            with_worker(resources={"limits": {"nvidia.com/gpu": "one"}}),
            "spec.backend.workers[0].resources.limits.nvidia.com/gpu",
            INVALID,
            'Invalid value: "one": spec.backend.workers[0].resources.limits.nvidia.com/gpu in body '
            f"should match '{QUANTITY}'",
            id="quantity is a word",
        ),
        pytest.param(
            of(name=None),
            "spec.backend.name",
            REQUIRED,
            "Required value",
            id="no name",
        ),
        pytest.param(
            of(scalingCost=-1),
            "spec.backend.scalingCost",
            INVALID,
            bounded("spec.backend.scalingCost", "-1", "greater than or equal to 0"),
            id="too small",
        ),
        pytest.param(
            of(minReplicas=1, maxReplicas=0),
            "spec.backend.maxReplicas",
            INVALID,
            bounded("spec.backend.maxReplicas", "0", "greater than or equal to 1"),
            id="most is none",
        ),
        pytest.param(
            of(replicas=1_000_001),
            "spec.backend.replicas",
            INVALID,
            bounded("spec.backend.replicas", "1000001", "less than or equal to 1000000"),
            id="too large",
        ),
        pytest.param(
            of(scalingCost=2**31),
            "spec.backend.scalingCost",
            INVALID,
            bounded("spec.backend.scalingCost", "2147483648", "less than or equal to 2147483647"),
            id="more than 32 bits",
        ),
        pytest.param(
            of(modelURI="https://x"),
            "spec.backend.modelURI",
            INVALID,
            f"Invalid value: \"https://x\": spec.backend.modelURI in body should match '{SOURCE}'",
            id="pattern",
        ),
        pytest.param(
            of(name="a\n"),
            "spec.backend.name",
            INVALID,
            f"Invalid value: \"a\\n\": spec.backend.name in body should match '{NAME}'",
            id="the end of a pattern is the end of the text",
        ),
        pytest.param(
            of(type="TGI"),
            "spec.backend.type",
            NOT_SUPPORTED,
            f'Unsupported value: "TGI": supported values: {TYPES}',
            id="enum",
        ),
        pytest.param(
            booster_object("m", name="_" * 254),
            "spec.name",
            TOO_LONG,
            "Too long: may not be more than 253 bytes",
            id="too long, whatever the pattern",
        ),
        pytest.param(
            booster_object("m", backends=[]),
            "spec.backends",
            INVALID,
            "Invalid value: 0: spec.backends in body should have at least 1 items",
            id="empty list",
        ),
        pytest.param(
            booster_object("m", *[backend(f"b{i}") for i in range(17)]),
            "spec.backends",
            TOO_MANY,
            "Too many: 17: must have at most 16 items",
            id="too many",
        ),
        pytest.param(
            booster_object("m", backend("a"), backend("b"), backend("a"), backend("a")),
            "spec.backends[2]",
            DUPLICATE,
            'Duplicate value: {"name":"a"}',
            id="a name twice is told once",
        ),
        pytest.param(
            of(env=[{"name": "A"}, {"name": "A", "value": "x"}]),
            "spec.backend.env[1]",
            DUPLICATE,
            'Duplicate value: {"name":"A"}',
            id="environment variable twice",
        ),
        pytest.param(
            booster_object("qwen2.5"),
            "metadata.name",
            INVALID,
            f"Invalid value: \"qwen2.5\": metadata.name in body should match '{MODEL_NAME}'",
            id="dot in the name",
        ),
        pytest.param(
            booster_object("a" * 64),
            "metadata.name",
            TOO_LONG,
            "Too long: may not be more than 63 bytes",
            id="name too long",
        ),
    ],
)
def test_what_does_not_fit(obj: Object, path: str, cause: str, message: str) -> None:
    assert judged(obj) == [(path, cause, message)]


def test_every_fault_is_told() -> None:
    obj = booster_object("m", backend(type="q", modelURI="", replicas=-1) | {"name": 5}, owner=1)
    assert sorted(path for path, _, _ in judged(obj)) == [
        "spec.backends[0].modelURI",
        "spec.backends[0].name",
        "spec.backends[0].replicas",
        "spec.backends[0].type",
        "spec.owner",
    ]


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(
            of(type=3),
            [
                typed("spec.backend.type", "integer", "string"),
                f"Unsupported value: 3: supported values: {TYPES}",
            ],
            id="neither type nor value",
        ),
        pytest.param(
            of(replicas=1_234_567.25),
            [
                typed("spec.backend.replicas", "number", "integer"),
                bounded("spec.backend.replicas", "1.23456725e+06", "less than or equal to 1e+06"),
            ],
            id="neither whole nor in range",
        ),
        pytest.param(
            of(replicas=-1e-9),
            [
                typed("spec.backend.replicas", "number", "integer"),
                bounded("spec.backend.replicas", "-1e-09", "greater than or equal to 0"),
            ],
            id="a little less than nothing",
        ),
        pytest.param(
            of(env=[{"name": "A"}, "B", [1], {"name": "A"}]),
            [
                typed("spec.backend.env[1]", "string", "object"),
                typed("spec.backend.env[2]", "array", "object"),
                'Invalid value: "B": must be an object for an array of list-type map',
            ],
            id="items that are no objects",
        ),
        pytest.param(
            booster_object("m", backends=[{}, {}]),
            [
                *["Required value"] * 6,
                *["Required value"] * 2,
                "Duplicate value: {}",
            ],
            id="two without a name",
        ),
        pytest.param(
            booster_object("Qwen"),
            [
                f'Invalid value: "Qwen": {SUBDOMAIN}',
                f"Invalid value: \"Qwen\": metadata.name in body should match '{MODEL_NAME}'",
            ],
            id="capital in the name",
        ),
        pytest.param(
            booster_object("a" * 254),
            [
                f'Invalid value: "{"a" * 196}...: must be no more than 253 characters',
                "Too long: may not be more than 63 bytes",
            ],
            id="a name that no object can have",
        ),
    ],
)
def test_several_faults_at_once(obj: Object, want: list[str]) -> None:
    assert [message for _, _, message in judged(obj)] == want


def test_a_refusal_never_comes_without_a_fault() -> None:
    # Nulls go before validation; where they did not, only the types mind.
    obj: Object = {"metadata": {"name": "m", "namespace": 3}}
    assert schema_faults(obj) == []
    with pytest.raises(ValidationError) as refusal:
        ModelBooster.model_validate(obj)
    assert [str(fault) for fault in schema_faults(obj, refusal.value)] == [
        "metadata.namespace: Invalid value: Input should be a valid string"
    ]


def test_objects_are_frozen() -> None:
    parsed = ModelBooster.model_validate(booster_object("m"))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parsed, "kind", "Pod")  # noqa: B010 - the type checker forbids it already
