"""Values of ``config`` as one argument of a program."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def argument_text(value: Any) -> str:
    """Returns a value of ``config`` as one argument.

    Numbers are written in full, lists and objects as compact JSON with sorted keys, because that
    is how the API server keeps them.
    """
    kind = type(value)
    if kind is str or kind is int:
        return str(value)
    if kind is float:
        return _decimal(value)
    return _JSON.encode(_numbers(value))


_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def literal_text(value: Any) -> str:
    """Returns a value as a literal of Python."""
    return repr(_numbers(value))


def _decimal(value: float) -> str:
    """Returns a number in full and without ``.0``: the API server drops that."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
