"""Base class and field types of the catalogue's types.

Every type is strict: unknown fields, missing fields and wrong types are errors. Amounts of memory
are bytes and may be written with a unit (``65.5 GB``, ``61 GiB``); numbers of parameters as
``32.8B``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B)", re.ASCII)
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([MBT])", re.ASCII)
_POWERS = {"K": 1, "M": 2, "G": 3, "B": 3, "T": 4}

EngineName = Literal["vllm", "sglang"]

ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)


def _bytes(value: Any) -> Any:
    """Returns the bytes that a text with a unit means; other values as they are."""
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    unit = match[2]
    base = 1024 if "i" in unit else 1000
    return int(Decimal(match[1]) * base ** _POWERS[unit[0]])


def _count(value: Any) -> Any:
    """Returns the number that a text as ``32.8B`` means; other values as they are."""
    match = _COUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    return int(Decimal(match[1]) * 1000 ** _POWERS[match[2]])


Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]
Count = Annotated[int, BeforeValidator(_count), Field(gt=0)]
Positive = Annotated[int, Field(gt=0)]


class Facts(BaseModel):
    """Base class of every type: frozen, strict, camelCase in files."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )
