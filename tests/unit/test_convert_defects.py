"""Defects of kthena's own controllers, one test each, numbered as in docs/differences.md."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.apis.kinds import ENTRY, Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.convert.scaling_metrics import asked_role
from app.model.canonical import canonical
from app.model.children import Desired
from app.values.fields import SpecError
from app.values.meta import Object
from tests.builders import (
    UID,
    backend,
    disaggregated,
    lora,
    model,
    policy,
    stored_object,
    worker,
)

NIXL = '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
GPU = {"limits": {"nvidia.com/gpu": "1"}}


def made(*backends: Object, profile: Profile = Profile.B, **spec: Any) -> list[Desired]:
    return desired_children(model("demo", *backends, **spec), profile, Options())


def specs(kind: str, *backends: Object, **fields: Any) -> list[Object]:
    children = made(*backends, **fields)
    return [child.object["spec"] for child in children if child.resource.kind == kind]


def roles(*backends: Object, **fields: Any) -> Iterator[Object]:
    for serving in specs("ModelServing", *backends, **fields):
        yield from serving["template"]["roles"]


def pods(*backends: Object, **fields: Any) -> list[Object]:
    """Returns the specs of all pods, entries and followers."""
    parts = ("entryTemplate", "workerTemplate")
    return [r[part]["spec"] for r in roles(*backends, **fields) for part in parts if part in r]


def containers(name: str, *backends: Object, **fields: Any) -> list[Object]:
    found = []
    for pod in pods(*backends, **fields):
        found += [c for c in pod["initContainers"] + pod["containers"] if c["name"] == name]
    return found


def engine(**fields: Any) -> Object:
    """Returns the engine's container of one backend."""
    (container,) = containers("engine", backend(**fields))
    return container


@pytest.mark.parametrize("uri", ["pvc://c", "pvc:///c", "pvc:///c/"])
def test_d1_claim_is_mounted_under_its_name(uri: str) -> None:
    (pod,) = pods(backend(cacheURI=uri))

    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "c"}
    weights = engine(cacheURI=uri)["volumeMounts"][0]
    assert weights == {"name": "weights", "mountPath": "/c", "readOnly": True}


def test_d2_model_without_cache_uses_an_empty_dir() -> None:
    (pod,) = pods(backend())

    assert pod["volumes"][0] == {"name": "weights", "emptyDir": {}}
    assert {m["mountPath"] for c in pod["containers"] for m in c["volumeMounts"]} == {
        "/models-cache",
        "/dev/shm",
    }
    assert engine()["command"][4].startswith("/models-cache/")


def test_d3_nothing_is_installed_at_start_and_json_is_one_argument() -> None:
    config = {"kv-transfer-config": NIXL}
    pair = [worker(kind, config=config, resources=GPU) for kind in ("prefill", "decode")]

    for container in containers("vllm", disaggregated(workers=pair)):
        assert container["command"][0] == "python3"
        assert container["command"].count(NIXL) == 1


def test_d3b_model_server_selects_only_its_own_pods() -> None:
    """Route weights only work if each pod belongs to exactly one backend."""
    several = [
        backend("a", routeWeight=95),
        backend("b", routeWeight=5, workers=[worker(pods=3)]),
        disaggregated("c"),
    ]
    selectors = [s["workloadSelector"]["matchLabels"] for s in specs("ModelServer", *several)]

    for serving in (c.object for c in made(*several) if c.resource.kind == "ModelServing"):
        for labels, entry in pods_made_of(serving):
            chosen = [s for s in selectors if s.items() <= labels.items()]
            assert len(chosen) == (1 if entry else 0)


def pods_made_of(serving: Object) -> Iterator[tuple[dict[str, str], bool]]:
    """Yields the labels of the pods that kthena creates, and whether each is an entry pod."""
    own = "modelserving.volcano.sh"
    for role in serving["spec"]["template"]["roles"]:
        ours = {f"{own}/name": serving["metadata"]["name"], f"{own}/role": role["name"]}
        labels = role["entryTemplate"]["metadata"]["labels"]
        yield {**ours, **labels, f"{own}/entry": "true"}, True
        for _ in range(role["workerReplicas"]):
            yield {**ours, **role["workerTemplate"].get("metadata", {}).get("labels", {})}, False


def test_d4_the_engine_serves_the_name_that_the_router_sends() -> None:
    for config in ({}, {"served-model-name": "x"}, {"served_model_name": "x"}):
        own = backend(workers=[worker(config=config)])
        (server,) = specs("ModelServer", own, name="for-clients")
        command = engine(workers=[worker(config=config)])["command"]
        assert command.count("--served-model-name") == 1
        assert command[command.index("--served-model-name") + 1] == server["model"]


def test_d4_prefill_serves_the_name_that_only_decode_sets() -> None:
    one_named = [worker("prefill"), worker("decode", config={"served-model-name": "x"})]
    for container in containers("vllm", disaggregated(workers=one_named)):
        command = container["command"]
        assert command[command.index("--served-model-name") + 1] == "x"


def test_d5_numbers_in_full_and_json_as_json() -> None:
    config = {
        "max-model-len": 1048576,
        "max-num-batched-tokens": 1e6,
        "seed": None,
        "allowed-origins": [1, "x"],
        "hf-overrides": {"k": True},
    }
    command = engine(workers=[worker(config=config)])["command"]

    assert command[5:13] == [
        *("--allowed-origins", '[1,"x"]', "--hf-overrides", '{"k":true}'),
        *("--max-model-len", "1048576", "--max-num-batched-tokens", "1000000"),
    ]


def test_d6_multi_node_script_holds_the_whole_command() -> None:
    several = {
        "workers": [worker(pods=2, config={"chat-template": "a b"})],
        "loraAdapters": [lora("sql")],
    }
    command = engine(**several)["command"]

    assert command[:2] == ["bash", "-c"]
    assert len(command) == 3
    words = shlex.split(command[2].split(" && ")[2])
    assert words[:3] == ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    assert words[words.index("--chat-template") + 1] == "a b"
    assert json.loads(words[words.index("--kv-events-config") + 1])["publisher"] == "zmq"
    assert words[-3:-1] == ["--enable-lora", "--lora-modules"]


def test_d7_user_variable_overrides_ours() -> None:
    names = ["POD_NAME", "NAMESPACE", "VLLM_USE_V1", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"]
    names += ["HF_HUB_OFFLINE", "HCCL_IF_IP", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"]
    env = [{"name": name, "value": "mine"} for name in [*names, "HCCL_SOCKET_IFNAME"]]

    for pod in pods(backend(env=env), disaggregated(env=env)):
        for container in pod["containers"]:
            assert container["env"] == env


def test_d8_gang_policy_is_opt_in() -> None:
    for template in (s["template"] for s in specs("ModelServing", backend(), disaggregated())):
        assert "gangPolicy" not in template


def test_d8_gang_holds_all_replicas_of_each_role() -> None:
    pair = [worker("prefill", replicas=3), worker("decode", replicas=2)]
    several = [
        backend("a", gangScheduling=True, workers=[worker(replicas=2, pods=2)]),
        disaggregated("b", gangScheduling=True, workers=pair, schedulerName="own"),
    ]
    first, second = specs("ModelServing", *several)

    assert first["template"]["gangPolicy"] == {"minRoleReplicas": {"leader": 2}}
    assert second["template"]["gangPolicy"] == {"minRoleReplicas": {"prefill": 3, "decode": 2}}
    assert (first["schedulerName"], second["schedulerName"]) == ("volcano", "own")


@pytest.mark.parametrize(
    "text", ["${ENGINE_ENV}", "${X", "a${MODEL_NAME}b", "$(POD_NAME)", "{{x}}"]
)
def test_d9_user_values_are_not_expanded(text: str) -> None:
    container = engine(
        env=[{"name": "X", "value": text}],
        workers=[worker(image=text, config={"chat-template": text})],
    )

    assert container["image"] == text
    assert container["env"][0] == {"name": "X", "value": text}
    assert container["command"][5:7] == ["--chat-template", text]


@pytest.mark.parametrize("profile", Profile)
def test_d9b_autoscaled_child_has_replica_bounds(profile: Profile) -> None:
    """``Desired`` holds the bounds, and replicas do not change the revision."""

    def serving(least: int) -> Desired:
        scaled = backend(minReplicas=least, maxReplicas=5, autoscalingPolicy=policy())
        children = made(scaled, profile=profile)
        return next(child for child in children if child.resource.kind == "ModelServing")

    revision = "workload.serving.volcano.sh/revision"
    first, second = serving(1), serving(2)
    assert (first.replica_bounds, second.replica_bounds) == ((1, 5), (2, 5))
    assert first.object["spec"]["replicas"] == 1
    labels = [child.object["metadata"]["labels"][revision] for child in (first, second)]
    assert labels[0] == labels[1]


def test_d9b_no_replica_bounds_without_policy() -> None:
    assert {child.replica_bounds for child in made(backend(), disaggregated())} == {None}


def test_d11_disaggregated_pods_are_labelled_and_not_bound_to_ascend() -> None:
    for role in roles(disaggregated()):
        labels = role["entryTemplate"]["metadata"]["labels"]
        assert labels["workload.serving.volcano.sh/model-uid"] == UID
        assert "affinity" not in role["entryTemplate"]["spec"]


def test_d12_followers_are_not_endpoints() -> None:
    (role,) = roles(backend(workers=[worker(pods=2)]))
    assert "metadata" not in role["workerTemplate"]


def test_d13_the_sidecar_shares_adapters_with_the_engine() -> None:
    (sidecar,) = containers("runtime", backend(cacheURI="hostpath:///cache"))
    assert sidecar["volumeMounts"] == [{"name": "weights", "mountPath": "/cache"}]


@pytest.mark.parametrize("kind", ["vLLM", "vLLMDisaggregated"])
def test_d14_engine_port_is_used_everywhere(kind: str) -> None:
    config = {"port": 9000}
    if kind == "vLLM":
        own = backend(workers=[worker(config=config)])
    else:
        own = disaggregated(workers=[worker(k, config=config) for k in ("prefill", "decode")])
    (server,) = specs("ModelServer", own)

    assert server["workloadPort"] == {"port": 9000}
    for pod in pods(own):
        sidecar, container = pod["containers"]
        assert "http://localhost:9000" in sidecar["args"]
        assert container["readinessProbe"]["httpGet"]["port"] == 9000
        assert (
            container.get("livenessProbe", container["readinessProbe"])["httpGet"]["port"] == 9000
        )
        assert container.get("ports", [{"containerPort": 9000}]) == [{"containerPort": 9000}]
        if kind == "vLLM":
            assert (
                "localhost:9000/metrics" in container["lifecycle"]["preStop"]["exec"]["command"][2]
            )


def target_of(own: Object, profile: Profile) -> Object:
    kind = "AutoscalingPolicy" if profile is Profile.C else "AutoscalingPolicyBinding"
    (spec,) = specs(kind, own, profile=profile)
    part = "scalingConfiguration" if profile is Profile.A else "homogeneousTarget"
    target: Object = spec[part]["target"]
    return target


SCALED = {"minReplicas": 1, "maxReplicas": 2, "autoscalingPolicy": policy()}
METRIC = "kthena:num_requests_waiting"


def test_d14b_autoscaler_scrapes_the_runtime_port() -> None:
    own = backend(**SCALED, env=[{"name": "RUNTIME_PORT", "value": "9100"}])

    assert target_of(own, Profile.A)["metricEndpoint"] == {"port": 9100}
    assert target_of(own, Profile.B)["metricEndpoint"]["port"] == 9100
    assert target_of(own, Profile.C)["metricSources"][METRIC]["pod"]["port"] == 9100


def test_d14c_prefill_pods_are_asked() -> None:
    own = disaggregated(**SCALED)

    assert made(own, profile=Profile.A) == made(disaggregated(), profile=Profile.A)
    selector = {"matchLabels": {"modelserving.volcano.sh/role": "prefill"}}
    assert target_of(own, Profile.B)["metricEndpoint"] == {"labelSelector": selector}
    assert target_of(own, Profile.C)["metricSources"][METRIC]["pod"] == {
        "uri": "/metrics",
        "port": 8100,
        "labelSelector": selector,
    }


def _metric_targets(*backends: Object, profile: Profile, **spec: Any) -> list[str]:
    found = specs("AutoscalingPolicy", *backends, profile=profile, **spec)
    return [metric["targetValue"] for each in found for metric in each["metrics"]]


@pytest.mark.parametrize("profile", list(Profile))
def test_d40_a_target_is_per_pod(profile: Profile) -> None:
    """kthena divides the sum over all pods that it asks by the target: these are the replicas."""
    one, pair = worker(replicas=1), worker(replicas=2)
    for own, want in ((one, "5"), (pair, "10"), (worker(replicas=3, pods=2), "15")):
        found = _metric_targets(backend(**SCALED, workers=[own]), profile=profile)
        assert found == [want]
    huge = policy(metrics=[{"metricName": METRIC, "targetValue": "1e400"}])
    scaled = {**SCALED, "autoscalingPolicy": huge}
    assert _metric_targets(backend(**scaled, workers=[pair]), profile=profile) == ["20e399"]
    # With v0.1.0 each by itself; else one target cannot be right for both, and the webhook warns.
    both = ["5", "10"] if profile is Profile.A else ["5"]
    backends = [
        backend(name, minReplicas=1, maxReplicas=2, scalingCost=1, workers=[own])
        for name, own in (("a", one), ("b", pair))
    ]
    spec = {"autoscalingPolicy": policy()}
    assert _metric_targets(*backends, profile=profile, **spec) == both
    assert set(_metric_targets(backends[1], profile=profile, **spec)) == {"10"}


@pytest.mark.parametrize(
    ("metrics", "role"),
    [
        (["kthena:num_requests_waiting"], "prefill"),
        (["vllm:time_to_first_token_seconds"], "prefill"),
        (["sglang:num_queue_reqs"], "prefill"),
        (["http_requests_total"], "prefill"),
        (["vllm:num_requests_running"], "decode"),
        (["sglang:num_running_reqs"], "decode"),
        (["vllm:kv_cache_usage_perc"], "decode"),
        (["sglang:token_usage"], "decode"),
        (["kthena:time_per_output_token_seconds"], "decode"),
        (["vllm:inter_token_latency_seconds"], "decode"),
        (["vllm:e2e_request_latency_seconds"], "decode"),
        (["sglang:gen_throughput"], "decode"),
        (["vllm:num_requests_running", "kthena:num_requests_waiting"], "prefill"),
        (["vllm:num_requests_running", "vllm:kv_cache_usage_perc"], "decode"),
    ],
)
def test_d40_one_role_is_asked(metrics: list[str], role: str) -> None:
    wanted = [{"metricName": name, "targetValue": 1} for name in metrics]
    own = disaggregated(**{**SCALED, "autoscalingPolicy": {"metrics": wanted}})
    labels = target_of(own, Profile.B)["metricEndpoint"]["labelSelector"]["matchLabels"]
    assert labels == {"modelserving.volcano.sh/role": role}
    assert asked_role(model("m", backend()).backends[0], metrics) == "leader"


def test_d41_followers_are_not_asked() -> None:
    """Those of v0.1.0 have the label of the role too, but no sidecar to answer."""
    labels = target_of(backend(**SCALED), Profile.A)["additionalMatchLabels"]
    assert labels == {"modelserving.volcano.sh/role": "leader", ENTRY: "true"}


def test_d15_downloaders_get_all_of_env() -> None:
    env = [
        {"name": "HF_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "ACCESS_KEY", "value": "a"},
    ]
    own = backend(env=env, loraAdapters=[lora("sql")])
    for name in ("model-downloader", "lora-downloader-0"):
        (container,) = containers(name, own)
        assert container["env"] == env


def test_d16_role_has_at_least_one_replica() -> None:
    assert [r["replicas"] for r in roles(backend(workers=[worker(replicas=0)]))] == [1]
    assert [r["replicas"] for r in roles(disaggregated())] == [1, 1]


@pytest.mark.parametrize(("pods", "followers"), [(None, 0), (0, 0), (1, 0), (2, 1), (9, 8)])
def test_d17_follower_count_is_never_negative(pods: int | None, followers: int) -> None:
    (role,) = roles(backend(workers=[worker(pods=pods)]))
    assert role["workerReplicas"] == followers
    assert ("workerTemplate" in role) == (followers > 0)


def test_d18_affinity_reaches_entries_and_followers() -> None:
    nothing: Object = {"requiredDuringSchedulingIgnoredDuringExecution": []}
    affinity = {"nodeAffinity": {}, "podAntiAffinity": nothing}
    placed = {"affinity": affinity, "tolerations": [{"operator": "Exists"}]}
    for pod in pods(backend(workers=[worker(pods=2, **placed)], runtimeClassName="r")):
        assert pod["affinity"] == {"nodeAffinity": {}, "podAntiAffinity": {}}
        assert pod["tolerations"] == [{"operator": "Exists"}]
        assert pod["runtimeClassName"] == "r"


@pytest.mark.parametrize(("given", "want"), [(None, 200), (0, 0), (150, 150)])
def test_d19_cost_expansion_rate_is_always_set(given: int | None, want: int) -> None:
    own = backend(minReplicas=1, maxReplicas=2, scalingCost=1)
    spec = {"autoscalingPolicy": policy(), "costExpansionRatePercent": given}
    parts = {
        Profile.B: ("AutoscalingPolicyBinding", "heterogeneousTarget"),
        Profile.C: ("AutoscalingPolicy", "heterogeneousTarget"),
    }
    for profile, (kind, part) in parts.items():
        (bound,) = specs(kind, own, profile=profile, **spec)
        assert bound[part]["costExpansionRatePercent"] == want


def test_d42_policy_of_the_model_scales_each_backend_with_v010() -> None:
    """Its autoscaler accepts weighed targets, but never reads them."""
    own = {"minReplicas": 1, "maxReplicas": 2, "scalingCost": 1}
    backends = backend("a", **own), backend("b", **own)
    found = specs(
        "AutoscalingPolicyBinding", *backends, profile=Profile.A, autoscalingPolicy=policy()
    )
    assert [binding["policyRef"]["name"] for binding in found] == ["demo-a", "demo-b"]
    for binding in found:
        name = binding["policyRef"]["name"]
        assert binding["scalingConfiguration"]["target"]["targetRef"]["name"] == name
        assert "cost" not in binding["scalingConfiguration"]


def test_d29_new_image_changes_the_children() -> None:
    plain = model("demo", backend())
    labels = set()
    for options in (Options(), Options(runtime_image="r:2"), Options(downloader_image="d:2")):
        (serving, *_) = desired_children(plain, Profile.B, options)
        labels.add(serving.object["metadata"]["labels"]["workload.serving.volcano.sh/revision"])
    assert len(labels) == 3


def test_d29_routing_and_scaling_do_not_change_pods() -> None:
    def templates(**fields: Any) -> list[Object]:
        scaled = {"minReplicas": 1, "maxReplicas": 2, "autoscalingPolicy": policy()}
        return list(roles(backend(**{**scaled, **fields})))

    assert templates() == templates(routeWeight=1, maxReplicas=9, minReplicas=2)
    assert "revision" not in json.dumps(templates())


@pytest.mark.parametrize("config", [None, {}])
def test_d32_worker_without_config_is_served(config: Object | None) -> None:
    pair = [worker(kind, config=config) for kind in ("prefill", "decode")]
    assert made(backend(workers=[worker(config=config)]), disaggregated(workers=pair))


def test_d32_fault_names_the_missing_worker() -> None:
    with pytest.raises(SpecError, match="server worker not found in backend: b1"):
        made(backend(workers=[worker("decode")]))


@pytest.mark.parametrize("uri", ["hostpath:///", "hostpath:///a/../.."])
def test_d33_root_directory_of_the_node_is_not_mounted(uri: str) -> None:
    with pytest.raises(SpecError, match=r"spec\.backends\[0\]\.cacheURI"):
        made(backend(cacheURI=uri))


def test_d33_operator_sets_host_path_prefixes() -> None:
    own = model("demo", backend(cacheURI="hostpath:///etc"))
    with pytest.raises(SpecError, match="host path /etc is not below /mnt"):
        desired_children(own, Profile.B, Options(host_path_prefixes=("/mnt",)))


def test_d35_followers_name_the_scheduler() -> None:
    (_, follower) = pods(backend(schedulerName="volcano", workers=[worker(pods=2)]))
    assert follower["schedulerName"] == "volcano"


def test_d36_scheduler_is_always_set() -> None:
    booster = ModelBooster.model_validate(stored_object("demo", backend(schedulerName="")))
    for name in ("default-scheduler", "own"):
        meant = canonical(booster, default_scheduler_name=name)
        (serving, *_) = desired_children(meant, Profile.B, Options())
        assert serving.object["spec"]["schedulerName"] == name


@pytest.mark.parametrize("other", ["MooncakeConnector", "LMCacheConnectorV1"])
def test_d37_different_connectors_are_rejected(other: str) -> None:
    configs = [
        {"kv-transfer-config": NIXL.replace("NixlConnector", n)} for n in ("NixlConnector", other)
    ]
    pair = [worker(k, config=c) for k, c in zip(("prefill", "decode"), configs, strict=True)]
    with pytest.raises(SpecError, match="prefill and decode use different connectors"):
        made(disaggregated(workers=pair))


def test_d39_unserved_type_does_not_block_other_backends() -> None:
    several = made(backend("a", type="MindIE"), backend("b"), backend("c", type="MindIE"))

    assert {child.name for child in several} == {"demo", "demo-b"}
    (route,) = (child.object for child in several if child.resource.kind == "ModelRoute")
    targets = [
        t["modelServerName"] for rule in route["spec"]["rules"] for t in rule["targetModels"]
    ]
    assert targets == ["demo-b"]


def test_d39_no_children_without_served_backends() -> None:
    assert made(backend("a", type="MindIE")) == []


def test_uid_is_part_of_the_desired_children() -> None:
    """Children of a deleted ModelBooster never look like ours; kthena's revision ignores uids."""
    plain = model("demo", backend())
    first, second = (
        desired_children(replace(plain, uid=uid), Profile.B, Options()) for uid in ("a", "b")
    )
    for one, other in zip(first, second, strict=True):
        assert one.object["metadata"]["labels"] != other.object["metadata"]["labels"]
