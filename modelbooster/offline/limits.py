"""How large and how deep the values of a file may be, whatever aliases repeat."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 100
"""Lists and mappings inside each other. A ModelBooster has fewer than 40."""
MAX_COPIES = 100_000
"""Values that the aliases of a document may repeat."""


def size_of(value: Any) -> int:
    """Returns how many values a value consists of, with what aliases repeat, up to the limit."""
    size, left = 0, [value]
    while left and size < MAX_COPIES:
        size += 1
        at = left.pop()
        if isinstance(at, dict | list):
            left += at.values() if isinstance(at, dict) else at
    return size
