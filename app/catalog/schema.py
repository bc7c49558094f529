"""What a file ``models/<vendor>/<Model>.yaml`` says of one model."""

from __future__ import annotations

from typing import Literal

from app.catalog.facts.architecture import Attention, Sliding, State, Weights
from app.catalog.facts.fields import Count, EngineName, facts
from app.catalog.facts.serving import Profile, Served, Variant

Modality = Literal["text", "image", "audio", "video"]


@facts
class Source:
    """Where facts come from."""

    facts: tuple[str, ...]
    """Names of fields of the file; ``engines.vllm`` for one of an engine."""
    url: str
    """The page or file that says so."""
    note: str | None = None
    """What it says, if that is not obvious."""


@facts
class ModelFacts:
    """One model of the catalogue: the content of one file."""

    # Read by pydantic, when files are read; it holds for the types of the fields as well.
    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012

    name: str
    """Name of the template: vendor and model, as folder and file."""
    title: str
    """Name for people, for example "Qwen3 32B"."""
    short_name: str | None = None
    """Default name of ModelBoosters. Defaults to the model's name with dashes for dots."""
    repository: str
    """Repository on Hugging Face: owner and name."""
    revision: str = "main"
    """Commit, tag or branch of the repository."""
    gated: bool
    """Whether the download needs a token of an account that has accepted the terms."""
    license: str
    """SPDX identifier, or the name of the license."""
    architecture: str
    """Class in ``config.json``, by which engines know whether they serve it."""
    modalities: tuple[Modality, ...] = ("text",)
    """What a request may hold."""
    parameters: Count
    """All parameters."""
    active_parameters: Count | None = None
    """Mixture of experts: the parameters that work on one token."""
    weights: Weights
    layers: int
    """Layers of the decoder (``num_hidden_layers``)."""
    hidden: int
    """Elements of a token between layers (``hidden_size``)."""
    vocabulary: int
    """Tokens of the vocabulary (``vocab_size``)."""
    context: int
    """Most tokens that the model was made for (``max_position_embeddings``)."""
    attention: Attention
    sliding: Sliding | None = None
    state: State | None = None
    engines: dict[EngineName, Served]
    """The engines that serve the model."""
    profiles: tuple[Profile, ...]
    """The best choice first."""
    variants: tuple[Variant, ...] = ()
    sources: tuple[Source, ...]

    @property
    def kv_layers(self) -> int:
        """Layers that keep keys and values."""
        states = self.state.layers if self.state else 0
        return self.attention.layers or self.layers - states

    @property
    def full_layers(self) -> int:
        """Layers that keep keys and values of the whole context."""
        return self.kv_layers - (self.sliding.layers if self.sliding else 0)
