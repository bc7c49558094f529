"""Values: what dataclasses do, with methods that are not compiled for each class."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from app.values.value import hashable_value, value


@hashable_value
class _Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False)


@hashable_value
class _Other:
    x: int
    y: int = 0


@value
class _Bag:
    content: dict[str, int]
    secret: bytes = field(default=b"", repr=False)


@value
class _Named:
    name: str

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return f"<{self.name}>"


def test_values_are_equal_if_their_compared_fields_are() -> None:
    assert _Point(1, 2, "a") == _Point(1, 2, "b")
    assert _Point(1, 2) != _Point(2, 2)
    others: list[object] = [_Other(1, 2), (1, 2)]
    assert _Point(1, 2) not in others
    assert _Bag({"a": 1}) == _Bag({"a": 1})
    assert _Named("a") != _Named("b")


def test_equal_values_have_one_hash() -> None:
    assert len({_Point(1, 2, "a"), _Point(1, 2, "b"), _Point(2, 1)}) == 2
    assert hash(_Named("a")) == 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(_Bag({}))


def test_values_print_their_fields() -> None:
    assert repr(_Point(1, note="n")) == "_Point(x=1, y=0, note='n')"
    assert repr(_Bag({"a": 1}, b"key")) == "_Bag(content={'a': 1})"
    assert repr(_Named("a")) == "<a>"


def test_values_are_dataclasses_with_slots() -> None:
    assert replace(_Point(1, 2), x=3) == _Point(3, 2)
    assert not hasattr(_Point(1), "__dict__")
