"""Another definition of ModelBooster: what tells it, and which readings of an object win."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.apis.crd import model_booster_schema
from app.apis.definition import is_unpruned, missing_fields
from app.apis.kinds import MODEL_BOOSTER
from app.cache.store import Store
from app.kube import equality_tests
from app.values.meta import Key, Object
from controller.cluster.indexed_stores import store_of
from controller.status.patch import status_patch
from tests.builders import stored_object


def reading(version: str, *, whole: bool, generation: int = 1) -> Object:
    """A ModelBooster as it is read with our schema, or with one that drops its spec."""
    metadata = {"resourceVersion": version, "generation": generation}
    obj = stored_object("demo", metadata=metadata)
    if whole:
        return {**obj, "status": {"modelName": "", "observedGeneration": -1}}
    return {**obj, "spec": {}, "status": {"observedGeneration": -1}}


def kept(store: Store) -> Object:
    obj = store.get(Key("default", "demo"))
    assert obj is not None
    return obj


@pytest.mark.parametrize("by", ["watch", "list"])
def test_a_pruned_reading_never_replaces_a_whole_one_of_the_same_version(by: str) -> None:
    store = store_of(MODEL_BOOSTER)

    def take(obj: Object) -> int:
        if by == "watch":
            return len(store.put(obj))
        return len(store.replace([store.record_for(obj)]))

    assert take(reading("1", whole=True)) == 1
    assert take(reading("1", whole=False)) == 0
    assert (bool(kept(store)["spec"]), store.is_pruned) == (True, False)
    assert take(reading("2", whole=False)) == 1, "somebody has written it"
    assert (bool(kept(store)["spec"]), store.is_pruned) == (False, True)
    assert take(reading("2", whole=True)) == 1, "ours is back"
    assert (bool(kept(store)["spec"]), store.is_pruned) == (True, False)


@pytest.mark.parametrize(
    ("status", "want"),
    [({"modelName": ""}, True), ({"modelName": "m"}, True), ({"conditions": []}, False)],
)
def test_the_mark_of_our_schema(status: Object, want: bool) -> None:
    assert is_unpruned({"status": status}) is want
    assert not is_unpruned({})


def edited(*path: str) -> Object:
    """Our schema without the field at a path."""
    schema: Object = json.loads(json.dumps(model_booster_schema()))
    part: Any = schema
    for name in path[:-1]:
        part = part[name] if name in ("items", "additionalProperties") else part["properties"][name]
    del part["properties"][path[-1]]
    return schema


def test_fields_that_are_missing_are_named() -> None:
    assert missing_fields(model_booster_schema()) == []
    assert missing_fields(edited("spec", "owner")) == ["spec.owner"]
    deep = edited("spec", "backends", "items", "workers", "items", "image")
    assert missing_fields(deep) == ["spec.backends[].workers[].image"]
    assert missing_fields({"properties": {}}) == ["spec", "status"]
    open_schema = {"x-kubernetes-preserve-unknown-fields": True}
    assert missing_fields({"properties": {"spec": open_schema, "status": open_schema}}) == []


def test_a_status_patch_asks_for_the_spec_and_the_mark_before_it_writes() -> None:
    booster = reading("7", whole=True)
    patch = status_patch(booster, {"modelName": "demo"})
    assert [(op["op"], op["path"]) for op in patch] == [
        ("test", "/spec"),
        ("replace", "/metadata/resourceVersion"),
        ("remove", "/status/modelName"),
        ("replace", "/status"),
    ]
    assert patch[0]["value"] == booster["spec"]
    assert patch[1]["value"] == "7"


def test_only_what_has_a_single_wording_is_compared() -> None:
    value = {"a": 1, "b/c~": [0.5, {"d": 1e21, "e": "x"}], "f": "<", "g": "y"}
    assert equality_tests(value, "/spec") == [
        {"op": "test", "path": "/spec/a", "value": 1},
        {"op": "test", "path": "/spec/b~1c~0/0", "value": 0.5},
        {"op": "test", "path": "/spec/b~1c~0/1/e", "value": "x"},
        {"op": "test", "path": "/spec/g", "value": "y"},
    ]
    assert len(equality_tests(["<", *range(3000)], "/spec")) == 1000
