"""What the API server would store; tests/component/test_crd_server.py asks a real one the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.apis.crd import model_booster_schema
from app.apis.pruning import FREE_FORM, model_booster_fields, pruned
from app.values.meta import Object
from tests.builders import backend, booster_object, worker


def with_config(value: Any) -> Object:
    return booster_object("m", backend(workers=[worker(config={"x": value})]))


def test_a_whole_object_stays_as_it_is_and_in_its_order() -> None:
    obj = booster_object(
        "m",
        backend(
            "b1",
            env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            workers=[worker(config={"a": 1, "b": "2"}, resources={"limits": {"cpu": "1"}})],
        ),
        modelMatch={"headers": {"x": {"exact": "y"}}},
        metadata={"labels": {"a": "b"}, "somethingNew": {"c": None}},
    )
    kept = pruned(obj)
    assert kept.object == obj
    assert str(kept.object) == str(obj)
    assert kept.unknown == ()


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({"colour": "red"}, ("spec.colour",), id="unknown"),
        pytest.param({"colour": None}, ("spec.colour",), id="unknown and null"),
        pytest.param({"Owner": "me"}, ("spec.Owner",), id="case matters"),
        pytest.param(
            {"backends": [backend("a"), backend("b", y=1, x=[1])]},
            ("spec.backends[1].x", "spec.backends[1].y"),
            id="sorted",
        ),
        pytest.param(
            {"backends": [backend(workers=[worker(env=[])])]},
            ("spec.backends[0].workers[0].env",),
            id="known elsewhere",
        ),
        pytest.param({"owner": {"a": 1}}, ("spec.owner.a",), id="below what is no object"),
        pytest.param({"owner": [{"a": 1}, 2]}, ("spec.owner[0].a",), id="in what is no list"),
        pytest.param({"backends": [[{"a": 1}]]}, ("spec.backends[0][0].a",), id="list in a list"),
        pytest.param(
            {"modelMatch": {"headers": {"h": {"suffix": "x"}}}},
            ("spec.modelMatch.headers.h.suffix",),
            id="in a map",
        ),
    ],
)
def test_unknown_fields_go_and_are_told(fields: Object, want: tuple[str, ...]) -> None:
    kept = pruned({"metadata": {"name": "m"}, "spec": fields})
    assert kept.unknown == want
    assert pruned(kept.object) == type(kept)(kept.object, ())


def test_unknown_fields_of_the_root_and_of_status_are_told() -> None:
    obj = {**booster_object("m"), "data": {}, "status": {"phase": "Running", "modelName": "m"}}
    kept = pruned(obj)
    assert kept.unknown == ("data", "status.phase")
    assert kept.object["status"] == {"modelName": "m"}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param({"owner": None}, {}, id="field"),
        pytest.param({"backend": {"name": None}}, {"backend": {}}, id="required field"),
        pytest.param(
            {"modelMatch": {"headers": {"a": None}}}, {"modelMatch": {"headers": {}}}, id="map"
        ),
        pytest.param({"backends": [None]}, {"backends": [None]}, id="lists keep them"),
        pytest.param(
            {"backend": {"workers": [{"config": None}]}},
            {"backend": {"workers": [{}]}},
            id="config itself",
        ),
        pytest.param(
            {"backend": {"workers": [{"config": {"a": None, "b": [None, {"c": None}]}}]}},
            {"backend": {"workers": [{"config": {"a": None, "b": [None, {"c": None}]}}]}},
            id="inside config they mean something",
        ),
    ],
)
def test_nulls(given: Object, want: Object) -> None:
    kept = pruned({"metadata": {"name": "m"}, "spec": given})
    assert kept.object["spec"] == want
    assert kept.unknown == ()


def test_nulls_of_metadata_go() -> None:
    obj = booster_object("m", metadata={"namespace": None, "labels": {"a": "b"}})
    obj["metadata"]["annotations"] = None
    assert pruned(obj).object["metadata"] == {"name": "m", "labels": {"a": "b"}}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (1, 1),
        (1.0, 1),
        (-0.0, 0),
        (0.9, 0.9),
        (1e-6, 1e-6),
        (1e20, 100_000_000_000_000_000_000),
        (1e21, 1e21),
        (2**63 - 1, 2**63 - 1),
        (2**63, 9_223_372_036_854_776_000),
        (2**64 - 1, 18_446_744_073_709_552_000),
        (123_456_789_012_345_678_901_234_567_890, 1.2345678901234568e29),
        (True, True),
        ("1.0", "1.0"),
    ],
)
def test_numbers_are_those_that_go_writes(given: Any, want: Any) -> None:
    config = pruned(with_config(given)).object["spec"]["backends"][0]["workers"][0]["config"]
    assert config == {"x": want}
    assert type(config["x"]) is type(want)


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"metadata": None, "spec": None},
        {"metadata": 3, "spec": "x", "status": []},
        {"spec": {"backends": 3, "backend": [], "autoscalingPolicy": 7}},
        {"spec": {"backends": {"name": "x"}, "modelMatch": [None]}},
        {"spec": {1: 2}},
    ],
)
def test_what_makes_no_sense_is_left_for_validation(obj: Object) -> None:
    once = pruned(obj).object
    assert pruned(once).object == once


@pytest.mark.parametrize("depth", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_no_depth_is_too_much(depth: int) -> None:
    deep: Any = 1.0
    for _ in range(depth):
        deep = [deep]
    obj = booster_object("m", backend(workers=[worker(config={"a": deep})]), owner=deep)
    assert pruned(obj).unknown == ()


def test_the_input_is_not_touched() -> None:
    obj = booster_object("m", backend(workers=[worker(config={"x": 1.0})], y=None), colour=1)
    before = copy.deepcopy(obj)
    kept = pruned(obj).object
    kept["spec"]["backends"][0]["workers"][0]["config"]["x"] = 5
    kept["metadata"]["name"] = "other"
    assert obj == before


def test_the_fields_are_those_of_the_definition() -> None:
    def node(schema: Object) -> Object:
        if "x-kubernetes-preserve-unknown-fields" in schema:
            return FREE_FORM
        found: Object = {}
        if "properties" in schema:
            found["properties"] = {n: node(field) for n, field in schema["properties"].items()}
        for inner in ("items", "additionalProperties"):
            if inner in schema:
                found[inner] = node(schema[inner])
        return found

    want, fields = node(model_booster_schema())["properties"], model_booster_fields()["properties"]
    assert fields.keys() == want.keys()
    # The API server has a schema of its own for metadata, and pruning leaves it alone.
    assert {n: f for n, f in fields.items() if n != "metadata"} == {
        n: f for n, f in want.items() if n != "metadata"
    }
