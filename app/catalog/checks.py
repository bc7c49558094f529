"""What does not fit together in a file of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from app.catalog.devices import CPU, device_names, find_device
from app.catalog.facts.architecture import Attention
from app.catalog.facts.serving import Profile
from app.catalog.schema import ModelFacts

REQUIRED_SOURCES = ("license", "gated", "weights", "architecture", "context")
"""Facts that need a source in every file, besides the engines that it names."""

_PATTERNS = {
    "name": re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"),
    "repository": re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"),
    "short_name": re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?"),
    "suffix": re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*"),
    "short_suffix": re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"),
    "since": re.compile(r"\d+\.\d+\.\d+(\.post\d+|\.\d+)?"),
    "url": re.compile(r"https://\S+"),
}
"""Forms of texts, by the name of the field."""

_MAY_BE_EMPTY = frozenset({"variants", "arguments"})


def problems(model: ModelFacts) -> list[str]:
    """Returns what is wrong with values, or with several together; each names its field."""
    found = [*_values(model, ""), *_attention(model.attention)]
    if model.sliding and model.sliding.layers > model.kv_layers:
        found.append(f"sliding.layers: {model.sliding.layers} of {model.kv_layers} layers")
    if model.active_parameters and model.active_parameters > model.parameters:
        found.append("activeParameters: more than parameters")
    for where, profiles in [
        ("profiles", model.profiles),
        *((f"variants.{v.suffix}.profiles", v.profiles) for v in model.variants),
    ]:
        names = [profile.name for profile in profiles]
        found += [f"{where}: {n} occurs twice" for n in {n for n in names if names.count(n) > 1}]
        for profile in profiles:
            found += [f"{where}.{profile.name}: {what}" for what in _profile(model, profile)]
    suffixes = [v.suffix for v in model.variants]
    if len(set(suffixes)) < len(suffixes):
        found.append("variants: a suffix occurs twice")
    told = {fact for source in model.sources for fact in source.facts}
    needed = {*REQUIRED_SOURCES, *(f"engines.{name}" for name in model.engines)}
    if missing := sorted(needed - told):
        found.append(f"sources: none for {', '.join(missing)}")
    return found


def _values(value: Any, where: str) -> Iterator[str]:
    """Yields numbers that are not positive, texts of a wrong form and empty lists."""
    for each in fields(value):
        path, one = f"{where}{_camel(each.name)}", getattr(value, each.name)
        if isinstance(one, int) and not isinstance(one, bool) and one <= 0:
            yield f"{path}: {one} must be above 0"
        pattern = _PATTERNS.get(each.name)
        if isinstance(one, str) and pattern is not None and pattern.fullmatch(one) is None:
            yield f'{path}: "{one}" must match {pattern.pattern}'
        if each.name not in _MAY_BE_EMPTY and one in ((), {}, ""):
            yield f"{path}: must not be empty"
        inner = one.items() if isinstance(one, dict) else ()
        listed = enumerate(one) if isinstance(one, tuple) else ()
        for key, part in [(None, one), *inner, *listed]:
            if is_dataclass(part):
                yield from _values(part, f"{path}." if key is None else f"{path}.{key}.")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _attention(of: Attention) -> Iterator[str]:
    grouped = (of.kv_heads, of.head_size)
    latent = (of.latent_size, of.rope_size)
    if None in grouped and None in latent:
        yield "attention: needs kvHeads and headSize, or latentSize and ropeSize"
    if any(grouped) and any(latent):
        yield "attention: kvHeads and headSize exclude latentSize and ropeSize"


def _profile(model: ModelFacts, profile: Profile) -> Iterator[str]:
    if find_device(profile.device) is None:
        yield f'device: "{profile.device}" is none of {", ".join(device_names())}'
    tensor, pipeline = profile.tensor_size, profile.pipeline_size
    total = profile.accelerators * profile.pods
    if tensor * pipeline != total:
        yield f"tensor {tensor} x pipeline {pipeline} must be devices x pods, {total}"
    if model.attention.heads % max(1, tensor):
        yield f"tensor {tensor} does not divide {model.attention.heads} heads"
    if profile.context > model.context:
        yield f"context {profile.context} is more than {model.context}, that of the model"
    if (profile.memory is None) == (profile.device == CPU):
        yield f"memory is for the device {CPU} only, and needed there"
    unknown = {*(profile.engines or ()), *profile.arguments} - set(model.engines)
    if unknown:
        yield f"{', '.join(sorted(unknown))} not in engines"
