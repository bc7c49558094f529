"""Admission warns of models that it knows and that do not fit, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, worker


def on(key: str, *values: str) -> Object:
    """An affinity that requires a label of nodes."""
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"nodeAffinity": required}


PRODUCT = "nvidia.com/gpu.product"
H100 = on(PRODUCT, "NVIDIA-H100-80GB-HBM3")
ONE: Object = {"limits": {"nvidia.com/gpu": 1}}


def warnings(uri: str = "hf://Qwen/Qwen3-32B", kind: str = "vLLM", **fields: Any) -> list[str]:
    config = {"max-model-len": 32768} if kind == "vLLM" else {"context-length": 32768}
    image = "vllm/vllm-openai:v0.33.0" if kind == "vLLM" else "lmsysorg/sglang:v0.5.23"
    given = {"image": image, "resources": ONE, "config": config, **fields}
    obj = booster_object(
        "demo", backends=[backend(modelURI=uri, type=kind, workers=[worker(**given)])]
    )
    verdict = validate(obj, Context())
    assert verdict.faults == ()
    return [text for text in verdict.warnings if "GiB" in text or "events" in text]


@pytest.mark.parametrize(
    "fields",
    [
        {"affinity": H100},
        {"affinity": on("nvidia.com/gpu.memory", "81559")},
        {"affinity": on(PRODUCT, "NVIDIA-L4", "NVIDIA-H100-80GB-HBM3")},
        {"resources": {"limits": {"nvidia.com/mig-3g.40gb": 1}}},
        {"resources": {"limits": {"huawei.com/ascend-1980": 1}}},
        {"affinity": on(PRODUCT, "NVIDIA-L4"), "kind": "SGLang"},
        {"affinity": H100, "config": {"max_model_len": "32768", "kv-cache-dtype": "auto"}},
        {"affinity": H100, "config": {"max-model-len": 32768, "dtype": "bfloat16"}},
        {"uri": "hf://deepseek-ai/DeepSeek-R1"},  # on no device that there is
        {"uri": "hf://qwen/qwen3-32b", "affinity": H100},
    ],
)
def test_what_does_not_fit_is_warned_of(fields: dict[str, Any]) -> None:
    (text,) = warnings(**fields)
    assert "does not fit: weights" in text
    assert len(text) <= 240
    assert "; set " in text or "; use larger devices" in text


@pytest.mark.parametrize(
    "fields",
    [
        {},  # some GPU may be large enough
        {"affinity": on(PRODUCT, "NVIDIA-H100-80GB-HBM3", "NVIDIA-GB300")},  # one is not known
        {"affinity": H100, "config": {"max-model-len": 8192}},
        {"affinity": H100, "config": {"max-model-len": "auto"}},
        {"affinity": H100, "config": {"max-model-len": 16384, "max-num-seqs": 64}},
        {"affinity": H100, "config": {"max-model-len": 32768, "quantization": "fp8"}},
        {"affinity": H100, "config": {"max-model-len": 32768, "data-parallel-size": 2}},
        {
            "affinity": H100,
            "config": {"tensor-parallel-size": 2},
            "resources": {"limits": {"nvidia.com/gpu": 2}},
        },
        {"affinity": H100, "kind": "SGLang"},
        {"affinity": H100, "uri": "hf://owner/model"},
        {"affinity": H100, "uri": "ms://Qwen/Qwen3-32B"},
        {"resources": {"limits": {"google.com/tpu": 1}}},
    ],
)
def test_what_fits_or_cannot_be_told_is_not(fields: dict[str, Any]) -> None:
    assert warnings(**fields) == []


NEXT = "hf://Qwen/Qwen3-Next-80B-A3B-Instruct"


@pytest.mark.parametrize(
    ("image", "config", "count"),
    [
        ("vllm/vllm-openai:v0.11.2", {}, 1),
        ("vllm/vllm-openai:v0.18.0", {"kv-events-config": '{"publisher": "zmq"}'}, 1),
        ("vllm/vllm-openai:v0.18.0", {"kv-events-config": None}, 0),
        ("vllm/vllm-openai:v0.33.0", {}, 0),
    ],
)
def test_hybrid_models_do_not_start_with_events(
    image: str, config: dict[str, Any], count: int
) -> None:
    assert len(warnings(NEXT, image=image, config=config, resources={})) == count
