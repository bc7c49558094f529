"""Which ModelRoutes are about to give up a model name."""

from __future__ import annotations

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.values.meta import Key, Object
from controller.cluster.indexed_stores import store_of, store_of_other_routes
from controller.cluster.model_names import ModelNames
from tests.builders import stored_object

GOING = {"deletionTimestamp": "2026-11-29T11:00:00Z"}

SETTLED = {
    "conditions": [{"type": "Initialized", "status": "False", "observedGeneration": 2}],
}


def route(*, owner: str = "u-old", going: bool = False) -> Object:
    ref = {"apiVersion": MODEL_BOOSTER.api_version, "kind": "ModelBooster", "name": "old"}
    metadata = {
        "namespace": "default",
        "name": "old",
        "uid": "r",
        "resourceVersion": "1",
        "ownerReferences": [{**ref, "uid": owner}] if owner else [],
        **(GOING if going else {}),
    }
    return {"kind": MODEL_ROUTE.kind, "metadata": metadata, "spec": {"modelName": "qwen"}}


def owner(name: str, *, going: bool = False, status: Object | None = None) -> Object:
    metadata = {"uid": "u-old", "generation": 2, "resourceVersion": "1"}
    booster = stored_object("old", name=name, metadata={**metadata, **(GOING if going else {})})
    return {**booster, "status": status or {}}


@pytest.mark.parametrize(
    ("stored", "its_owner", "leaves"),
    [
        pytest.param(route(), owner("qwen"), False, id="in use"),
        pytest.param(route(going=True), owner("qwen"), True, id="being deleted"),
        pytest.param(route(), None, True, id="its owner is gone"),
        pytest.param(route(), owner("qwen", going=True), True, id="its owner is being deleted"),
        pytest.param(route(), owner("other"), True, id="its owner was renamed"),
        pytest.param(
            route(), owner("other", status=SETTLED), False, id="renamed, but cannot be reconciled"
        ),
        pytest.param(route(owner=""), None, False, id="of nobody"),
    ],
)
def test_routes_that_leave(stored: Object, its_owner: Object | None, leaves: bool) -> None:
    boosters, routes = store_of(MODEL_BOOSTER), store_of(MODEL_ROUTE)
    routes.put(stored)
    if its_owner is not None:
        boosters.put(its_owner)
    names = ModelNames([boosters], [store_of_other_routes()], [routes])
    assert names.leaving_routes(Key("default", "new"), "qwen") == ["old"] * leaves
    assert names.leaving_routes(Key("default", "old"), "qwen") == []
    assert names.leaving_routes(Key("tenant", "new"), "qwen") == []
    assert names.leaving_routes(Key("default", "new"), "other") == []


def test_two_models_that_swap_their_names_do_not_wait_for_each_other() -> None:
    boosters, routes = store_of(MODEL_BOOSTER), store_of(MODEL_ROUTE)
    for key, has, wants in (("a", "one", "two"), ("b", "two", "one"), ("c", "three", "one")):
        metadata = {"uid": f"u-{key}", "generation": 2, "resourceVersion": "1"}
        boosters.put(stored_object(key, name=wants, metadata=metadata))
        own = route(owner=f"u-{key}")
        own["metadata"] |= {"name": key, "uid": f"r-{key}"}
        routes.put({**own, "spec": {"modelName": has}})
    names = ModelNames([boosters], [store_of_other_routes()], [routes])
    assert names.leaving_routes(Key("default", "a"), "two") == []
    assert names.leaving_routes(Key("default", "b"), "one") == ["a"]
    assert names.leaving_routes(Key("default", "c"), "one") == ["a"]
