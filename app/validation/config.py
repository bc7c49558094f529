"""Checks whether a worker's ``config``, which has no schema, can become arguments.

This check runs before any other code reads ``config``. Whatever passes is small and not deeply
nested.
"""

from __future__ import annotations

import math
import re
from typing import Any

MAX_BYTES = 64 * 1024
"""Size of one worker's ``config`` as compact JSON."""

MAX_DEPTH = 32
"""Levels of nested lists and objects; far more than any engine argument needs."""

_SURROGATE = "[\ud800-\udfff]"


def config_fault(config: Any) -> str | None:
    """Returns why ``config`` cannot become arguments; None if it can."""
    return None if _is_usual(config) else _fault_of(config)


def _is_usual(config: Any) -> bool:
    """Whether it is short, flat and ASCII, as nearly all are. False proves nothing.

    This takes a third off the validation of an object with many arguments (``bench.admission``,
    large).
    """
    if type(config) is not dict:
        return False
    words = list(config)
    for value in config.values():
        kind = type(value)
        if kind is str:
            words.append(value)
        elif kind is int:
            if not -(2**63) <= value < 2**63:
                return False
        elif kind is float:
            if not math.isfinite(value):
                return False
        elif kind is not bool:
            return False
    text = "".join(words)
    # 3 for each entry: its separators, and a value that is not a string.
    return len(text) + 3 * len(config) < MAX_BYTES and text.isascii() and "\0" not in text


def _fault_of(config: Any) -> str | None:
    """Walks level by level, without recursion, so depth and size are bounded."""
    size = 0
    level: list[Any] = [config]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, (dict, list)):
                size += 1 + 2 * len(value)
                if size > MAX_BYTES:
                    break
                inner.extend(value)
                if isinstance(value, dict):
                    inner.extend(value.values())
            elif isinstance(value, str):
                if "\0" in value:
                    return "must not contain the character NUL, which no argument can hold"
                if not value.isascii() and re.search(_SURROGATE, value):
                    return "must not contain half of a surrogate pair"
                size += len(value) if value.isascii() else len(value.encode())
            else:
                fault = _number_fault(value)
                if fault is not None:
                    return fault
                size += 1
        if size > MAX_BYTES:
            return f"must not be larger than {MAX_BYTES // 1024} KiB"
        if not inner:
            return None
        level = inner
    return f"must not be nested more than {MAX_DEPTH} levels deep"


def _number_fault(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must not contain numbers that are not finite"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must not contain whole numbers beyond 64 bits"
    return None
