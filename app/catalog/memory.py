"""The memory that a model needs: weights, KV cache and overhead, against that of the devices.

``memory_of`` is one pure function. The catalogue's test holds every profile to it, ``choose`` finds
a profile with it, and admission warns by it. docs/catalogue.md compares it with what engines have
logged. All amounts are bytes of one device, the fullest one.

The parts:

* **Weights**: the checkpoint, split by tensor and pipeline parallelism. A stage of a pipeline has
  whole layers. Kernels for MXFP4 pad the weights.
* **KV cache** of a request: keys and values of each token in each layer. Tensor parallelism splits
  the KV heads; if there are fewer heads than devices, each device still keeps one. Latent attention
  (MLA) keeps one vector for all heads, so every device has all of it. Layers with a sliding window
  keep the window and the tokens of one batch. Layers with a state keep that alone.
* **Overhead**: the context of the device, communication buffers, graphs, and the larger of two
  peaks: the batch of prompt tokens on its way through a layer, and the sampler, which sorts the
  whole vocabulary for every sequence.
"""

from __future__ import annotations

from math import ceil

from app.catalog.facts.architecture import Sliding
from app.catalog.schema import ModelFacts
from app.values.value import hashable_value

GIB = 2**30

CONTEXT_BYTES = GIB // 4
"""CUDA context and what libraries allocate by themselves."""

COMMUNICATION_BYTES = GIB // 2
"""Buffers for collective operations, if an engine has more than one device."""

GRAPH_BYTES = GIB // 2
"""Captured graphs of the device."""

IMAGE_BYTES = GIB
"""An encoder of images or sound while it works on the largest input."""

SAMPLER_BYTES = 39
"""Of each entry of the vocabulary and sequence: logits, their sorted copy, indices, sums.

Six logs of vLLM 0.11.0 on H100 with 1,024 sequences give 38.5 to 39.6.
"""

LAYER_FACTOR = 12
"""Elements that a layer holds at its peak for each token, in multiples of ``hidden``."""

PADDING = {"mxfp4": 1.06}
"""How much larger weights are on the device, by precision."""

BATCHED_TOKENS = 8192
"""Prompt tokens of one step, unless the engine is told another number."""

SEQUENCES = 256
"""Sequences of one step, unless the engine is told another number."""

BLOCK = 16
"""Tokens of one block of the KV cache."""


@hashable_value
class Layout:
    """The devices of one engine, and how it uses them.

    Args:
        device_memory: bytes of one device that a process can use.
        context: most tokens of a request.
        concurrency: requests of that length at the same time.
        tensor: tensor parallel size.
        pipeline: pipeline parallel size.
        utilization: the part of ``device_memory`` that the engine may use.
        static: whether that part is for weights and KV cache alone, and activations use the rest
            (SGLang's ``mem-fraction-static``), or for all (vLLM's ``gpu-memory-utilization``).
        kv_element_bytes: bytes of one element of the KV cache: 2, or 1 for FP8.
        frees_windows: whether layers with a sliding window give back what is out of sight.
        batched_tokens: most prompt tokens of one step.
        sequences: most sequences of one step.
    """

    device_memory: int
    context: int
    concurrency: int = 1
    tensor: int = 1
    pipeline: int = 1
    utilization: float = 0.9
    static: bool = False
    kv_element_bytes: int = 2
    frees_windows: bool = True
    batched_tokens: int = BATCHED_TOKENS
    sequences: int = SEQUENCES

    @property
    def devices(self) -> int:
        """Devices of the engine."""
        return self.tensor * self.pipeline


@hashable_value
class Breakdown:
    """What one device holds.

    Args:
        layout: what it was computed for.
        weights: bytes of the weights.
        overhead: bytes of the rest, without the KV cache.
        kv_token: bytes of one token in the KV cache, if no layer gives anything back.
        kv_request: bytes of one request of ``layout.context`` tokens.
        usable: bytes that the engine may use.
        kv_available: bytes that are left for the KV cache; negative if the weights do not fit.
    """

    layout: Layout
    weights: int
    overhead: int
    kv_token: int
    kv_request: int
    usable: int
    kv_available: int

    @property
    def kv_needed(self) -> int:
        """Bytes of the KV cache for the context and concurrency of the layout."""
        return self.kv_request * self.layout.concurrency

    @property
    def missing(self) -> int:
        """Bytes of each device that are missing; 0 if everything fits."""
        return max(0, self.kv_needed - self.kv_available)

    @property
    def fits(self) -> bool:
        """Whether weights, KV cache and overhead fit."""
        return self.missing == 0

    @property
    def kv_tokens(self) -> int:
        """Tokens for which there is room, as vLLM logs it ("GPU KV cache size")."""
        return max(0, self.kv_available) // self.kv_token

    @property
    def requests(self) -> float:
        """Requests of the whole context for which there is room."""
        return max(0, self.kv_available) / self.kv_request

    def lines(self) -> list[str]:
        """Returns the sum for people, a line for each part."""
        of = self.layout
        plural = "s" if of.concurrency != 1 else ""
        each = f"{of.concurrency:,} request{plural} of {of.context:,} tokens"
        rest = f"room for {self.kv_tokens:,} tokens" if self.kv_available > 0 else "no room"
        where = "the device" if of.devices == 1 else f"each of {of.devices} devices"
        sign = "" if self.fits else f"; {gib(self.missing)} missing"
        return [
            f"weights    {gib(self.weights):>10}  on {where}",
            f"KV cache   {gib(self.kv_needed):>10}  {each}",
            f"overhead   {gib(self.overhead):>10}  activations, buffers, graphs",
            f"usable     {gib(self.usable):>10}  {of.utilization:g} of {gib(of.device_memory)}",
            f"left       {gib(self.kv_available):>10}  for the KV cache: {rest}{sign}",
        ]


def gib(amount: float) -> str:
    """Returns an amount for people: ``30.5 GiB``."""
    return f"{amount / GIB:,.1f} GiB"


def memory_of(model: ModelFacts, layout: Layout) -> Breakdown:
    """Returns what the fullest device of an engine holds of a model.

    Args:
        model: the model.
        layout: the devices, and how the engine uses them.
    """
    stage = ceil(model.layers / layout.pipeline) / model.layers
    padding = PADDING.get(model.weights.precision, 1.0)
    weights = int(model.weights.bytes * padding * stage / layout.tensor)
    overhead = _overhead(model, layout)
    usable = int(layout.device_memory * layout.utilization)
    available = usable - weights - overhead
    if layout.static:
        # Activations use the rest; only what the rest does not hold is taken from this part.
        fixed = CONTEXT_BYTES + (COMMUNICATION_BYTES if layout.devices > 1 else 0)
        rest = layout.device_memory - usable
        available = usable - weights - max(fixed, overhead - rest)
    return Breakdown(
        layout=layout,
        weights=weights,
        overhead=overhead,
        kv_token=max(1, int(_token(model, layout) * stage)),
        kv_request=max(1, int(_request(model, layout) * stage)),
        usable=usable,
        kv_available=available,
    )


def _token(model: ModelFacts, layout: Layout) -> int:
    """Returns the bytes that all layers keep of one token, if no layer gives anything back."""
    windowed = (model.kv_layers - model.full_layers) * _token_layer(model, layout, model.sliding)
    return windowed + model.full_layers * _token_layer(model, layout)


def _token_layer(model: ModelFacts, layout: Layout, sliding: Sliding | None = None) -> int:
    """Returns the bytes that one layer, with a window or without, keeps of one token."""
    of = model.attention
    if of.latent_size is not None and of.rope_size is not None:
        elements = of.latent_size + of.rope_size
    else:
        kv_heads = (sliding and sliding.kv_heads) or of.kv_heads or 1
        head_size = (sliding and sliding.head_size) or of.head_size or 0
        elements = 2 * max(1, ceil(kv_heads / layout.tensor)) * head_size
    return elements * layout.kv_element_bytes + (of.index_bytes or 0)


def _request(model: ModelFacts, layout: Layout) -> int:
    """Returns the bytes that all layers keep of one request on one device."""
    context = _blocks(layout.context)
    needed = model.full_layers * context * _token_layer(model, layout)
    if model.sliding is not None:
        windowed, seen = model.sliding.layers, context
        if layout.frees_windows:
            # Layers share blocks in groups as large as the smaller kind; the last one is padded.
            group = min(model.full_layers, windowed) or windowed
            windowed = ceil(windowed / group) * group
            seen = min(context, _blocks(model.sliding.window - 1 + layout.batched_tokens) + BLOCK)
        needed += windowed * seen * _token_layer(model, layout, model.sliding)
    if model.state is not None:
        needed += model.state.layers * ceil(model.state.bytes / layout.tensor)
    return needed


def _blocks(tokens: int) -> int:
    """Returns tokens rounded up to whole blocks."""
    return ceil(tokens / BLOCK) * BLOCK


def _overhead(model: ModelFacts, layout: Layout) -> int:
    """Returns the bytes of everything else on one device."""
    layer = layout.batched_tokens * model.hidden * LAYER_FACTOR * 2
    sampler = layout.sequences * model.vocabulary * SAMPLER_BYTES
    fixed = CONTEXT_BYTES + GRAPH_BYTES
    if layout.devices > 1:
        fixed += COMMUNICATION_BYTES
    if len(model.modalities) > 1:
        fixed += IMAGE_BYTES
    return fixed + max(layer, sampler)
