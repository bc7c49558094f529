"""The numbers of a model that decide how much memory it needs."""

from __future__ import annotations

from typing import Literal

from app.catalog.facts.fields import Bytes, facts

Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"]
"""Number format of most weights."""


@facts
class Weights:
    """The checkpoint, as the engine loads it."""

    bytes: Bytes
    """Size of all weight files in the repository that the engine loads."""
    precision: Precision
    """Number format of most of them."""


@facts
class Attention:
    """The numbers that decide the size of the KV cache.

    Either ``kvHeads`` and ``headSize`` (multi-head, grouped-query, multi-query), or ``latentSize``
    and ``ropeSize`` (multi-head latent attention, MLA).
    """

    heads: int
    """Query heads (``num_attention_heads``). The tensor parallel size must divide it."""
    kv_heads: int | None = None
    """Heads of keys and values (``num_key_value_heads``)."""
    head_size: int | None = None
    """Elements of one head (``head_dim``)."""
    latent_size: int | None = None
    """MLA: elements of the compressed keys and values (``kv_lora_rank``)."""
    rope_size: int | None = None
    """MLA: elements of the rotary part of a key (``qk_rope_head_dim``)."""
    layers: int | None = None
    """Layers that keep keys and values. Defaults to all layers without ``state``; fewer if layers
    share a cache."""
    index_bytes: int | None = None
    """Bytes that an indexer of sparse attention keeps of each token in each layer."""


@facts
class Sliding:
    """Layers that look back a limited distance: sliding window or chunked attention."""

    window: int
    """Tokens that such a layer keeps at most."""
    layers: int
    """How many layers are of this kind."""
    kv_heads: int | None = None
    """Heads of keys and values in these layers. Defaults to those of ``attention``."""
    head_size: int | None = None
    """Elements of one head in these layers. Defaults to those of ``attention``."""


@facts
class State:
    """Layers with a state of constant size instead of a KV cache: Mamba, linear attention."""

    layers: int
    """How many layers are of this kind."""
    bytes: Bytes
    """State of one sequence in one such layer, before any split by tensor parallelism."""
