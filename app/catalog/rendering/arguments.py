"""The arguments of the engine that a template writes, in the engine's spelling."""

from __future__ import annotations

from math import ceil
from typing import Any

from app.catalog.devices import CPU
from app.catalog.facts.serving import Connector
from app.catalog.images import release_in
from app.catalog.layouts import UTILIZATION, layout_of
from app.catalog.memory import SEQUENCES, memory_of
from app.catalog.rendering.plan import Plan
from app.engines.history import HYBRID_EVENTS
from app.engines.image import release_of_image
from app.values.meta import Object

_EVENTS = "kv-events-config"

_FLAGS = {
    "vllm": {
        "context": "max-model-len",
        "tensor": "tensor-parallel-size",
        "pipeline": "pipeline-parallel-size",
        "utilization": "gpu-memory-utilization",
        "sequences": "max-num-seqs",
        "batch": "max-num-batched-tokens",
    },
    "sglang": {
        "context": "context-length",
        "tensor": "tp-size",
        "pipeline": "pp-size",
        "utilization": "mem-fraction-static",
        "sequences": "max-running-requests",
        "batch": "chunked-prefill-size",
    },
}

_TRANSFERS: dict[Connector, tuple[Object, Object]] = {
    "LMCacheConnectorV1": (
        {
            "kv_connector": "LMCacheConnectorV1",
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {
                "discard_partial_chunks": True,
                "lmcache_rpc_port": "10086",
            },
        },
        {
            "kv_connector": "LMCacheConnectorV1",
            "kv_role": "kv_consumer",
            "kv_connector_extra_config": {
                "discard_partial_chunks": True,
                "lmcache_rpc_port": "10086",
            },
        },
    ),
    "MooncakeConnector": (
        {"kv_connector": "MooncakeConnector", "kv_role": "kv_producer"},
        {"kv_connector": "MooncakeConnector", "kv_role": "kv_consumer"},
    ),
    "NixlConnector": (
        {"kv_connector": "NixlConnector", "kv_role": "kv_both"},
        {"kv_connector": "NixlConnector", "kv_role": "kv_both"},
    ),
}
"""``kv-transfer-config`` of prefill and of decode, as kthena's templates have it."""


def arguments_of(plan: Plan, served_name: str, *, decode: bool = False) -> Object:
    """Returns ``config`` of a worker.

    Later ones win: sizes and limits, the model's, the profile's, the user's.

    Args:
        plan: how the template is served.
        served_name: the model name that clients send.
        decode: whether it is the decode worker of two.
    """
    config: dict[str, Any] = {
        "served-model-name": served_name,
        **_sizes(plan),
        **plan.template.model.engines[plan.engine].arguments,
        **plan.profile.arguments.get(plan.engine, {}),
    }
    variant = plan.template.variant
    if variant is not None and variant.connector is not None:
        config["kv-transfer-config"] = _TRANSFERS[variant.connector][decode]
    if _events_end_the_engine(plan):
        config[_EVENTS] = None
    given = plan.values.config or {}
    replaced = {key.replace("_", "-") for key in given}
    return {**{k: v for k, v in config.items() if k not in replaced}, **given}


def _sizes(plan: Plan) -> Object:
    flags = _FLAGS[plan.engine]
    values = plan.values
    found: Object = {flags["context"]: plan.context}
    if plan.tensor > 1:
        found[flags["tensor"]] = plan.tensor
    if plan.pipeline > 1:
        found[flags["pipeline"]] = plan.pipeline
    if plan.profile.device == CPU:
        found["kv-cache-memory-bytes"] = _cpu_cache(plan)
    else:
        found[flags["utilization"]] = values.gpu_memory_utilization or UTILIZATION[plan.engine]
    found[flags["sequences"]] = values.max_num_seqs or SEQUENCES
    if values.max_num_batched_tokens is not None:
        found[flags["batch"]] = values.max_num_batched_tokens
    return found


def _cpu_cache(plan: Plan) -> int:
    """Returns the bytes of the KV cache in the memory of a node: what the profile needs."""
    of = release_in(plan.engine, plan.image)
    layout = layout_of(plan.template, plan.profile, plan.engine, of)
    needed = memory_of(plan.template.model, layout).kv_needed
    return ceil(needed / 2**20) * 2**20


def _events_end_the_engine(plan: Plan) -> bool:
    """Returns whether the engine cannot start if it publishes KV-cache events."""
    of = release_of_image(plan.engine, plan.image)
    old = of is not None and of < HYBRID_EVENTS
    return plan.engine == "vllm" and old and plan.template.model.state is not None
