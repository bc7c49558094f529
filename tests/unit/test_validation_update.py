"""Faults and warnings of updates, and how many faults are reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import Profile
from app.errors import InvalidSpec
from app.validation import Context, validate, validate_and_convert
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker

AT = "spec.backends[0]"
ROOM = {"minReplicas": 1, "maxReplicas": 2}


def _faults(new: Object, old: Object) -> list[str]:
    return [str(fault.path) for fault in validate(new, Context(), old=old).faults]


BROKEN = backend("b", **ROOM)
"""Breaks a rule: bounds that differ, and no policy."""


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        pytest.param(
            booster_object("m", BROKEN), booster_object("m", BROKEN, owner="x"), [], id="elsewhere"
        ),
        pytest.param(
            booster_object("m", BROKEN),
            booster_object("m", backend("a"), BROKEN),
            [],
            id="another backend before it",
        ),
        pytest.param(
            booster_object("m", BROKEN), booster_object(backend=BROKEN), [], id="the other form"
        ),
        pytest.param(
            booster_object("m", BROKEN),
            booster_object("m", {**BROKEN, "name": "c"}),
            [AT],
            id="renamed",
        ),
        pytest.param(
            booster_object("m", BROKEN),
            booster_object("m", {**BROKEN, "maxReplicas": 3}),
            [AT],
            id="broken otherwise",
        ),
        pytest.param(
            booster_object("m", BROKEN),
            booster_object("m", {**BROKEN, "workers": [worker(image=" ")]}),
            [f"{AT}.workers[0].image"],
            id="one more fault",
        ),
        pytest.param({"metadata": {"name": "m"}}, {"metadata": {"name": "m"}}, [], id="no spec"),
        pytest.param(
            booster_object("m"), {"metadata": {"name": "m"}}, ["spec"], id="spec taken away"
        ),
        pytest.param(
            {"metadata": {"name": "m"}, "spec": {"backends": 1}},
            booster_object("m", BROKEN),
            [AT],
            id="after something unreadable",
        ),
        pytest.param(
            {"metadata": {"name": "m"}, "spec": {"name": "X", "backends": [backend()]}},
            {"metadata": {"name": "m"}, "spec": {"name": "X", "backends": [backend("b2")]}},
            [],
            id="a fault of the schema that stays",
        ),
    ],
)
def test_update_is_rejected_for_its_own_faults(old: Object, new: Object, want: list[str]) -> None:
    assert _faults(new, old) == want


def _many_faults(backends: int) -> list[str]:
    """Returns the faults of an object with two per backend."""
    broken = [
        backend(f"b{number}", **ROOM, workers=[worker(image=" ")]) for number in range(backends)
    ]
    return [str(fault) for fault in validate(booster_object("m", *broken), Context()).faults]


def test_at_most_20_faults_are_reported() -> None:
    assert [fault.partition(":")[0] for fault in _many_faults(10)][-1] == (
        "spec.backends[9].workers[0].image"
    )
    assert len(_many_faults(10)) == len(_many_faults(11)) == 20
    assert _many_faults(11)[-1] == "spec: Invalid value: 3 more faults"


def test_validate_and_convert_raises_every_fault() -> None:
    with pytest.raises(InvalidSpec) as caught:
        validate_and_convert(
            booster_object("m", {**BROKEN, "workers": [worker(image=" ")]}), Context()
        )
    assert [str(fault.path) for fault in caught.value.faults] == [AT, f"{AT}.workers[0].image"]
    assert caught.value.reason == "ValidationFailed"


def test_validate_and_convert_returns_model_and_children() -> None:
    model, children = validate_and_convert(booster_object("m", backend("b")), Context())
    assert model.backends[0].name == "b"
    assert [child.name for child in children] == ["m-b", "m-b", "m"]


def _warnings(
    new: Object, old: Object | None = None, profile: Profile | None = None
) -> tuple[str, ...]:
    verdict = validate(new, Context(profile=profile), old=old)
    assert verdict.faults == ()
    return verdict.warnings


def _engine(config: Object, gpus: int, pods: int = 1, **fields: Any) -> Object:
    resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else None
    wanted = worker(config=config, pods=pods, resources=resources)
    return booster_object("m", backend(workers=[wanted], **fields))


@pytest.mark.parametrize(
    ("config", "gpus", "pods", "words"),
    [
        pytest.param({}, 1, 1, None, id="one"),
        pytest.param({"tensor-parallel-size": 4}, 4, 1, None, id="fits"),
        pytest.param({"tensor_parallel_size": "4"}, 4, 1, None, id="fits, other spelling"),
        pytest.param(
            {"tensor-parallel-size": 8}, 4, 1, "= 8 devices, but 4 per pod x 1 pods = 4", id="short"
        ),
        pytest.param(
            {"tensor-parallel-size": 2, "pipeline-parallel-size": 2}, 2, 2, None, id="over pods"
        ),
        pytest.param({"tensor-parallel-size": 2}, 4, 1, "some stay idle", id="idle"),
        pytest.param(
            {"tensor-parallel-size": 2, "data-parallel-size": 2}, 4, 1, None, id="two engines"
        ),
        pytest.param({"tensor-parallel-size": 8}, 0, 1, None, id="devices unknown"),
    ],
)
def test_devices_fit(config: Object, gpus: int, pods: int, words: str | None) -> None:
    found = _warnings(_engine(config, gpus, pods))
    assert len(found) == (words is not None)
    assert all(words in text for text in found if words)


_PD_SCALED = booster_object("m", disaggregated(**ROOM, autoscalingPolicy=policy()))


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        pytest.param(booster_object("m", costExpansionRatePercent=200), "is ignored", id="rate"),
        pytest.param(
            booster_object("m", backend(gangScheduling=True)), None, id="gang, its scheduler"
        ),
        pytest.param(
            booster_object("m", backend(gangScheduling=True, schedulerName="volcano")),
            None,
            id="gang, named",
        ),
        pytest.param(
            booster_object("m", backend(gangScheduling=True, schedulerName="other")),
            'no gang is formed by scheduler "other"',
            id="gang, another scheduler",
        ),
        pytest.param(
            booster_object("m", backend(workers=[worker(replicas=0)])),
            f"{AT}.workers[0].replicas: 0 counts as 1",
            id="0 groups",
        ),
        pytest.param(
            booster_object("m", backend(workers=[worker(pods=0)])),
            f"{AT}.workers[0].pods: 0 counts as 1",
            id="0 pods",
        ),
        pytest.param(booster_object("m", backend(replicas=0)), "nothing serves", id="0 replicas"),
        pytest.param(
            booster_object(
                backend=backend(minReplicas=0, maxReplicas=2), autoscalingPolicy=policy()
            ),
            "nothing wakes it",
            id="to zero",
        ),
        pytest.param(
            booster_object("m", backend(modelURI="hf://meta-llama/Llama-3.1-8B")),
            "set HF_AUTH_TOKEN",
            id="gated",
        ),
        pytest.param(
            booster_object(
                "m",
                backend(
                    modelURI="hf://meta-llama/Llama-3.1-8B",
                    env=[{"name": "HF_AUTH_TOKEN", "value": "x"}],
                ),
            ),
            None,
            id="gated, with a token",
        ),
        pytest.param(
            booster_object("m", backend(cacheURI="hostpath:///models", replicas=2)),
            "up to 2 pods",
            id="a folder of several nodes",
        ),
        pytest.param(
            booster_object("m", backend(cacheURI="hostpath:///models", replicas=1)),
            None,
            id="a folder of one node",
        ),
        pytest.param(
            booster_object(
                "m", disaggregated(workers=[worker("prefill", pods=2), worker("decode")])
            ),
            "2 is ignored",
            id="pods of a role",
        ),
        pytest.param(
            booster_object(
                "m",
                disaggregated(
                    workers=[
                        worker(kind, config={"kv-transfer-config": '{"kv_connector": "Own"}'})
                        for kind in ("prefill", "decode")
                    ]
                ),
            ),
            'kv_connector "Own" is unknown',
            id="unknown connector",
        ),
        pytest.param(
            booster_object(
                "m", backend("a", **ROOM, autoscalingPolicy=policy()), backend("b", **ROOM)
            ),
            "maxReplicas is ignored",
            id="one without policy",
        ),
    ],
)
def test_advice(obj: Object, words: str | None) -> None:
    found = _warnings(obj)
    assert bool(found) == (words is not None)
    assert words is None or words in found[0]


@pytest.mark.parametrize(
    ("profile", "warned"), [(Profile.A, True), (Profile.B, False), (Profile.C, False)]
)
def test_v0_1_0_does_not_scale_disaggregated_backends(profile: Profile, warned: bool) -> None:
    found = _warnings(_PD_SCALED, profile=profile)
    assert [text.partition(";")[0] for text in found] == (
        [f"{AT}: the kthena release in this cluster cannot scale vLLMDisaggregated"]
        if warned
        else []
    )


OLD = booster_object("m", backend("a"), backend("b"))


@pytest.mark.parametrize(
    ("new", "want"),
    [
        pytest.param(OLD, [], id="nothing"),
        pytest.param(
            booster_object("m", backend("a", routeWeight=1), backend("b")), [], id="a weight"
        ),
        pytest.param(
            booster_object("m", backend("a", replicas=2), backend("b")), [], id="more replicas"
        ),
        pytest.param(booster_object("m", backend("b"), backend("a")), [], id="another order"),
        pytest.param(
            booster_object("m", backend("a")),
            ['backend "b" will be deleted with its ModelServing'],
            id="one less",
        ),
        pytest.param(
            booster_object("m", backend("a"), backend("b"), name="qwen"),
            [
                "changing spec.name replaces the ModelRoute: "
                "requests fail until the new one is in place"
            ],
            id="another name",
        ),
        pytest.param(
            booster_object("m", backend("a"), disaggregated("b")),
            ['backend "b" changes from vLLM to vLLMDisaggregated: all of its pods are replaced'],
            id="another type",
        ),
        pytest.param(
            booster_object(
                "m",
                backend(
                    "a",
                    workers=[worker(image="vllm/vllm-openai:v0.10.2", config={"port": 8001})],
                    loraAdapters=[lora("l")],
                ),
                backend("b"),
            ),
            [
                'pods of backend "a" will be replaced, because of loraAdapters, image, config',
                'backend "a" changes its port from 8000 to 8001: requests fail until its new '
                "pod has loaded the model; to lose none, add a second backend with the new value, "
                "and remove this one later",
            ],
            id="other pods",
        ),
        pytest.param(
            booster_object(
                "m",
                backend("a"),
                backend("b", replicas=3, workers=[worker(config={"served-model-name": "chat"})]),
            ),
            [
                'pods of backend "b" will be replaced, because of config',
                'backend "b" changes its served name from m to chat: requests to old pods fail '
                "once the first new one is ready; to lose none, add a second backend with the new "
                "value, and remove this one later",
            ],
            id="another served name of several replicas",
        ),
    ],
)
def test_update_warnings(new: Object, want: list[str]) -> None:
    assert list(_warnings(new, OLD)) == want


def test_a_served_name_that_old_pods_know_too_cuts_nobody_off() -> None:
    def named(*names: str) -> Object:
        config = {"served-model-name": [*names]}
        return booster_object("m", backend("a", workers=[worker(config=config)]))

    assert len(_warnings(named("m", "chat"), named("m"))) == 1  # the pods restart
    assert len(_warnings(named("chat", "m"), named("m", "chat"))) == 1
    assert len(_warnings(named("chat"), named("m"))) == 2


def test_a_new_connector_is_warned_of() -> None:
    def with_connector(name: str) -> Object:
        config = {"kv-transfer-config": {"kv_connector": name, "kv_role": "kv_both"}}
        kinds = ("prefill", "decode")
        return booster_object(
            "m", disaggregated(workers=[worker(kind, config=config) for kind in kinds])
        )

    *_, last = _warnings(with_connector("LMCacheConnectorV1"), with_connector("NixlConnector"))
    assert last.startswith('backend "pd" changes its connector from nixl to lmcache: requests fail')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": 1}}),
        ({"limits": {"memory": "1024Mi"}, "requests": {}}, {"limits": {"memory": "1Gi"}}),
        ({"limits": {"cpu": "1"}, "claims": []}, {"limits": {"cpu": "1"}}),
    ],
)
def test_equal_quantities_restart_nothing(before: Object, after: Object) -> None:
    def asking(resources: Object) -> Object:
        return booster_object("m", backend("a", workers=[worker(resources=resources)]))

    assert _warnings(asking(after), asking(before)) == ()


def test_shrinking_gang_is_replaced() -> None:
    def gang(replicas: int) -> Object:
        wanted = backend("a", gangScheduling=True, workers=[worker(replicas=replicas)])
        return booster_object("m", wanted)

    assert _warnings(gang(3), gang(2)) == ()
    (text,) = _warnings(gang(1), gang(2))
    assert text.endswith("its ModelServing is deleted and made anew")


def test_removed_policy_level_is_reported() -> None:
    own = booster_object("m", backend("a", **ROOM, autoscalingPolicy=policy()))
    (text,) = _warnings(booster_object("m", backend("a")), own)
    assert text == (
        "the autoscaling policies of the backend level are deleted; replicas stay as they are"
    )


@pytest.mark.parametrize(
    "backends", [7, "all", True, {"name": "b"}, [7], [["b"]], None], ids=lambda value: str(value)
)
def test_an_old_object_of_any_form_makes_no_fault_known(backends: Any) -> None:
    """The API server sends the old object as it was stored, maybe with another definition."""
    new = booster_object("m", backend("b", workers=[worker(config={"no-such-flag": 1})]))
    old = booster_object("m", backend("b"))
    old["spec"]["backends"] = backends
    [path] = _faults(new, old)
    assert path.startswith(f"{AT}.workers[0].config")
