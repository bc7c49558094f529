"""How large and how deep the values of a file may be, whatever aliases repeat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 100
"""Lists and mappings inside each other. A ModelBooster has fewer than 40."""
MAX_COPIES = 100_000
"""Values that the aliases of a document may repeat."""


def is_too_deep(value: Any) -> bool:
    """Whether more than ``MAX_DEPTH`` lists and mappings are inside each other."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for at in level for inner in _inside(at)]
        if not level:
            return False
    return any(isinstance(at, dict | list) for at in level)


def size_of(value: Any) -> int:
    """Returns how many values a value consists of, with what aliases repeat, up to the limit."""
    size, left = 0, [value]
    while left and size < MAX_COPIES:
        size += 1
        left += _inside(left.pop())
    return size


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
