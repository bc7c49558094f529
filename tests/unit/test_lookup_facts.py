"""What the webhook keeps of other objects is all that rules about them read."""

from __future__ import annotations

from functools import partial

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING, MODEL_UID
from app.cache.store import Store
from app.model.ownership import is_ours
from app.values.meta import Key, Object, is_terminating, owner_references
from modelbooster.parts.lookup_facts import (
    booster_facts,
    child_facts,
    restore_booster,
    restore_child,
)

OURS: Object = {
    "apiVersion": MODEL_BOOSTER.api_version,
    "kind": MODEL_BOOSTER.kind,
    "name": "m",
    "uid": "u-m",
    "controller": True,
}
THEIRS: Object = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u-c"}


def child(**metadata: object) -> Object:
    kind = {"apiVersion": MODEL_SERVING.api_version, "kind": MODEL_SERVING.kind}
    identity = {"namespace": "ns", "name": "m-b1", "uid": "u", "resourceVersion": "7"}
    return {**kind, "metadata": {**identity, **metadata}, "spec": {"replicas": 1}, "status": {}}


def kept(obj: Object) -> Object:
    """The object of a store that keeps what the webhook keeps of a child."""
    store = Store(facts=child_facts, restore=partial(restore_child, MODEL_SERVING))
    store.put(obj)
    found = store.get(Key("ns", "m-b1"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="no owner"),
        pytest.param({"ownerReferences": [OURS]}, id="ours"),
        pytest.param({"ownerReferences": [THEIRS, {**OURS, "controller": False}]}, id="two"),
        pytest.param({"ownerReferences": [THEIRS], "labels": {MODEL_UID: "u-m"}}, id="both"),
        pytest.param({"labels": {MODEL_UID: "u-m"}}, id="by its label"),
        pytest.param({"deletionTimestamp": "2026-01-01T00:00:00Z"}, id="being deleted"),
    ],
)
def test_children(metadata: Object) -> None:
    full = child(**metadata)
    slim = kept({**full, "metadata": {**full["metadata"], "annotations": {"a": "b"}}})
    assert list(owner_references(slim)) == list(owner_references(full))
    assert is_terminating(slim) == is_terminating(full)
    for uid in ("u-m", "u-c", "else"):
        assert is_ours(slim, uid) == is_ours(full, uid)
    assert slim.keys() == {"apiVersion", "kind", "metadata"}
    assert (slim["kind"], slim["metadata"]["resourceVersion"]) == (MODEL_SERVING.kind, "7")


def test_boosters() -> None:
    store = Store(facts=booster_facts, restore=restore_booster)
    times = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    store.put({**child(**times, labels={"a": "b"}), "kind": MODEL_BOOSTER.kind})
    assert store.get(Key("ns", "m-b1")) == {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": {
            "namespace": "ns", "name": "m-b1", "uid": "u", "resourceVersion": "7", **times
        },
    }  # fmt: skip
