"""Types of fields that several types of the catalogue have."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeVar, dataclass_transform, get_args

from app.values.value import made_value

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def facts(cls: type[_Class]) -> type[_Class]:
    """Makes a class a value (see ``app.values.value``) whose fields are given by name."""
    return made_value(cls, kw_only=True)


EngineName = Literal["vllm", "sglang"]

ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)
"""The engines, the preferred one first."""

Bytes = int
"""Bytes. Files may write a unit: ``65.5 GB``, ``61 GiB``."""

Count = int
"""A number of parameters. Files may write ``32.8B``."""
