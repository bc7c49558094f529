"""Cheap alternatives to frozen dataclasses, for values of the short commands and of each review.

``dataclass`` compiles each method of each class anew, and commands wait for that: 0.7 ms for a
frozen class with slots. Here only ``__init__`` is compiled, when the first object of the class is
made; the other methods are the same for all classes. Creating a frozen object also takes six times
as long as a mutable one: 0.25 µs per field, and an admission review creates hundreds of fields. So
only the type checker enforces that values do not change.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Class]) -> type[_Class]:
    """Makes a class a dataclass with slots that the type checker treats as frozen.

    It is hashable only if it defines ``__hash__``. A field that is no argument has a factory.
    """
    return made_value(cls)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def hashable_value(cls: type[_Class]) -> type[_Class]:
    """Does the same for a class whose fields can be hashed; its hash is that of its fields."""
    return made_value(cls, is_hashable=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def keyword_value(cls: type[_Class]) -> type[_Class]:
    """Does the same as ``hashable_value`` for a class whose fields are given by name."""
    return made_value(cls, is_hashable=True, kw_only=True)


def made_value(
    cls: type[_Class], *, is_hashable: bool = False, kw_only: bool = False
) -> type[_Class]:
    """Returns the dataclass; methods that the class defines itself stay.

    Args:
        cls: the class, without a base class. All its annotations are fields.
        is_hashable: whether its hash is that of its fields.
        kw_only: whether fields are given by name only.
    """
    own = vars(cls)
    if "__post_init__" in own:  # nothing would call it
        raise TypeError(f"{cls.__qualname__} needs a dataclass: it has __post_init__")
    hints = cls.__annotations__
    cls.__annotations__ = dict.fromkeys(hints, object)  # it would parse texts, for ClassVar
    made: Any = dataclass(slots=True, init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    made.__annotations__ = hints
    names = []
    for each in fields(made):
        each.type = hints[each.name]
        if each.compare:
            names.append(each.name)
    compared = attrgetter(*names)

    def first(self: object, *args: Any, **named: Any) -> None:
        made.__init__ = _compiled_init(made)
        made.__init__(self, *args, **named)

    def equal(self: object, other: object) -> Any:
        if other is self:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(compared(self) == compared(other))

    def hashed(self: object) -> int:
        return hash(compared(self))

    methods = {
        "__init__": first,
        "__eq__": equal,
        "__repr__": _shown,
        "__hash__": hashed if is_hashable else None,
    }
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _compiled_init(cls: Any) -> Any:
    """Returns ``__init__`` as ``dataclass`` compiles it for a class that is not frozen."""
    by_place: list[str] = []
    by_name: list[str] = []
    body: list[str] = []
    known: dict[str, Any] = {"MISSING": MISSING}
    for each in fields(cls):
        parameter = value = name = each.name
        if each.default_factory is not MISSING:
            known[f"make_{name}"] = each.default_factory
            parameter, value = f"{name}=MISSING", f"make_{name}()"
            if each.init:
                value += f" if {name} is MISSING else {name}"
        elif each.default is not MISSING:
            known[f"default_{name}"] = each.default
            parameter = f"{name}=default_{name}"
        if each.init:
            (by_name if each.kw_only else by_place).append(parameter)
        body.append(f" self.{name} = {value}\n")
    parameters = ["self", *by_place, *(["*", *by_name] if by_name else ())]
    text = f"def __init__({', '.join(parameters)}):\n{''.join(body)}"
    exec(text, known)  # noqa: S102 - as dataclass does; the text holds only names of fields
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _shown(self: Any) -> str:
    texts = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(texts)})"
