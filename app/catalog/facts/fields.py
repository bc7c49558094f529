"""Types of fields that several types of the catalogue have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeVar, dataclass_transform, get_args

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def facts(cls: type[_Class]) -> type[_Class]:
    """Makes a class a dataclass with slots that the type checker treats as frozen.

    Really frozen ones take more than twice as long to define, and commands wait for that.
    """
    return dataclass(slots=True, kw_only=True)(cls)


EngineName = Literal["vllm", "sglang"]

ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)
"""The engines, the preferred one first."""

Bytes = int
"""Bytes. Files may write a unit: ``65.5 GB``, ``61 GiB``."""

Count = int
"""A number of parameters. Files may write ``32.8B``."""
