"""The layout of an engine's memory for a profile of a template."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.catalog.devices import CPU, device
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.memory import BATCHED_TOKENS, GIB, SEQUENCES, Layout, memory_of
from app.engines.history import HYBRID_EVENTS
from app.engines.release import Release

if TYPE_CHECKING:
    from app.catalog.templates import Template  # which admission does not wait for

UTILIZATION: dict[EngineName, float] = {"vllm": 0.9, "sglang": 0.85}
"""The part of the memory that templates give to an engine: ``gpu-memory-utilization`` of vLLM, for
everything, and ``mem-fraction-static`` of SGLang, for weights and KV cache."""

_FP8 = "fp8"


def batched_tokens(device_memory: int) -> int:
    """Returns the prompt tokens of one step, if the engine is not told another number.

    It is twice as many on devices with 160 GiB or more (``EngineArgs.get_batch_defaults`` of vLLM
    0.33.0).
    """
    return BATCHED_TOKENS * (2 if device_memory >= 160 * GIB else 1)


def layout_of(
    template: Template,
    profile: Profile,
    engine: EngineName,
    of: Release,
    *,
    events: bool = True,
) -> Layout:
    """Returns the layout for a profile, with the arguments that templates write.

    SGLang keeps more of layers with a window than vLLM. Fewer requests of a profile fit then, and
    the layout has as many as do, but at least one.

    Args:
        template: the template.
        profile: one of its profiles, or one made for another device.
        engine: the engine.
        of: its release.
        events: whether the engine publishes KV-cache events, as the operator tells it.
    """
    connector = template.variant is not None and template.variant.connector is not None
    # SGLang 0.5.23 reserves room for all tokens in layers with a window (Gemma 2 and 3), or for 0.8
    # of them (``swa-full-tokens-ratio``).
    keeps = engine == "sglang" or connector or (events and of < HYBRID_EVENTS)
    given = profile.arguments.get(engine, {})
    on_cpu = profile.device == CPU
    fp8 = str(given.get("kv-cache-dtype", "")).startswith(_FP8)
    memory = profile.memory or device(profile.device).memory
    layout = Layout(
        device_memory=memory,
        context=profile.context,
        concurrency=profile.concurrency,
        tensor=profile.tensor_size,
        pipeline=profile.pipeline_size,
        utilization=1.0 if on_cpu else UTILIZATION[engine],
        static=engine == "sglang",
        kv_element_bytes=1 if fp8 else 2,
        frees_windows=not keeps,
        batched_tokens=batched_tokens(memory),
        sequences=SEQUENCES,
    )
    if engine == "sglang" and template.model.sliding is not None:
        most = int(memory_of(template.model, layout).requests)
        return replace(layout, concurrency=max(1, min(profile.concurrency, most)))
    return layout
