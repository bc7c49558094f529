"""What a file ``models/<vendor>/<Model>.yaml`` says of one model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.catalog.facts.architecture import Attention, Sliding, State, Weights
from app.catalog.facts.fields import Count, EngineName, Facts, Positive
from app.catalog.facts.serving import Profile, Served, Variant

Modality = Literal["text", "image", "audio", "video"]

REQUIRED_SOURCES = ("license", "gated", "weights", "architecture", "context")
"""Facts that need a source in every file, besides the engines that it names."""


class Source(Facts):
    """Where facts come from."""

    facts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of fields of the file; ``engines.vllm`` for one of an engine."""
    url: Annotated[str, Field(pattern=r"^https://")]
    """The page or file that says so."""
    note: str | None = None
    """What it says, if that is not obvious."""


class ModelFacts(Facts):
    """One model of the catalogue: the content of one file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    """Name of the template: vendor and model, as folder and file."""
    title: str
    """Name for people, for example "Qwen3 32B"."""
    short_name: Annotated[str | None, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")] = None
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
    layers: Positive
    """Layers of the decoder (``num_hidden_layers``)."""
    hidden: Positive
    """Elements of a token between layers (``hidden_size``)."""
    vocabulary: Positive
    """Tokens of the vocabulary (``vocab_size``)."""
    context: Positive
    """Most tokens that the model was made for (``max_position_embeddings``)."""
    attention: Attention
    sliding: Sliding | None = None
    state: State | None = None
    engines: dict[EngineName, Served]
    """The engines that serve the model."""
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1)]
    """The best choice first."""
    variants: tuple[Variant, ...] = ()
    sources: tuple[Source, ...]

    @property
    def kv_layers(self) -> int:
        """Layers that keep keys and values."""
        states = self.state.layers if self.state else 0
        return self.attention.layers or self.layers - states

    @model_validator(mode="after")
    def _agrees(self) -> ModelFacts:
        for problem in _problems(self):
            raise ValueError(problem)
        return self


def _problems(model: ModelFacts) -> list[str]:
    """Returns what does not fit together in one file."""
    found = []
    if not model.engines:
        found.append("engines: needs at least one of vllm and sglang")
    if model.sliding and model.sliding.layers > model.kv_layers:
        found.append(f"sliding.layers: {model.sliding.layers} of {model.kv_layers} layers")
    if model.active_parameters and model.active_parameters > model.parameters:
        found.append("activeParameters: more than parameters")
    for profiles in (model.profiles, *(v.profiles for v in model.variants)):
        names = [p.name for p in profiles]
        found += [f"profiles: {n} occurs twice" for n in {n for n in names if names.count(n) > 1}]
        found += [p for profile in profiles for p in _profile_problems(model, profile)]
    suffixes = [v.suffix for v in model.variants]
    if len(set(suffixes)) < len(suffixes):
        found.append("variants: a suffix occurs twice")
    told = {fact for source in model.sources for fact in source.facts}
    needed = {*REQUIRED_SOURCES, *(f"engines.{name}" for name in model.engines)}
    if missing := sorted(needed - told):
        found.append(f"sources: none for {', '.join(missing)}")
    return found


def _profile_problems(model: ModelFacts, profile: Profile) -> list[str]:
    found = []
    if model.attention.heads % profile.tensor_size:
        found.append(
            f"profiles.{profile.name}: tensor {profile.tensor_size} does not divide "
            f"{model.attention.heads} heads"
        )
    if profile.context > model.context:
        found.append(f"profiles.{profile.name}: context exceeds that of the model")
    unknown = {*(profile.engines or ()), *profile.arguments} - set(model.engines)
    if unknown:
        found.append(f"profiles.{profile.name}: {', '.join(sorted(unknown))} not in engines")
    return found
