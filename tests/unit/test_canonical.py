"""What a ModelBooster means: every step from what may be written to the one form that is read."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.modelbooster import ModelBooster
from app.model.canonical import canonical
from app.model.forms import BackendForm, Model, PolicyScope, WorkerForm
from app.values.fields import Path
from app.values.meta import Object
from tests.builders import UID, backend, booster_object, disaggregated, model, policy, worker


def only(**fields: Any) -> BackendForm:
    return model("m", backend(**fields)).backends[0]


def first_worker(**fields: Any) -> WorkerForm:
    return only(workers=[worker(**fields)]).workers[0]


def test_backend_and_backends_mean_the_same() -> None:  # N-1
    several, one = model("m", backend("b1")), model("m", backend=backend("b1"))
    assert [b.name for b in one.backends] == ["b1"]
    assert one.backends[0].path == Path("spec.backend")
    assert several.backends[0].path == Path("spec.backends[0]")
    assert one.backends[0].workers[0].path == Path("spec.backend.workers[0]")


def test_backends_stay_in_order() -> None:
    form = model("m", backend("z"), backend("a"), backend("m"))
    assert [b.name for b in form.backends] == ["z", "a", "m"]
    assert [str(b.path) for b in form.backends] == [f"spec.backends[{i}]" for i in range(3)]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_replicas_are_both_bounds(count: int) -> None:  # N-2
    form = only(replicas=count)
    assert (form.min_replicas, form.max_replicas) == (count, count)


SAME = {"minReplicas": 2, "maxReplicas": 2}


@pytest.mark.parametrize(
    ("spec", "own", "scaled"),
    [
        pytest.param({}, SAME, False, id="no policy"),
        pytest.param({"autoscalingPolicy": policy()}, SAME, True, id="policy of the model"),
        pytest.param({}, {**SAME, "autoscalingPolicy": policy()}, True, id="own policy"),
    ],
)
def test_only_a_policy_scales(spec: Object, own: Object, scaled: bool) -> None:  # N-3
    form = model("m", backend(**own), **spec)
    assert form.is_autoscaled(form.backends[0]) is scaled


def test_a_policy_beside_backends_is_the_models() -> None:  # N-4
    form = model("m", backend("a"), backend("b"), autoscalingPolicy=policy(tolerancePercent=5))
    assert form.policy_scope is PolicyScope.MODEL
    assert form.policy is not None
    assert form.policy.tolerance_percent == 5
    assert [b.policy for b in form.backends] == [None, None]
    assert [b.policy_path for b in form.backends] == [None, None]


def test_a_policy_beside_backend_is_that_backends_own() -> None:  # N-5
    bounds = {"minReplicas": 0, "maxReplicas": 2}
    form = model("m", backend=backend(**bounds), autoscalingPolicy=policy(tolerancePercent=5))
    [one] = form.backends
    assert (form.policy_scope, form.policy) == (PolicyScope.BACKEND, None)
    assert one.policy is not None
    assert one.policy.tolerance_percent == 5
    assert one.policy_path == Path("spec.autoscalingPolicy")
    assert one.min_replicas == 0


def test_policies_of_backends_are_theirs_alone() -> None:  # N-6
    form = model("m", backend("a"), backend("b", autoscalingPolicy=policy()))
    assert (form.policy_scope, form.policy) == (PolicyScope.BACKEND, None)
    assert [form.is_autoscaled(b) for b in form.backends] == [False, True]
    assert form.backends[1].policy_path == Path("spec.backends[1].autoscalingPolicy")


def test_without_any_policy_there_is_no_scope() -> None:
    assert model("m").policy_scope is PolicyScope.NONE


@pytest.mark.parametrize(
    ("spec", "rate"),
    [
        pytest.param({"autoscalingPolicy": policy()}, 200, id="absent"),
        pytest.param(
            {"autoscalingPolicy": policy(), "costExpansionRatePercent": 0}, 0, id="zero is a value"
        ),
        pytest.param({"autoscalingPolicy": policy(), "costExpansionRatePercent": 7}, 7, id="given"),
        pytest.param({}, 200, id="no policy"),
    ],
)
def test_cost_rate(spec: Object, rate: int) -> None:
    assert model("m", **spec).cost_expansion_rate_percent == rate  # N-7


@pytest.mark.parametrize(("given", "want"), [(None, 100), (0, 0), (30, 30)])
def test_route_weight(given: int | None, want: int) -> None:  # N-8
    assert only(routeWeight=given).route_weight == want


@pytest.mark.parametrize("given", [None, "server"])
def test_a_worker_without_type_is_a_server(given: str | None) -> None:  # N-9
    assert only(workers=[worker(given)]).workers[0].type == "server"


@pytest.mark.parametrize(("given", "want"), [(None, 1), (0, 1), (1, 1), (4, 4)])
def test_counts_of_workers(given: int | None, want: int) -> None:  # N-10
    form = first_worker(replicas=given, pods=given)
    assert (form.replicas, form.pods) == (want, want)


@pytest.mark.parametrize(
    ("given", "want"),
    [(None, {}), ({}, {}), ({"b": None, "a": [None, {"c": 1.5}]}, None)],
)
def test_config_is_as_written(given: Object | None, want: Object | None) -> None:  # N-11
    config = first_worker(config=given).config
    assert config == (given if want is None else want)
    assert list(config) == list(given or {})


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param({}, None, id="empty"),
        pytest.param(
            {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                        ]
                    }
                }
            },
            {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                        ]
                    }
                }
            },
            id="given",
        ),
    ],
)
def test_affinity(given: Object | None, want: Object | None) -> None:  # N-12
    assert first_worker(affinity=given).affinity == want


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({}, ("chosen", False), id="absent"),
        pytest.param({"schedulerName": ""}, ("chosen", False), id="empty"),
        pytest.param({"schedulerName": "mine"}, ("mine", False), id="named"),
        pytest.param({"gangScheduling": True}, ("volcano", True), id="gang"),
        pytest.param({"gangScheduling": False}, ("chosen", False), id="no gang"),
        pytest.param(
            {"gangScheduling": True, "schedulerName": "mine"}, ("mine", True), id="gang, named"
        ),
    ],
)
def test_scheduler(fields: Object, want: tuple[str, bool]) -> None:  # N-13
    parsed = ModelBooster.model_validate(booster_object("m", backend(**fields)))
    [form] = canonical(parsed, default_scheduler_name="chosen").backends
    assert (form.scheduler_name, form.gang_scheduling) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [(None, ("m", "metadata.name")), ("", ("m", "metadata.name")), ("x", ("x", "spec.name"))],
)
def test_clients_ask_for_spec_name_if_there_is_one(  # N-15
    given: str | None, want: tuple[str, str]
) -> None:
    spec = ModelBooster.model_validate(booster_object("m"))
    assert spec.spec is not None
    named = spec.model_copy(update={"spec": spec.spec.model_copy(update={"name": given})})
    form = canonical(named)
    assert (form.route_name, str(form.route_name_path)) == want
    assert form.name == "m"


@pytest.mark.parametrize("given", [None, 0, 10])
def test_tolerance_stays_as_written(given: int | None) -> None:  # N-17
    form = model("m", backend(autoscalingPolicy=policy(tolerancePercent=given))).backends[0]
    assert form.policy is not None
    assert form.policy.tolerance_percent == given


def test_environment_and_resources_are_as_written() -> None:
    env = [
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
        {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}},
    ]
    env_from = [{"secretRef": {"name": "s"}}, {"prefix": "P_", "configMapRef": {"name": "c"}}]
    resources = {"limits": {"cpu": 2, "memory": "1024Mi", "nvidia.com/gpu": "1"}, "requests": {}}
    tolerations = [{"key": "gpu", "operator": "Exists"}, {"tolerationSeconds": 0}]
    one = backend(
        env=env,
        envFrom=env_from,
        workers=[worker(resources=resources, tolerations=tolerations)],
    )
    form = model("m", one).backends[0]
    assert (form.env, form.env_from) == (env, env_from)
    assert form.workers[0].resources == resources
    assert form.workers[0].tolerations == tolerations


def test_what_is_absent_is_empty() -> None:
    form = only()
    assert (form.env, form.env_from, form.lora_adapters) == ([], [], ())
    assert (form.cache_uri, form.runtime_class_name, form.policy) == (None, None, None)
    assert form.scaling_cost == 0
    assert (form.workers[0].resources, form.workers[0].tolerations) == ({}, [])
    assert model("m").model_match is None


def test_workers_are_found_by_type() -> None:
    [form] = model("m", disaggregated("pd")).backends
    prefill, decode = form.worker("prefill"), form.worker("decode")
    assert prefill is not None
    assert decode is not None
    assert (str(prefill.path), str(decode.path)) == (
        "spec.backends[0].workers[0]",
        "spec.backends[0].workers[1]",
    )
    assert form.worker("server") is None


def test_identity_is_that_of_the_object() -> None:
    form = model("m", metadata={"namespace": "team", "generation": 4})
    assert (form.namespace, form.name, form.uid, form.generation) == ("team", "m", UID, 4)


def test_an_object_that_nobody_stored_yet_stands_in_the_default_namespace() -> None:
    form: Model = canonical(ModelBooster.model_validate(booster_object("m")))
    assert (form.namespace, form.uid, form.generation) == ("default", "", 0)


def test_model_match_is_as_written() -> None:
    match = {"headers": {"x": {"regex": "a|b"}}, "uri": {"prefix": "/v1"}, "body": {"model": "q"}}
    assert model("m", modelMatch=match).model_match == match


def test_an_object_without_spec_means_no_backends() -> None:
    obj = {"metadata": {"name": "m"}}
    assert canonical(ModelBooster.model_validate(obj)).backends == ()
