"""Cheap alternatives to frozen dataclasses, for values of the short commands and of each review.

``dataclass`` compiles each method of each class anew, and commands wait for that: 0.7 ms for a
frozen class with slots. Here only ``__init__`` is compiled; the other methods are the same for all
classes. Creating a frozen object also takes six times as long as a mutable one: 0.25 µs per field,
and an admission review creates hundreds of fields. So only the type checker enforces that values do
not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Class]) -> type[_Class]:
    """Makes a class a dataclass with slots that the type checker treats as frozen.

    It is hashable only if it defines ``__hash__``.
    """
    return made_value(cls)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def hashable_value(cls: type[_Class]) -> type[_Class]:
    """Does the same for a class whose fields can be hashed; its hash is that of its fields."""
    return made_value(cls, is_hashable=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def keyword_value(cls: type[_Class]) -> type[_Class]:
    """Does the same as ``value`` for a class whose fields are given by name."""
    return made_value(cls, kw_only=True)


def made_value(
    cls: type[_Class], *, is_hashable: bool = False, kw_only: bool = False
) -> type[_Class]:
    """Returns the dataclass; methods that the class defines itself stay.

    Args:
        cls: the class, without a base class.
        is_hashable: whether its hash is that of its fields.
        kw_only: whether fields are given by name only.
    """
    own = vars(cls)
    made: Any = dataclass(slots=True, repr=False, eq=False, kw_only=kw_only)(cls)
    compared = _compared(made)

    def equal(self: object, other: object) -> Any:
        if other is self:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(compared(self) == compared(other))

    def hashed(self: object) -> int:
        return hash(compared(self))

    methods = {"__eq__": equal, "__repr__": _shown, "__hash__": hashed if is_hashable else None}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _compared(cls: Any) -> Callable[[object], Any]:
    """Returns what gives the values of an object that decide whether it equals another."""
    return attrgetter(*(each.name for each in fields(cls) if each.compare))


def _shown(self: Any) -> str:
    texts = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(texts)})"
