"""Warnings about the memory of models that the catalogue knows.

The types of the catalogue are imported when an object has a model that it knows, so that the
command line does not wait for them with others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from app.catalog.index import model_name
from app.engines.history import HYBRID_EVENTS
from app.engines.names import LABELS
from app.engines.release import release
from app.model.engine import engine
from app.model.forms import BackendForm, WorkerForm
from app.model.roles import device_resources, devices, is_disaggregated
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import given, value_of, whole

if TYPE_CHECKING:
    from app.catalog.choosing.placed import Placed
    from app.catalog.memory import Breakdown, Layout
    from app.catalog.schema import ModelFacts

_HUB = "hf://"
_EVENTS = "kv-events-config"

_OTHER_SIZES = (
    *("quantization", "load-format", "cpu-offload-gb", "hf-overrides", "dtype"),
    *("data-parallel-size", "data-parallel-size-local", "dp-size"),
)
"""Arguments that may change how much memory the weights need on a device."""

_SAME_SIZE = frozenset({"auto", "bfloat16", "safetensors", "fastsafetensors", "mistral", "1"})
"""Values of them that do not."""

_MORE_UTILIZATION = release("0.33.0")
"""The first table of vLLM in which ``gpu-memory-utilization`` is 0.92, not 0.9, by default."""

_STATIC = 0.9
"""What SGLang takes by default for weights and KV cache, at most."""

_LARGE, _MANY = 70 * 2**30, 1024
"""vLLM runs that many sequences on devices with that memory, except on A100
(``EngineArgs.get_batch_defaults`` of 0.33.0)."""

_SHORTEST = 2048
"""A shorter context is no way out."""


def models_fit_their_devices(inputs: RuleInputs) -> Iterator[str]:
    """An engine that lacks memory ends after the whole model was downloaded and loaded."""
    for form, worker in inputs.served_workers:
        model = _known(form)
        if model is None or not worker.resources or _has_another_size(worker):
            continue
        if found := _too_large(inputs, form, worker, model):
            yield f"{worker.path}: {found}"


def states_are_not_published(inputs: RuleInputs) -> Iterator[str]:
    """A hybrid model that publishes KV-cache events cannot start with vLLM before 0.21.0."""
    for form, worker in inputs.served_workers:
        of = engine(worker)
        if of.release is None or of.release >= HYBRID_EVENTS or not of.has(_EVENTS):
            continue
        model = _known(form)
        if model is not None and model.state is not None and _publishes(inputs, worker):
            yield (
                f"{worker.path.child('config', _EVENTS)}: vLLM {of.release} cannot start "
                f"{model.repository} with KV-cache events, because it has layers with a state; "
                f"set {_EVENTS}: null, or use {HYBRID_EVENTS} or later"
            )


def _has_another_size(worker: WorkerForm) -> bool:
    given_sizes = [value_of(worker, name) for name in _OTHER_SIZES]
    return any(size is not None and size.text not in _SAME_SIZE for size in given_sizes)


def _known(form: BackendForm) -> ModelFacts | None:
    if not form.model_uri.startswith(_HUB):
        return None
    repository = form.model_uri.removeprefix(_HUB)
    if model_name(repository) is None:
        return None
    from app.catalog.build import model_of_repository

    return model_of_repository(repository)


def _publishes(inputs: RuleInputs, worker: WorkerForm) -> bool:
    """Returns whether the engine gets ``--kv-events-config``, from the user or from us."""
    if worker.engine != "vllm":
        return False
    keys = {key.replace("_", "-"): value for key, value in worker.config.items()}
    return keys[_EVENTS] is not None if _EVENTS in keys else inputs.context.options.kv_events


def _too_large(
    inputs: RuleInputs, form: BackendForm, worker: WorkerForm, model: ModelFacts
) -> str | None:
    """Returns what is missing and the way out; None if the model fits, or nobody can tell."""
    from app.catalog.choosing.placed import placed
    from app.catalog.memory import gib, memory_of

    if not devices(worker):
        return None
    there = placed(device_resources(worker), worker.affinity)
    if there is None:
        return None
    layout = _layout(inputs, form, worker, model, there)
    found = memory_of(model, layout)
    if found.fits:
        return None
    return (
        f"does not fit: weights {gib(found.weights)}, KV cache {gib(found.kv_needed)} "
        f"({layout.context:,} tokens), about {gib(found.overhead)} more per device; "
        f"{LABELS[worker.engine]} may use {gib(found.usable)} ({there.title}); "
        f"{_way_out(model, worker, found)}"
    )


def _layout(
    inputs: RuleInputs, form: BackendForm, worker: WorkerForm, model: ModelFacts, there: Placed
) -> Layout:
    from app.catalog.layouts import batched_tokens
    from app.catalog.memory import BLOCK, SEQUENCES, Layout

    of = engine(worker)
    vllm = worker.engine == "vllm"
    name = "max-model-len" if vllm else "context-length"
    asked = value_of(worker, name)
    # A length that the engine chooses, or that is no plain number, is not held against the memory.
    context = model.context if asked is None else whole(worker, name) or BLOCK
    keeps = vllm and (
        is_disaggregated(form) or (_publishes(inputs, worker) and not of.at_least(HYBRID_EVENTS))
    )
    many = vllm and there.known and there.memory > _LARGE and "A100" not in there.title
    cache_type = value_of(worker, "kv-cache-dtype")
    return Layout(
        device_memory=there.memory,
        # SGLang starts with less KV cache than a request may need.
        context=context if vllm else BLOCK,
        tensor=whole(worker, "tensor-parallel-size", "tp-size") or 1,
        pipeline=whole(worker, "pipeline-parallel-size", "pp-size") or 1,
        utilization=_utilization(worker),
        static=not vllm,
        kv_element_bytes=1 if cache_type is not None and cache_type.text.startswith("fp8") else 2,
        frees_windows=vllm and not keeps,
        batched_tokens=whole(worker, "max-num-batched-tokens", "chunked-prefill-size")
        or batched_tokens(there.memory if there.known else 0),
        sequences=whole(worker, "max-num-seqs", "max-running-requests")
        or (_MANY if many else SEQUENCES),
    )


def _utilization(worker: WorkerForm) -> float:
    vllm = worker.engine == "vllm"
    argument = given(worker, "gpu-memory-utilization" if vllm else "mem-fraction-static")
    value = None if argument is None else argument.value
    if isinstance(value, int | float) and 0 < value <= 1:
        return float(value)
    if not vllm:
        return _STATIC
    return 0.92 if engine(worker).at_least(_MORE_UTILIZATION) else 0.9


def _way_out(model: ModelFacts, worker: WorkerForm, found: Breakdown) -> str:
    """Returns a context or a number of devices with which the model fits."""
    from app.catalog.memory import memory_of

    layout = found.layout
    ways = []
    length = layout.context // 2
    while worker.engine == "vllm" and length >= _SHORTEST:
        if memory_of(model, replace(layout, context=length)).fits:
            ways.append(f"max-model-len to {length}")
            break
        length //= 2
    name = "tensor-parallel-size" if worker.engine == "vllm" else "tp-size"
    for tensor in (2, 4, 8, 16):
        if tensor <= layout.tensor or model.attention.heads % tensor:
            continue
        if memory_of(model, replace(layout, tensor=tensor)).fits:
            ways.append(f"{name} to {tensor}")
            break
    return f"set {', or '.join(ways)}" if ways else "use larger devices, or a quantized model"
