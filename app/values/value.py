"""Cheap alternatives to frozen dataclasses, for values of the short commands and of each review.

A frozen dataclass takes 0.3 ms longer to define than a mutable one, and commands wait for the
definitions. Creating one takes six times as long: 0.25 µs per field, and an admission review
creates hundreds of fields. For these classes, only the type checker enforces that values do not
change.
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


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def hashable_value(cls: type[_Class]) -> type[_Class]:
    """Does the same for a class whose fields can be hashed; its hash is that of its fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
