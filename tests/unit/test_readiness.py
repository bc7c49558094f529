"""Readiness of a backend, by the status of its ModelServing."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import BACKEND_NAME, MANAGED_BY, MODEL_UID
from app.values.meta import Object
from controller.status.podless import podless
from controller.status.readiness import Readiness, backend_reports, serving_readiness
from tests.builders import backend, model

YES, NO, UNKNOWN = Readiness.YES, Readiness.NO, Readiness.UNKNOWN


def conditions(**statuses: bool) -> list[Object]:
    return [{"type": kind, "status": str(status)} for kind, status in statuses.items()]


def serving(
    *, generation: int = 3, seen: int = 3, wanted: int = 2, available: int = 0, **statuses: bool
) -> Object:
    status: Object = {"observedGeneration": seen, "replicas": 2, "availableReplicas": available}
    return {
        "kind": "ModelServing",
        "metadata": {"name": "m-b1", "generation": generation},
        "spec": {"replicas": wanted},
        "status": {**status, "conditions": conditions(**statuses)},
    }


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(serving(Available=True), YES, id="available"),
        pytest.param(serving(Progressing=True), NO, id="progressing"),
        pytest.param(serving(Available=False, Progressing=True), NO, id="not available any more"),
        pytest.param(serving(UpdateInProgress=True), NO, id="updating"),
        pytest.param(serving(), UNKNOWN, id="no condition"),
        pytest.param(serving(Odd=True), UNKNOWN, id="an unknown condition"),
        pytest.param(
            serving(seen=2, Available=True), NO, id="available, but for an older generation"
        ),
        pytest.param(serving(seen=4, Available=True), YES, id="for a newer generation"),
        pytest.param(serving(wanted=0, seen=0), YES, id="no replicas wanted, no status"),
        pytest.param(
            {**serving(Available=True), "metadata": {"name": "m", "deletionTimestamp": "x"}},
            NO,
            id="being deleted",
        ),
    ],
)
def test_readiness(obj: Object, want: Readiness) -> None:
    assert serving_readiness(obj, None, 0, was_ready=False)[0] is want


@pytest.mark.parametrize(
    ("least", "available", "updating", "want"),
    [
        pytest.param(1, 1, False, YES, id="enough are ready while others start"),
        pytest.param(1, 0, False, NO, id="too few"),
        pytest.param(2, 1, False, NO, id="fewer than the minimum"),
        pytest.param(1, 1, True, NO, id="an update, not a scaling"),
        pytest.param(None, 1, False, NO, id="no autoscaler"),
    ],
)
def test_scaling_keeps_a_backend_ready(
    least: int | None, available: int, updating: bool, want: Readiness
) -> None:
    obj = serving(available=available, Progressing=True, UpdateInProgress=updating)
    assert serving_readiness(obj, least, 0, was_ready=True)[0] is want


@pytest.mark.parametrize(
    ("was_ready", "written", "want"),
    [
        pytest.param(True, 0, YES, id="somebody else's change: as before, ready"),
        pytest.param(False, 0, NO, id="somebody else's change: as before, not ready"),
        pytest.param(True, 3, NO, id="our own change: not ready"),
        pytest.param(True, 2, YES, id="ours was seen, somebody else's was not"),
    ],
)
def test_a_status_of_an_older_generation(was_ready: bool, written: int, want: Readiness) -> None:
    obj = serving(generation=3, seen=2, Available=True)
    assert serving_readiness(obj, None, written, was_ready=was_ready)[0] is want


@pytest.mark.parametrize(
    ("bounds", "available", "want"),
    [
        pytest.param((0, 4), 0, NO, id="it may scale to zero, but nothing serves"),
        pytest.param((0, 4), 1, YES, id="it may scale to zero, and one serves"),
        pytest.param((2, 4), 1, NO, id="fewer than its minimum"),
        pytest.param((2, 4), 2, YES, id="its minimum"),
        pytest.param(None, 1, NO, id="no autoscaler"),
    ],
)
def test_scaling_needs_at_least_one_ready_replica(
    bounds: tuple[int, int] | None, available: int, want: Readiness
) -> None:
    meaning = model("m", backend("b1"))
    servings = {"m-b1": serving(available=available, Progressing=True)}
    [report] = backend_reports(meaning, servings, {"m-b1": bounds}, {}, {})
    assert report.ready is want


ABSURD: list[Any] = [
    None,
    {},
    "text",
    [],
    {"conditions": None},
    {"conditions": "text", "observedGeneration": 3},
    {"conditions": [None, "text", 3, {}, {"type": 3}], "observedGeneration": 3},
    {"conditions": [{"type": "Available", "status": True}], "observedGeneration": 3},
    {"conditions": [{"type": "Available", "status": "True"}], "observedGeneration": "3"},
    {"conditions": [{"type": "Available"}], "observedGeneration": 3, "replicas": "many"},
]


@pytest.mark.parametrize("status", ABSURD, ids=repr)
def test_a_malformed_status_is_not_ready(status: Any) -> None:
    obj = {**serving(), "status": status}
    assert serving_readiness(obj, 1, 0, was_ready=False)[0] is not YES


def test_reports_follow_the_order_of_the_spec() -> None:
    meaning = model("m", backend("z"), backend("s", type="MindIE"), backend("a"))
    found = backend_reports(meaning, {"m-a": serving(available=2, Available=True)}, {}, {}, {})
    assert [report.as_stored() for report in found] == [
        {
            "name": "z",
            "modelServing": "m-z",
            "replicas": 0,
            "readyReplicas": 0,
            "ready": False,
            "message": 'ModelServing "m-z" does not exist',
        },
        {
            "name": "s",
            "replicas": 0,
            "readyReplicas": 0,
            "ready": False,
            "message": "type MindIE is not served yet",
        },
        {"name": "a", "modelServing": "m-a", "replicas": 2, "readyReplicas": 2, "ready": True},
    ]


def templated(obj: Object, **labels: str) -> Object:
    roles = [{"name": "leader", "entryTemplate": {"metadata": {"labels": labels}, "spec": {}}}]
    return {**obj, "spec": {**obj["spec"], "template": {"roles": roles}}}


OURS = templated(serving(Progressing=True), **{MANAGED_BY: "x", MODEL_UID: "u"})


@pytest.mark.parametrize(
    ("obj", "backends_with_pods", "want"),
    [
        pytest.param(OURS, [], ["m-b1"], id="no pod"),
        pytest.param(OURS, ["b1"], [], id="a pod"),
        pytest.param(OURS, ["b2"], ["m-b1"], id="a pod of another backend"),
        pytest.param({**OURS, "spec": {**OURS["spec"], "replicas": 0}}, [], [], id="none wanted"),
        pytest.param(
            {**OURS, "metadata": {**OURS["metadata"], "deletionTimestamp": "x"}},
            [],
            [],
            id="being deleted",
        ),
        pytest.param(
            {**OURS, "status": {**OURS["status"], "availableReplicas": 2}}, [], [], id="available"
        ),
        pytest.param(
            {**OURS, "status": {**OURS["status"], "availableReplicas": 1}},
            [],
            ["m-b1"],
            id="one of two available",
        ),
        pytest.param(
            {**OURS, "status": {"observedGeneration": 2, "availableReplicas": 2}},
            [],
            ["m-b1"],
            id="available, but for an older generation",
        ),
        pytest.param(templated(serving()), [], [], id="pods without our labels"),
        pytest.param(serving(), [], [], id="no template"),
    ],
)
def test_servings_without_pods(obj: Object, backends_with_pods: list[str], want: list[str]) -> None:
    records: list[Object] = [
        {"metadata": {"name": name, "labels": {BACKEND_NAME: name}}} for name in backends_with_pods
    ]
    assert list(podless(model("m", backend("b1")), {"m-b1": obj}, records)) == want


@pytest.mark.parametrize("seen", [0, 3])
def test_a_serving_without_pods_says_where_to_look(seen: int) -> None:
    obj = serving(seen=seen, Progressing=True)
    obj["metadata"]["namespace"] = "n" * 63
    meaning = model("m", backend("b1"))
    [report] = backend_reports(meaning, {"m-b1": obj}, {}, {}, {}, (), {"m-b1"})
    assert "; no pod has been created" in report.message
    assert "kubectl describe modelserving,quota -n nnn" in report.message
    assert len(report.message) <= 512
    obj = serving(available=2, Available=True)
    [report] = backend_reports(meaning, {"m-b1": obj}, {}, {}, {}, (), {"m-b1"})
    assert report.message == ""
