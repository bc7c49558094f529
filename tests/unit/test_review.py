"""Reviews and their answers: what is refused how, and what is passed by."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.apis.kinds import DELETION_PROTECTION
from app.validation import Context
from app.values.meta import Object
from tests.builders import backend, booster_object, policy, worker
from tests.webhook import UID, review
from webhook.review import NotAReview, mutate_review, refuse_undecodable, validate_review

NOW = Context()
BOUNDS = {"minReplicas": 3, "maxReplicas": 2}
ALLOWED = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "response": {"uid": UID, "allowed": True},
}


def _status(answer: Object) -> Object:
    assert answer["response"]["uid"] == UID
    assert answer["response"]["allowed"] is False
    status: Object = answer["response"]["status"]
    assert status["status"] == "Failure"
    return status


def test_an_answer_is_short_and_echoes_nothing() -> None:
    answer = validate_review(review(booster_object("demo", backend(routeWeight=77))), NOW)
    assert answer == ALLOWED
    assert len(orjson.dumps(answer)) <= 200


def test_where_no_controller_looks_is_warned_of_and_not_refused() -> None:
    watched = Context(namespaces=("team-a", "team-b"))
    broken = booster_object("demo", backend(**BOUNDS))
    inside = validate_review(review(broken, namespace="team-a"), watched)
    assert _status(inside)["code"] == 422

    outside = validate_review(review(broken, namespace="default"), watched)

    assert outside["response"]["allowed"] is True
    assert outside["response"]["warnings"] == [
        "this ModelBooster will not be served: the controller watches only the namespaces "
        "team-a, team-b (watchNamespaces of the Helm chart)"
    ]


def test_one_fault() -> None:
    fault = "Invalid value: 3: minReplicas cannot be greater than maxReplicas"
    status = _status(validate_review(review(booster_object("demo", backend(**BOUNDS))), NOW))
    assert status == {
        "status": "Failure",
        "code": 422,
        "reason": "Invalid",
        "message": 'ModelBooster.workload.serving.volcano.sh "demo" is invalid: '
        f"spec.backends[0].minReplicas: {fault}",
        "details": {
            "group": "workload.serving.volcano.sh",
            "kind": "ModelBooster",
            "name": "demo",
            "causes": [
                {
                    "reason": "FieldValueInvalid",
                    "message": fault,
                    "field": "spec.backends[0].minReplicas",
                }
            ],
        },
    }
    assert len(orjson.dumps(status)) <= 1500


def test_several_faults_are_told_at_once() -> None:
    obj = booster_object("demo", backend(**BOUNDS, workers=[worker(image=" ")]))
    status = _status(validate_review(review(obj), NOW))
    assert [cause["field"] for cause in status["details"]["causes"]] == [
        "spec.backends[0].minReplicas",
        "spec.backends[0].workers[0].image",
    ]
    assert status["message"].partition("is invalid: ")[2].startswith("[spec.backends[0].minRep")
    assert status["message"].endswith("]")


def test_a_generated_name_stands_for_the_name() -> None:
    obj = booster_object(metadata={"name": None, "generateName": "demo-"}, costExpansionRate=1)
    obj["spec"]["backends"] = []
    assert _status(validate_review(review(obj), NOW))["details"]["name"] == "demo-"


def test_texts_are_bounded() -> None:
    match = {"headers": {"h" * 100_000: {"regex": "(" * 100_000}}}
    obj = booster_object("demo", *[backend(f"b{n}", **BOUNDS) for n in range(16)], modelMatch=match)
    answer = validate_review(review(obj), NOW)
    assert len(_status(answer)["message"].encode()) <= 4096
    assert len(orjson.dumps(answer)) < 32_768


@pytest.mark.fault("F70")
@pytest.mark.parametrize(
    "obj",
    [None, 7, "x", []],
    ids=["null", "number", "string", "list"],
)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_no_object_is_refused(obj: Any, operation: str) -> None:
    sent = review(operation=operation)
    sent["request"]["object"] = obj
    assert _status(validate_review(sent, NOW))["code"] == 422
    assert mutate_review(sent) == ALLOWED


@pytest.mark.fault("F70")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="a list"),
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param({**review(), "apiVersion": "admission.k8s.io/v1beta1"}, id="v1beta1"),
        pytest.param({**review(), "kind": "Review"}, id="another kind"),
        pytest.param({**review(), "request": None}, id="no request"),
        pytest.param({**review(), "request": "x"}, id="a string for a request"),
        pytest.param(review(uid=""), id="empty uid"),
        pytest.param(review(uid=7), id="a number for a uid"),
        pytest.param(review(uid="x" * 129), id="endless uid"),
        pytest.param({**review(), "request": {"object": {}}}, id="no uid"),
    ],
)
def test_what_is_no_review(body: Any) -> None:
    with pytest.raises(NotAReview) as caught:
        validate_review(body, NOW)
    assert 0 < len(str(caught.value)) <= 200
    with pytest.raises(NotAReview, match=str(caught.value)):
        mutate_review(body)


@pytest.mark.fault("F70")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"operation": "CONNECT"}, id="another operation"),
        pytest.param({"operation": 7}, id="no operation"),
        pytest.param({"subResource": "status"}, id="a part of the object"),
        pytest.param(
            {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, id="another kind"
        ),
        pytest.param({"kind": None}, id="no kind"),
    ],
)
def test_what_is_not_ours_is_passed_by(fields: Object) -> None:
    sent = review(booster_object("demo", backend(**BOUNDS)), **{"operation": "CREATE", **fields})
    assert validate_review(sent, NOW) == ALLOWED
    assert mutate_review(sent) == ALLOWED


def test_an_update_is_compared_with_what_was() -> None:
    old = booster_object("demo", backend(**BOUNDS))
    new = booster_object("demo", backend(**BOUNDS), owner="x")
    assert validate_review(review(new, operation="UPDATE", oldObject=old), NOW) == ALLOWED
    assert _status(validate_review(review(new, operation="UPDATE"), NOW))["code"] == 422


PROTECTED = {"annotations": {DELETION_PROTECTION: "true"}}


@pytest.mark.parametrize(
    ("metadata", "user", "allowed"),
    [
        pytest.param(PROTECTED, "alice", False, id="protected"),
        pytest.param({}, "alice", True, id="not protected"),
        pytest.param({"annotations": {DELETION_PROTECTION: "false"}}, "alice", True, id="off"),
        pytest.param({"annotations": {DELETION_PROTECTION: "True"}}, "alice", True, id="no word"),
        pytest.param({**PROTECTED, "deletionTimestamp": "x"}, "alice", True, id="going already"),
        *(
            pytest.param(PROTECTED, user, True, id=user.rpartition(":")[2])
            for user in (
                "system:serviceaccount:kube-system:namespace-controller",
                "system:serviceaccount:kube-system:generic-garbage-collector",
                "system:kube-controller-manager",
            )
        ),
        pytest.param(
            PROTECTED, "system:serviceaccount:x:namespace-controller", False, id="a namesake"
        ),
    ],
)
def test_deletion(metadata: Object, user: str, allowed: bool) -> None:
    old = booster_object("demo", metadata=metadata)
    sent = review(operation="DELETE", oldObject=old, userInfo={"username": user})
    answer = validate_review(sent, NOW)
    if allowed:
        assert answer == ALLOWED
        return
    assert _status(answer) == {
        "status": "Failure",
        "code": 403,
        "reason": "Forbidden",
        "message": 'modelboosters.workload.serving.volcano.sh "demo" is forbidden: deletion '
        f"protection is enabled; remove the annotation {DELETION_PROTECTION} first",
        "details": {
            "group": "workload.serving.volcano.sh",
            "kind": "modelboosters",
            "name": "demo",
        },
    }


@pytest.mark.parametrize("old", [None, 7, {}, {"metadata": 1}, {"metadata": {"annotations": 1}}])
def test_deletion_of_something_strange(old: Any) -> None:
    sent = review(operation="DELETE", oldObject=old, userInfo=None)
    assert validate_review(sent, NOW) == ALLOWED


def test_a_rate_is_stored_once() -> None:
    obj = booster_object("m", backend(scalingCost=1), autoscalingPolicy=policy())
    response = mutate_review(review(obj))["response"]
    assert response.keys() == {"uid", "allowed", "patchType", "patch"}
    assert response["patchType"] == "JSONPatch"
    assert orjson.loads(base64.b64decode(response["patch"])) == [
        {"op": "add", "path": "/spec/costExpansionRatePercent", "value": 200}
    ]
    obj["spec"]["costExpansionRatePercent"] = 200
    assert mutate_review(review(obj)) == ALLOWED


def test_nothing_is_stored_later() -> None:
    obj = booster_object("m", backend(scalingCost=1), autoscalingPolicy=policy())
    assert mutate_review(review(obj, operation="UPDATE", oldObject=obj)) == ALLOWED


@pytest.mark.parametrize("spec", [[], None, 7, {"backends": 3, "autoscalingPolicy": 7}])
def test_nothing_is_stored_in_what_makes_no_sense(spec: Any) -> None:
    assert mutate_review(review({**booster_object(), "spec": spec})) == ALLOWED


def _warnings(obj: Object) -> list[str]:
    answer = validate_review(review(obj), NOW)
    assert answer["response"]["allowed"] is True
    warnings: list[str] = answer["response"]["warnings"]
    return warnings


@pytest.mark.parametrize("count", [1, 5, 6, 16])
def test_warnings_are_few(count: int) -> None:
    found = _warnings(booster_object("m", *[backend(f"b{n}", replicas=0) for n in range(count)]))
    assert len(found) == min(count, 5)
    assert (found[-1] == f"{count - 4} more warnings are not shown") == (count > 5)


def test_warnings_are_short_and_in_one_line() -> None:
    scheduler = "a\nb\u0007\u2028" + "\U0001f600" * 200
    wanted = backend(gangScheduling=True, schedulerName=scheduler)
    (text,) = _warnings(booster_object("m", wanted))
    assert len(text.encode()) <= 256
    assert text.isprintable()
    assert text.startswith("spec.backends[0].gangScheduling: ")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield (*path, key)
        yield from _places(value[key], (*path, key))


@pytest.mark.parametrize(
    "piece", [pytest.param(("[", "]"), id="lists"), pytest.param(('{"a":', "}"), id="maps")]
)
def test_no_depth_is_too_much_anywhere(piece: tuple[str, str]) -> None:
    levels = 1000
    deep = piece[0] * levels + "1" + piece[1] * levels
    env = [{"name": "A", "value": "b"}, {"name": "B", "value": "c"}]
    config = {"port": 8001}
    wanted = backend(env=env, loraAdapters=[], workers=[worker("server", config=config)])
    obj = booster_object("demo", wanted, modelMatch={"uri": {"regex": "a"}}, name="x")
    for path in _places(obj):
        changed = orjson.loads(orjson.dumps(obj))
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = orjson.loads(deep)
        answer = validate_review(review(changed), NOW)
        assert len(orjson.dumps(answer)) < 4096
        assert answer["response"]["uid"] == mutate_review(review(changed))["response"]["uid"] == UID
        # A map in place of a map is one with unknown fields.
        if piece[0] == "[":
            assert answer["response"]["allowed"] is False


def test_what_cannot_be_read_is_refused_by_its_uid() -> None:
    assert _status(refuse_undecodable(UID, "too deep")) == {
        "status": "Failure",
        "code": 422,
        "reason": "Invalid",
        "message": "too deep",
    }


# While another CustomResourceDefinition is installed.

REPLACED = Context(replaced="another one is installed; restore ours")
STORED = {"creationTimestamp": "2026-01-01T00:00:00Z", "name": "demo"}
WITH_OURS = {"status": {"observedGeneration": 1, "modelName": "demo"}, "metadata": STORED}
WITH_THEIRS = {"status": {"observedGeneration": 1}, "metadata": STORED, "spec": {}}


@pytest.mark.parametrize(
    ("context", "request_", "want"),
    [
        pytest.param(NOW, review(), None, id="create, ours"),
        pytest.param(REPLACED, review(), "not possible now: another one", id="create, theirs"),
        pytest.param(
            REPLACED,
            review(operation="UPDATE", oldObject={**booster_object(), **WITH_OURS}),
            None,
            id="update, read with ours: the request knows it better",
        ),
        pytest.param(
            NOW,
            review(WITH_THEIRS, operation="UPDATE", oldObject=WITH_THEIRS),
            "is not the one of model-booster",
            id="label, read with theirs",
        ),
        pytest.param(
            NOW,
            review(WITH_THEIRS, operation="UPDATE", oldObject=WITH_THEIRS, subResource="status"),
            "helm upgrade with crds.install=true",
            id="status by anybody, read with theirs",
        ),
        pytest.param(
            NOW,
            review(booster_object(), operation="UPDATE", oldObject={"metadata": STORED}),
            "is not the one of model-booster",
            id="never reported, read with theirs",
        ),
        pytest.param(
            REPLACED,
            review(
                {"metadata": {**STORED, "deletionTimestamp": "2026-01-01T00:00:00Z"}},
                operation="UPDATE",
                oldObject=WITH_THEIRS,
            ),
            None,
            id="a finalizer of what is being deleted",
        ),
        pytest.param(
            REPLACED, review(operation="DELETE", oldObject=WITH_THEIRS), None, id="deletion"
        ),
    ],
)
def test_writes_are_refused_while_another_definition_is_installed(
    context: Context, request_: Object, want: str | None
) -> None:
    answer = validate_review(request_, context)
    if want is None:
        assert answer == ALLOWED
    else:
        status = _status(answer)
        assert (status["code"], status["reason"]) == (503, "ServiceUnavailable")
        assert want in status["message"]
