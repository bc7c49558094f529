"""Faults of the schema and of rules in one answer."""

from __future__ import annotations

from typing import Any

import pytest

from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, worker


def paths(obj: Object) -> list[str]:
    return [str(fault.path) for fault in validate(obj, Context()).faults]


def one(**fields: Any) -> Object:
    """A ModelBooster whose bounds differ without a policy."""
    return booster_object("m", backend(**{"minReplicas": 1, "maxReplicas": 3, **fields}))


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        (one(modelURI="Qwen/Qwen3-8B"), ["spec.backends[0].modelURI"]),
        (one(workers=[worker("Server")]), ["spec.backends[0].workers[0].type"]),
        (one(type="vllm"), ["spec.backends[0].type"]),
        (one(env=[{"name": "A", "value": 8}]), ["spec.backends[0].env[0].value"]),
        (one(routeWeight="10"), ["spec.backends[0].routeWeight"]),
    ],
)
def test_rules_speak_beside_the_schema(obj: Object, want: list[str]) -> None:
    assert paths(obj) == [*want, "spec.backends[0]"]


def test_faults_that_depend_on_the_rejected_value_are_not_told() -> None:
    assert paths(one(minReplicas="1")) == ["spec.backends[0].minReplicas"]
    wrong = booster_object("m", backend(workers=[worker("Prefill")]))
    assert paths(wrong) == ["spec.backends[0].workers[0].type"]


def test_what_cannot_be_repaired_is_told_as_before() -> None:
    obj = one(modelURI="Qwen/Qwen3-8B")
    obj["spec"]["backends"][0]["workers"] = 3
    assert set(paths(obj)) == {"spec.backends[0].modelURI", "spec.backends[0].workers"}
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    odd = one(modelURI="x", workers=[worker(config={"a": deep})])
    assert "spec.backends[0].modelURI" in paths(odd)


def test_object_without_metadata_is_refused() -> None:
    assert [str(fault.path) for fault in validate({}, Context()).faults][:1] == ["metadata"]
