"""Whose an object is, and what every child carries."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import CHILDREN, DEFAULT_RELEASE, MODEL_SERVING, PROFILES
from app.model.children import child, pod_labels, revision
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.ownership import is_ours, owner_uids
from app.values.meta import Object
from tests.builders import UID, backend, model

OTHER = "99999999-2222-4333-8444-555555555555"
LABEL = "workload.serving.volcano.sh/model-uid"
V1ALPHA1 = "workload.serving.volcano.sh/v1alpha1"


def booster_ref(uid: str = UID, **flags: Any) -> Object:
    return {"apiVersion": V1ALPHA1, "kind": "ModelBooster", "name": "m", "uid": uid, **flags}


def other_ref(kind: str = "ConfigMap", api_version: str = "v1", **flags: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": "x", "uid": OTHER, **flags}


def made(*refs: Object, uid: str | None = None) -> Object:
    metadata: Object = {"name": "x"}
    if refs:
        metadata["ownerReferences"] = list(refs)
    if uid is not None:
        metadata["labels"] = {LABEL: uid}
    return {"metadata": metadata}


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(made(), False, id="a stranger"),
        pytest.param(made(booster_ref(controller=True)), True, id="as we make it"),
        pytest.param(made(booster_ref()), True, id="as kthena v0.1.0 makes it, without flags"),
        pytest.param(made(booster_ref(controller=False)), True, id="flag says no"),
        pytest.param(made(other_ref(), booster_ref()), True, id="another owner beside us"),
        pytest.param(made(booster_ref(OTHER, controller=True)), False, id="another ModelBooster"),
        pytest.param(
            made(booster_ref(), other_ref(controller=True)), False, id="controlled by another"
        ),
        pytest.param(
            made(booster_ref(), booster_ref(OTHER, controller=True)),
            False,
            id="controlled by another ModelBooster",
        ),
        pytest.param(made(uid=UID), True, id="orphan with our label"),
        pytest.param(made(uid=OTHER), False, id="orphan with another's label"),
        pytest.param(made(uid=""), False, id="empty label"),
        pytest.param(made(other_ref(), uid=UID), True, id="our label, owner of another kind"),
        pytest.param(
            made(other_ref(controller=True), uid=UID), False, id="our label, another controls"
        ),
        pytest.param(
            made(booster_ref(OTHER), uid=UID), False, id="our label, another ModelBooster owns"
        ),
        pytest.param(
            made(other_ref("ModelBooster", "example.org/v1"), uid=UID),
            True,
            id="our label, a kind that is only called so",
        ),
    ],
)
def test_whose_it_is(obj: Object, want: bool) -> None:
    assert is_ours(obj, UID) is want


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(made(), [], id="nobody's"),
        pytest.param(made(booster_ref(), uid=OTHER), [UID], id="a reference beats a label"),
        pytest.param(made(booster_ref(), booster_ref(OTHER)), [UID, OTHER], id="two owners"),
        pytest.param(made(uid=UID), [UID], id="label"),
        pytest.param(made(other_ref(), uid=UID), [UID], id="label beside another kind"),
        pytest.param(made({**booster_ref(), "uid": ""}), [], id="reference without uid"),
    ],
)
def test_who_may_own_it(obj: Object, want: list[str]) -> None:
    assert list(owner_uids(obj)) == want


@pytest.mark.parametrize("owner", [UID, OTHER])
@pytest.mark.parametrize(
    "obj",
    [
        made(booster_ref()),
        made(uid=UID),
        made(uid=OTHER),
        made(booster_ref(OTHER)),
        made(booster_ref(OTHER), uid=UID),
        made(booster_ref(), booster_ref(OTHER)),
        made(booster_ref(), booster_ref(OTHER, controller=True)),
        made({**other_ref(), "uid": "another"}, uid=UID),
    ],
)
def test_whatever_is_ours_is_found_by_our_uid(obj: Object, owner: str) -> None:
    assert not is_ours(obj, owner) or owner in owner_uids(obj)


@pytest.fixture
def demo() -> Model:
    return model("demo", backend("b1"), backend("b2"), metadata={"namespace": "team"})


def test_a_child_says_whose_it_is(demo: Model) -> None:
    b1 = demo.backends[0]
    obj = child(demo, MODEL_SERVING, backend_child_name(demo, b1), {"replicas": 1}, backend=b1)
    assert obj == {
        "apiVersion": "workload.serving.volcano.sh/v1alpha1",
        "kind": "ModelServing",
        "metadata": {
            "name": "demo-b1",
            "namespace": "team",
            "labels": {
                "workload.serving.volcano.sh/model-name": "demo",
                "workload.serving.volcano.sh/backend-name": "b1",
                "workload.serving.volcano.sh/model-uid": UID,
                "workload.serving.volcano.sh/managed-by": "workload.serving.volcano.sh",
                "workload.serving.volcano.sh/revision": revision({"replicas": 1}),
                "registry.volcano.sh/managed-by": "registry.volcano.sh",
            },
            "ownerReferences": [
                {
                    "apiVersion": "workload.serving.volcano.sh/v1alpha1",
                    "kind": "ModelBooster",
                    "name": "demo",
                    "uid": UID,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"replicas": 1},
    }
    assert is_ours(obj, UID)
    assert list(owner_uids(obj)) == [UID]


def test_a_child_of_all_backends_names_none(demo: Model) -> None:
    obj = child(demo, CHILDREN[-1], "demo", {})
    assert obj["metadata"]["labels"]["workload.serving.volcano.sh/backend-name"] == ""


def test_pods_carry_nothing_that_changes_without_need(demo: Model) -> None:
    assert pod_labels(demo, demo.backends[1]) == {
        "workload.serving.volcano.sh/model-name": "demo",
        "workload.serving.volcano.sh/backend-name": "b2",
        "workload.serving.volcano.sh/model-uid": UID,
        "workload.serving.volcano.sh/managed-by": "workload.serving.volcano.sh",
    }


def test_revision_is_the_same_for_ever() -> None:
    # A change of this value rewrites every child of every cluster once.
    assert revision({"b": [1, {"c": "ü"}], "a": None}) == "16041704728f2b16"


@pytest.mark.parametrize("other", [{}, {"a": 2}, {"a": "1"}, {"a": 1, "b": None}, {"a": [1]}])
def test_revision_tells_specs_apart(other: Object) -> None:
    assert revision({"a": 1}) != revision(other)


def test_revision_looks_at_no_order_of_keys() -> None:
    assert revision({"a": 1, "b": 2}) == revision({"b": 2, "a": 1})
    assert revision([1, 2]) != revision([2, 1])


def test_what_an_autoscaler_writes_counts_in_no_revision(demo: Model) -> None:
    def stamp(replicas: int, **spec: Any) -> str:
        spec = {"replicas": replicas, **spec}
        obj = child(demo, MODEL_SERVING, "demo-b1", spec, unstamped=("replicas",))
        label: str = obj["metadata"]["labels"]["workload.serving.volcano.sh/revision"]
        return label

    assert stamp(1) == stamp(5)
    assert stamp(1) != stamp(1, template={})


def test_a_policy_is_applied_before_its_binding_and_the_route_last() -> None:
    assert [resource.kind for resource in CHILDREN] == [
        "AutoscalingPolicy",
        "AutoscalingPolicyBinding",
        "ModelServing",
        "ModelServer",
        "ModelRoute",
    ]


def test_the_default_release_is_one_that_can_be_named() -> None:
    assert DEFAULT_RELEASE in PROFILES
