"""The numbers of a model that decide how much memory it needs."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from app.catalog.facts.fields import Bytes, Facts, Positive

Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"]
"""Number format of most weights."""


class Weights(Facts):
    """The checkpoint, as the engine loads it."""

    bytes: Bytes
    """Size of all weight files in the repository that the engine loads."""
    precision: Precision
    """Number format of most of them."""


class Attention(Facts):
    """The numbers that decide the size of the KV cache.

    Either ``kvHeads`` and ``headSize`` (multi-head, grouped-query, multi-query), or ``latentSize``
    and ``ropeSize`` (multi-head latent attention, MLA).
    """

    heads: Positive
    """Query heads (``num_attention_heads``). The tensor parallel size must divide it."""
    kv_heads: Positive | None = None
    """Heads of keys and values (``num_key_value_heads``)."""
    head_size: Positive | None = None
    """Elements of one head (``head_dim``)."""
    latent_size: Positive | None = None
    """MLA: elements of the compressed keys and values (``kv_lora_rank``)."""
    rope_size: Positive | None = None
    """MLA: elements of the rotary part of a key (``qk_rope_head_dim``)."""
    layers: Positive | None = None
    """Layers that keep keys and values. Defaults to all layers without ``state``; fewer if layers
    share a cache."""
    index_bytes: Positive | None = None
    """Bytes that an indexer of sparse attention keeps of each token in each layer."""

    @model_validator(mode="after")
    def _one_kind(self) -> Attention:
        grouped = (self.kv_heads, self.head_size)
        latent = (self.latent_size, self.rope_size)
        if None in grouped and None in latent:
            raise ValueError("needs kvHeads and headSize, or latentSize and ropeSize")
        if any(grouped) and any(latent):
            raise ValueError("kvHeads and headSize exclude latentSize and ropeSize")
        return self


class Sliding(Facts):
    """Layers that look back a limited distance: sliding window or chunked attention."""

    window: Positive
    """Tokens that such a layer keeps at most."""
    layers: Positive
    """How many layers are of this kind."""


class State(Facts):
    """Layers with a state of constant size instead of a KV cache: Mamba, linear attention."""

    layers: Positive
    """How many layers are of this kind."""
    bytes: Bytes
    """State of one sequence in one such layer, before any split by tensor parallelism."""
