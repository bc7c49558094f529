"""What a ModelBooster made of a template says, for values, profiles and releases."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.parameters import ValuesError
from app.catalog.rendering.render import render
from app.catalog.templates import find_template
from app.validation import Context, validate
from app.values.meta import Object


def made(template: str = "Qwen/Qwen3-32B", /, release: str | None = None, **values: Any) -> Object:
    return render(find_template(template), values=values, release=release)


def backend_of(obj: Object) -> Object:
    spec = obj["spec"]
    found: Object = spec["backend"] if "backend" in spec else spec["backends"][0]
    return found


def worker_of(obj: Object) -> Object:
    found: Object = backend_of(obj)["workers"][0]
    return found


def test_defaults() -> None:
    obj = made()
    assert obj["metadata"] == {"name": "qwen3-32b"}
    assert backend_of(obj)["modelURI"] == "hf://Qwen/Qwen3-32B"
    assert backend_of(obj)["cacheURI"] == "hostpath:///mnt/cache"
    assert "envFrom" not in backend_of(obj)
    worker = worker_of(obj)
    assert worker["config"]["served-model-name"] == obj["metadata"]["name"]
    assert worker["resources"] == {
        "limits": {"nvidia.com/gpu": str(worker["config"]["tensor-parallel-size"])}
    }
    assert not worker["image"].endswith(":latest")


def test_empty_texts_and_zeros_are_values() -> None:
    obj = made("google/gemma-3-4b-it", cacheURI="", tokenSecret="", minReplicas=0, maxReplicas=2)
    backend = backend_of(obj)
    assert "cacheURI" not in backend
    assert "envFrom" not in backend
    assert backend["minReplicas"] == 0
    assert made(replicas=0, release="v1.0.0")["spec"]["backend"]["replicas"] == 0


def test_gated_models_get_a_token() -> None:
    assert backend_of(made("google/gemma-3-4b-it"))["envFrom"] == [
        {"secretRef": {"name": "hugging-face"}}
    ]


def test_model_name_reaches_route_and_engine() -> None:
    obj = made(modelName="Qwen/Qwen3-32B", name="chat")
    assert obj["spec"]["name"] == worker_of(obj)["config"]["served-model-name"] == "Qwen/Qwen3-32B"


def test_sizes_follow_the_devices() -> None:
    assert worker_of(made(gpuLimit=4))["config"]["tensor-parallel-size"] == 4
    config = worker_of(made(gpuLimit=4, pipelineParallelSize=2))["config"]
    assert (config["tensor-parallel-size"], config["pipeline-parallel-size"]) == (2, 2)
    worker = worker_of(made(gpuLimit=8, workerPods=2))
    assert worker["pods"] == 2
    config = worker["config"]
    assert (config["tensor-parallel-size"], config["pipeline-parallel-size"]) == (8, 2)


def test_what_the_user_writes_for_the_engine_wins() -> None:
    config = worker_of(made(config={"max_num_seqs": 8, "reasoning-parser": None}))["config"]
    assert config["max_num_seqs"] == 8
    assert "max-num-seqs" not in config
    assert config["reasoning-parser"] is None


def test_autoscaling_by_release() -> None:
    values: Object = {"minReplicas": 1, "maxReplicas": 4, "targetValue": 3}
    several = made(**values)["spec"]
    assert several["autoscalingPolicy"]["metrics"] == [
        {"metricName": "kthena:num_requests_waiting", "targetValue": 3}
    ]
    assert several["backends"][0]["scalingCost"] == 1
    assert "scalingCost" not in made(release="v0.3.0", **values)["spec"]["backend"]
    with pytest.raises(ValuesError, match="no autoscaling in a ModelBooster; set replicas"):
        made(release="v1.0.0", **values)


def test_prefill_and_decode() -> None:
    obj = made(
        "Qwen3-Coder-30B-A3B-Instruct-PD-Disaggregated-NixlConnector", decodeWorkerReplicas=2
    )
    assert obj["metadata"]["name"] == "qwen3-coder-30b-nixl"
    workers = backend_of(obj)["workers"]
    assert [w["type"] for w in workers] == ["prefill", "decode"]
    assert [w["replicas"] for w in workers] == [1, 2]
    assert workers[0]["config"]["served-model-name"] == obj["metadata"]["name"]
    assert workers[1]["config"]["kv-transfer-config"]["kv_connector"] == "NixlConnector"


@pytest.mark.parametrize(
    ("profile", "label"),
    [("h100-80gb-x4", "nvidia.com/gpu.product"), ("mi300x-192gb-x1", "amd.com/gpu.product-name")],
)
def test_pods_can_require_the_device(profile: str, label: str) -> None:
    worker = worker_of(made("Llama-3.3-70B-Instruct", profile=profile, requireDevice=True))
    required = worker["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"][0]["matchExpressions"][0]["key"] == label


def test_twins_have_names_of_their_own() -> None:
    assert made("Qwen/Qwen3-32B-NPU")["metadata"]["name"] == "qwen3-32b-npu"
    assert "huawei.com/ascend-1980" in worker_of(made("Qwen/Qwen3-32B-NPU"))["resources"]["limits"]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("Qwen/Qwen3-32B", {"profile": "x"}, 'profile: "x" is none of h100-80gb-x2'),
        (
            "Qwen/Qwen3-32B-NPU",
            {"engine": "sglang"},
            "does not serve Qwen/Qwen3-32B-NPU; vLLM does",
        ),
        ("Qwen/Qwen3-32B", {"maxModelLen": 50000}, "is more than the 40960 tokens"),
        ("Qwen/Qwen3-32B", {"gpuLimit": 3}, "tensorParallelSize: 3 does not divide the 64 heads"),
        ("Qwen/Qwen3-32B", {"gpuLimit": 4, "tensorParallelSize": 3}, "must be the 4 devices"),
        ("Qwen/Qwen3-32B", {"npuLimit": 1}, "has no NPUs; set gpuLimit"),
        ("Qwen/Qwen3-32B-NPU", {"gpuLimit": 1}, "has no GPUs; set npuLimit"),
        ("Qwen/Qwen3-32B", {"gpuRequest": 1}, "gpuRequest: 1 must equal the limit, 2"),
        ("Qwen/Qwen3-32B", {"replicas": 1, "minReplicas": 1}, "replicas: excludes minReplicas"),
        ("Qwen/Qwen3-32B", {"minReplicas": 3, "maxReplicas": 2}, "is more than maxReplicas"),
        ("Qwen/Qwen3-32B", {"metricName": "m"}, "metricName: needs autoscaling"),
        ("Qwen/Qwen3-32B", {"backendType": "SGLang"}, 'backendType: "SGLang" must be vLLM'),
        ("Qwen/Qwen3-32B", {"decodeWorkerImage": "x"}, "has no decode worker"),
        ("Qwen/Qwen3-32B-NPU", {"requireDevice": True}, "no node label tells NPUs apart"),
    ],
)
def test_contradictions_say_the_way_out(name: str, values: Object, said: str) -> None:
    with pytest.raises(ValuesError) as caught:
        made(name, **values)
    assert said in str(caught.value)


def test_every_parameter_that_is_given_is_admitted() -> None:
    values: Object = {
        "name": "a",
        "namespace": "b",
        "annotationName": "c",
        "modelName": "m/x",
        "owner": "o",
        "backendName": "d",
        "backendType": "vLLM",
        "modelURI": "hf://me/mine",
        "tokenSecret": "t",
        "minReplicas": 1,
        "maxReplicas": 3,
        "metricName": "kthena:num_requests_waiting",
        "targetValue": 4,
        "scalingCost": 2,
        "scaleToZeroGracePeriod": "60s",
        "workerType": "server",
        "workerImage": "vllm/vllm-openai:v0.30.0",
        "workerReplicas": 2,
        "workerPods": 1,
        "gpuLimit": 4,
        "gpuRequest": 4,
        "maxModelLen": 4096,
        "tensorParallelSize": 4,
        "pipelineParallelSize": 1,
        "gpuMemoryUtilization": 0.8,
        "maxNumSeqs": 32,
        "maxNumBatchedTokens": 4096,
        "config": {"seed": 1},
        "env": [{"name": "A", "value": "b"}],
        "loraAdapters": [{"name": "sql", "artifactURL": "hf://me/sql"}],
        "requireDevice": True,
        "runtimeClassName": "nvidia",
        "schedulerName": "volcano",
        "gangScheduling": True,
    }
    verdict = validate(made(**values), Context())
    assert verdict.faults == ()
