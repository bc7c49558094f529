"""The devices of a command: whose they are, and how many one engine needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from app.model.roles import EXECUTOR_BACKEND
from modelbooster.commandline.program import Launch

NVIDIA = "nvidia.com/gpu"
AMD = "amd.com/gpu"
CPU = "cpu"

_BY_IMAGE = (
    (re.compile(r"rocm", re.ASCII), AMD),
    (re.compile(r"ascend|cann", re.ASCII), "huawei.com/ascend-1980"),
    (re.compile(r"gaudi|habana|hpu", re.ASCII), "habana.ai/gaudi"),
    (re.compile(r"vllm-tpu|sglang.*tpu", re.ASCII), "google.com/tpu"),
    (re.compile(r"xpu|llm-scaler|intel/vllm", re.ASCII), "gpu.intel.com/xe"),
    (re.compile(r"cpu|xeon", re.ASCII), CPU),
)
_BY_DEVICE = (
    (re.compile(r"/dev/kfd"), AMD),
    (re.compile(r"/dev/davinci"), "huawei.com/ascend-1980"),
    (re.compile(r"nvidia\.com/gpu"), NVIDIA),
)
VISIBLE = {
    "CUDA_VISIBLE_DEVICES": NVIDIA,
    "NVIDIA_VISIBLE_DEVICES": NVIDIA,
    "HIP_VISIBLE_DEVICES": AMD,
    "ROCR_VISIBLE_DEVICES": AMD,
    "ASCEND_RT_VISIBLE_DEVICES": "huawei.com/ascend-1980",
    "ASCEND_VISIBLE_DEVICES": "huawei.com/ascend-1980",
    "HABANA_VISIBLE_DEVICES": "habana.ai/gaudi",
    "ZE_AFFINITY_MASK": "gpu.intel.com/xe",
}
"""Variables that choose devices of a machine; the device plugin of a cluster sets them."""

_BY_FLAG = {"cpu": CPU, "hpu": "habana.ai/gaudi", "npu": "huawei.com/ascend-1980"}
_BY_FLAG |= {"xpu": "gpu.intel.com/xe", "tpu": "google.com/tpu", "cuda": NVIDIA}

MAX_DEVICES_PER_POD = 8
"""Devices of the largest usual machine; Ray spreads more over several."""


def resource_of(launch: Launch, config: Mapping[str, Any]) -> str:
    """Returns the extended resource that counts the devices; ``cpu`` if the engine uses none."""
    container = launch.container
    if container is not None:
        image = container.image.lower()
        for pattern, resource in _BY_IMAGE:
            if pattern.search(image):
                return resource
        for pattern, resource in _BY_DEVICE:
            if any(map(pattern.search, container.options.get("device", ()))):
                return resource
        if container.last("runtime") == "habana":
            return "habana.ai/gaudi"
    chosen = _BY_FLAG.get(str(config.get("device", "")))
    if chosen:
        return chosen
    for name, resource in VISIBLE.items():
        if name != "CUDA_VISIBLE_DEVICES" and launch.variables.get(name):
            return resource
    return NVIDIA


def devices_of_engine(engine: str, config: Mapping[str, Any]) -> int:
    """Returns how many devices one engine needs, over all of its pods."""
    tensor = _whole(config, "tensor-parallel-size", "tp-size")
    pipeline = _whole(config, "pipeline-parallel-size", "pp-size")
    context = _whole(config, "prefill-context-parallel-size")
    ranks = _whole(config, "data-parallel-size", "dp-size")
    if engine == "sglang" and config.get("enable-dp-attention"):
        ranks = 1  # the ranks share the devices of tensor parallelism
    return prod((tensor, pipeline, context, ranks))


def pods_of_engine(launch: Launch, config: Mapping[str, Any], resource: str, devices: int) -> int:
    """Returns over how many machines the command spreads one engine.

    ``--nnodes`` says it. With Ray, which vLLM also uses for more devices than a machine has, each
    stage of a pipeline usually has a machine.
    """
    nodes = _whole(config, "nnodes")
    if nodes > 1 or launch.engine != "vllm":
        return nodes
    many = devices > MAX_DEVICES_PER_POD and resource in (NVIDIA, AMD)
    if config.get(EXECUTOR_BACKEND) != "ray" and not many:
        return nodes
    stages = _whole(config, "pipeline-parallel-size")
    return max(stages, -(-devices // MAX_DEVICES_PER_POD))


def visible_devices(launch: Launch) -> int | None:
    """Returns how many devices the command lets the engine see; None if it shows all."""
    container = launch.container
    texts = [launch.variables.get(name) for name in VISIBLE]
    if container is not None:
        texts.append(_of_gpus(container.last("gpus")))
    for text in texts:
        if text and re.fullmatch(r"[\w-]+(,[\w-]+)*", text) and text not in ("all", "void"):
            return len(text.split(","))
    if container is not None:
        gpus = (container.last("gpus") or "").strip("\"'")
        if gpus.isdecimal():
            return int(gpus)
    return None


def _of_gpus(text: str | None) -> str | None:
    """Returns the devices that ``--gpus`` lists, separated by commas."""
    match = re.search(r'device=([\w,-]+?)"?$', text or "")
    return match[1] if match else None


def _whole(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return 1
