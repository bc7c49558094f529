"""A cheap alternative to frozen dataclasses, for values that are created often.

Creating a frozen dataclass takes six times as long as creating a mutable one: 0.25 µs per field.
An admission review creates hundreds of fields. For these few classes, only the type checker
enforces that values do not change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Class]) -> type[_Class]:
    """Makes a class a dataclass with slots that the type checker treats as frozen.

    It is hashable only if it defines ``__hash__``.
    """
    return dataclass(slots=True)(cls)
