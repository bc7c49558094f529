"""Whether an update leaves the value of a field as it was."""

from __future__ import annotations

import re
from typing import Any

from app.values.fields import Path
from app.values.meta import Object
from app.values.untyped import as_dict, as_list

_INDEX = re.compile(r"\[([0-9]+)\]")
_BACKENDS = "spec.backends["


def is_unchanged(path: Path, new: Object, old: Object) -> bool:
    """Returns whether a field has the same value in both objects, or is missing in both.

    Backends are compared by name, because an update may change their order. A field of a backend
    that is new has changed.

    Args:
        path: the path of the field in ``new``.
        new: an object that the schema accepts.
        old: the object that it replaces.
    """
    text = path.text
    match = _INDEX.match(text, len(_BACKENDS) - 1) if text.startswith(_BACKENDS) else None
    if match is None:
        return _values(new, text) == _values(old, text)
    backends = {
        str(as_dict(backend).get("name")): backend
        for backend in as_list(as_dict(old.get("spec")).get("backends"))
    }
    backend = new["spec"]["backends"][int(match[1])]
    before = backends.get(str(backend.get("name")))
    rest = text[match.end() :].removeprefix(".")
    return before is not None and _values(backend, rest) == _values(before, rest)


def _values(value: Any, path: str) -> list[Any]:
    """Returns the value at a path in a list; an empty list if there is none."""
    while path:
        if isinstance(value, list):
            index = _INDEX.match(path)
            if index is None or int(index[1]) >= len(value):
                return []
            value, path = value[int(index[1])], path[index.end() :].removeprefix(".")
            continue
        # A key may contain dots and brackets.
        keys = [key for key in as_dict(value) if _begins(path, key)]
        if not keys:
            return []
        key = max(keys, key=len)
        bracketed = path.startswith(f"[{key}]")
        path = path[len(key) + 2 * bracketed :].removeprefix(".")
        value = value[key]
    return [value]


def _begins(path: str, key: str) -> bool:
    if path.startswith(f"[{key}]"):
        return True
    return path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[")
