"""Values: what dataclasses do, with methods that are not compiled for each class."""

from __future__ import annotations

from dataclasses import field, fields, replace
from typing import Any, get_type_hints

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
class _Cached:
    name: str
    sizes: list[int] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict, init=False, compare=False, repr=False)


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


def test_fields_get_their_defaults_and_no_object_shares_them() -> None:
    first, second = _Cached("a"), _Cached("a", sizes=[])
    first.sizes.append(1)
    first.facts["x"] = 1
    assert (second.sizes, second.facts) == ([], {})
    assert _Cached("a", [2]).sizes == [2]
    assert _Point(1, note="n").y == 0


@pytest.mark.parametrize("wrong", [{}, {"name": "a", "facts": {}}, {"name": "a", "size": []}])
def test_arguments_that_are_no_fields_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"_Cached.__init__\(\)"):
        _Cached(**wrong)


def test_types_of_fields_stay_readable() -> None:
    assert [each.type for each in fields(_Cached)] == ["str", "list[int]", "dict[str, int]"]
    assert get_type_hints(_Point) == {"x": int, "y": int, "note": str}


def test_values_are_dataclasses_with_slots() -> None:
    assert replace(_Point(1, 2), x=3) == _Point(3, 2)
    assert not hasattr(_Point(1), "__dict__")


def test_a_check_in_post_init_is_not_dropped_silently() -> None:
    class Checked:
        x: int

        def __post_init__(self) -> None: ...

    with pytest.raises(TypeError, match="Checked needs a dataclass"):
        value(Checked)
