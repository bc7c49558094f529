"""The hashes by which the controller tells an edit of a user from a change of the operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.apis.kinds import MODEL_SERVING
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.model.digests import standard_json
from app.values.meta import Object
from controller.plan import fingerprints
from controller.plan.fingerprints import (
    MAX_TEMPLATES,
    NOT_FOR_PODS,
    NOT_FOR_WORKER_PODS,
    pod_inputs,
    template_hash,
)
from tests.builders import backend, disaggregated, lora, stored_object, worker
from tests.golden import cases

BOOSTER = stored_object("m", backend("b1", env=[{"name": "A", "value": "ä"}]), disaggregated("b2"))

PINNED = {
    "b1": "91724956b3dd3670",
    "b2": "11fdedbe07943b3e",
}
"""If one of these changes, every model counts as edited by its user after an upgrade, and
restarts. Do not change them."""

PINNED_TEMPLATE = "4cc7625355509227"


def test_hashes_are_the_same_in_every_version() -> None:
    assert pod_inputs(BOOSTER) == PINNED
    template = {
        "restartGracePeriodSeconds": 60,
        "roles": [
            {
                "name": "leader",
                "replicas": 1,
                "workerReplicas": 0,
                "entryTemplate": {"spec": {"containers": [{"name": "engine", "image": "x:1"}]}},
            }
        ],
    }
    assert template_hash(template) == PINNED_TEMPLATE


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3))
@example({"a": "\x7f"})
@example({"a": 1e16, "b": -0.0})
@example({"a": [1.5]})
@example({"a": 2**70})
@example({"\ud800": 1})
@example({"a": "\b\f\n\r\t\x00\x1f<>&/\u2028"})
def test_what_is_hashed_of_inputs_is_what_json_dumps_writes(inputs: dict[str, Any]) -> None:
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    assert standard_json(inputs) == text.encode()


def test_a_hash_is_the_same_when_it_is_remembered_and_when_it_was_forgotten() -> None:
    first = {"roles": [{"name": "leader", "replicas": 1}], "gangPolicy": {"minRoleReplicas": {}}}
    before = template_hash(first)
    assert template_hash(first) == before
    assert template_hash({**first, "gangPolicy": {"x": 1}}) == before
    assert template_hash({**first, "restartGracePeriodSeconds": 9}) != before
    for number in range(MAX_TEMPLATES):
        template_hash({"roles": [], "restartGracePeriodSeconds": number + 10})
    assert len(fingerprints._template_hashes) == MAX_TEMPLATES
    assert template_hash(first) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("routeWeight", 7),
        ("scalingCost", 3),
        ("minReplicas", 5),
        ("maxReplicas", 9),
        ("replicas", 2),
        ("autoscalingPolicy", {"metrics": []}),
        ("scaleToZeroGracePeriod", "5s"),
    ],
)
def test_fields_that_are_not_for_pods_do_not_count(field: str, value: Any) -> None:
    edited = deepcopy(BOOSTER)
    edited["spec"]["backends"][0][field] = value
    assert pod_inputs(edited) == PINNED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workers", [worker(image="x:2")]),
        ("env", []),
        ("loraAdapters", [lora("a")]),
        ("schedulerName", "mine"),
        ("aFieldOfALaterVersion", 1),
    ],
)
def test_other_fields_count_for_their_backend_only(field: str, value: Any) -> None:
    edited = deepcopy(BOOSTER)
    edited["spec"]["backends"][0][field] = value
    found = pod_inputs(edited)
    assert found["b1"] != PINNED["b1"]
    assert found["b2"] == PINNED["b2"]


def test_fields_of_the_model_that_are_not_for_pods_do_not_count() -> None:
    edited = deepcopy(BOOSTER)
    edited["spec"] |= {"name": "route", "owner": "me", "modelMatch": {}, "autoscalingPolicy": {}}
    edited["spec"]["backends"][1]["workers"][0]["replicas"] = 4
    edited["metadata"] |= {"generation": 9, "labels": {"a": "b"}, "resourceVersion": "7"}
    edited["status"] = {"observedGeneration": 3}
    assert pod_inputs(edited) == PINNED


def test_form_and_order_of_backends_do_not_count() -> None:
    swapped = deepcopy(BOOSTER)
    swapped["spec"]["backends"].reverse()
    assert pod_inputs(swapped) == PINNED
    alone = deepcopy(BOOSTER)
    alone["spec"] = {"backend": alone["spec"]["backends"][0]}
    assert pod_inputs(alone) == {"b1": PINNED["b1"]}


def test_annotations_of_our_group_count() -> None:
    group = "workload.serving.volcano.sh"
    edited = deepcopy(BOOSTER)
    edited["metadata"]["annotations"] = {
        "other.io/x": "1",
        f"{group}/rollout": "allow",
        f"{group}/deletion-protection": "true",
    }
    assert pod_inputs(edited) == PINNED
    edited["metadata"]["annotations"][f"{group}/engine-release"] = "vllm-0.9.2"
    assert not pod_inputs(edited).items() & PINNED.items()


def test_value_of_an_annotation_counts_for_its_backend_only() -> None:
    edited = deepcopy(BOOSTER)
    annotation = "workload.serving.volcano.sh/engine-release"
    edited["metadata"]["annotations"] = {annotation: "b1=0.16.0"}
    found = pod_inputs(edited)
    assert (found["b1"] != PINNED["b1"], found["b2"]) == (True, PINNED["b2"])
    edited["metadata"]["annotations"] = {annotation: "0.9.2, b1=0.16.0"}
    both = pod_inputs(edited)
    edited["metadata"]["annotations"] = {annotation: "0.9.2"}
    assert pod_inputs(edited)["b2"] == both["b2"]
    assert pod_inputs(edited)["b1"] != both["b1"]


def templates(booster: Object) -> list[Object]:
    model = canonical(ModelBooster.model_validate(booster))
    return [
        child.object["spec"]["template"]
        for child in desired_children(model, cases.PROFILES[1], Options())
        if child.resource is MODEL_SERVING
    ]


@pytest.mark.parametrize("case", cases.CASES)
def test_pods_depend_on_nothing_that_does_not_count(case: str) -> None:
    """If this fails, a field has begun to matter for pods: an edit of it would not reach them."""
    booster = cases.booster(case)
    before = [template_hash(template) for template in templates(booster)]
    spec = booster["spec"] = deepcopy(booster["spec"])
    spec |= {"name": "another-name", "modelMatch": {"headers": {"a": {"exact": "b"}}}}
    spec.pop("autoscalingPolicy", None)
    for each in spec.get("backends") or [spec["backend"]]:
        for field in NOT_FOR_PODS:
            each.pop(field, None)
        each |= {"replicas": 3, "routeWeight": 7}
        for one in each["workers"]:
            for field in NOT_FOR_WORKER_PODS:
                one[field] = 2
    assert [template_hash(template) for template in templates(booster)] == before


def _defaulted(template: Object) -> None:
    container = template["roles"][0]["entryTemplate"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 8000, "protocol": "TCP"}]


def _emptied(template: Object) -> None:
    entry = template["roles"][0]["entryTemplate"]
    entry["metadata"] = {"creationTimestamp": None, "annotations": {}}
    entry["spec"]["containers"][0] |= {"resources": {}, "stdin": False, "args": []}


def _scaled(template: Object) -> None:
    template["roles"][0]["replicas"] = 5
    template["gangPolicy"] = {"minRoleReplicas": {"leader": 1}}


@pytest.mark.parametrize("change", [_defaulted, _emptied, _scaled])
def test_rewriting_a_template_without_a_change_keeps_its_hash(
    change: Callable[[Object], None],
) -> None:
    container = {"name": "engine", "ports": [{"containerPort": 8000}]}
    template = {
        "roles": [{"name": "leader", "entryTemplate": {"spec": {"containers": [container]}}}]
    }
    changed = deepcopy(template)
    change(changed)
    assert template_hash(changed) == template_hash(template)


def test_our_template_and_the_stored_one_are_walked_once() -> None:
    def template(text: str, protocol: Object) -> Object:
        container = {"args": [text], "ports": [{"containerPort": 8000, **protocol}]}
        return {"roles": [{"name": "leader", "spec": {"containers": [container]}}]}

    like_one = ',"protocol":"TCP"'
    fingerprints._template_hashes.clear()
    before = template_hash(template(like_one, {}))
    assert template_hash(template(like_one, {"protocol": "TCP"})) == before
    assert len(fingerprints._template_hashes) == 1
    assert template_hash(template(like_one, {"protocol": "UDP"})) != before
    assert template_hash(template("", {})) != before


def test_an_edit_of_a_template_changes_its_hash() -> None:
    template: Object = {"roles": [{"name": "leader", "entryTemplate": {"spec": {"x": "1"}}}]}
    changed = deepcopy(template)
    changed["roles"][0]["entryTemplate"]["spec"]["x"] = "2"
    assert template_hash(changed) != template_hash(template)
