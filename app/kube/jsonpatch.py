"""``test`` operations of a JSON patch for values of the API server.

The API server compares numbers and strings as JSON text, written by Go. Values that Python and Go
may write differently are left out of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.values.meta import Object

MAX_TESTS = 1000
"""The API server accepts at most 10,000 operations in a patch."""

# Characters that Go escapes, and floats that may have an exponent.
_AMBIGUOUS = re.compile(
    rb"[<>&\x7f]|\\[ubf]|[0-9]e[-+]?[0-9]|0\.0000|\xe2\x80[\xa8\xa9]|\xef\xbf\xbd"
)


def equality_tests(value: Any, path: str) -> list[Object]:
    """Returns operations that fail unless the object has a value at a path; mostly a single one.

    Args:
        value: JSON, as the API server returned it.
        path: JSON pointer.
    """
    tests: list[Object] = []
    for at, part in _unambiguous(value, path):
        tests.append({"op": "test", "path": at, "value": part})
        if len(tests) == MAX_TESTS:
            break
    return tests


def _unambiguous(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields the largest parts with only one JSON text, with their paths."""
    if not _AMBIGUOUS.search(orjson.dumps(value)):
        yield path, value
    elif isinstance(value, dict):
        for name, part in value.items():
            pointer = name.replace("~", "~0").replace("/", "~1")
            yield from _unambiguous(part, f"{path}/{pointer}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _unambiguous(part, f"{path}/{position}")
