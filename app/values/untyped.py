"""Access to JSON that is not validated yet: a value of the wrong type counts as absent."""

from __future__ import annotations

from typing import Any

from app.values.meta import Object


def as_dict(value: Any) -> Object:
    """Returns the value if it is a dict, else an empty dict."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Returns the value if it is a list, else an empty list."""
    return value if isinstance(value, list) else []


def display_name(obj: Object) -> str:
    """Returns ``metadata.name``, or ``metadata.generateName``, or ``""``.

    A name that is no string or number counts as absent. Use it in messages about objects that may
    be malformed. For stored objects, use ``key_of``.
    """
    metadata = as_dict(obj.get("metadata"))
    name = metadata.get("name") or metadata.get("generateName")
    return str(name) if isinstance(name, str | int | float) else ""
