"""What a plain scalar of YAML means to kubectl, which differs from what it means to PyYAML."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isinf
from typing import Any

_BOOL = re.compile(
    r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF"
)
_TRUE = frozenset({"y", "yes", "true", "on"})
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_NULL = re.compile(r"~|null|Null|NULL|")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OCTAL = re.compile(r"[-+]?0[0-7]+")  # as in C

PLAIN: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("float", _NOT_FINITE, "-+."),
    ("null", _NULL, "~nN"),
    ("merge", re.compile("<<"), "<"),
)
"""Types of plain scalars besides strings: type, pattern, first characters. The first match wins."""

_FIRST = frozenset("".join(first for _, _, first in PLAIN))


@lru_cache(maxsize=10_000)
def plain_type(text: str) -> str:
    """Returns the type of a plain scalar: one of ``PLAIN``, or ``str``."""
    if not text:
        return "null"
    if text[0] in _FIRST:
        for kind, pattern, first in PLAIN:
            if text[0] in first and pattern.fullmatch(text):
                return kind
    return "str"


@lru_cache(maxsize=10_000, typed=True)
def meaning(text: str, kind: str) -> Any:
    """Returns the value of a scalar in JSON.

    Args:
        text: the scalar.
        kind: its type, as ``plain_type`` returns it, or as a tag says.

    Raises:
        ValueError: the text has no meaning as that type; the message says so.
    """
    try:
        if kind == "int":
            return _number(_integer(text))
        if kind == "float" and not _NOT_FINITE.fullmatch(text):
            number = float(text.replace("_", ""))
            return text if isinf(number) else _number(number)
    except ValueError as exc:
        raise ValueError(f'"{text}" is no {kind}') from exc
    if kind == "bool":
        return text.lower() in _TRUE
    if kind == "null":
        return None
    if kind in ("str", "merge"):
        return text
    raise ValueError(f'"{text}" has no meaning in JSON')


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if _OCTAL.fullmatch(digits):
        digits = digits.replace("0", "0o", 1)
    return int(digits, 0)


def _number(number: float) -> int | float:
    # kubectl does not distinguish 1.0 from 1, and reads integers beyond 64 bits as floats.
    if isinstance(number, float) and not number.is_integer():
        return number
    return int(number) if -(2**63) <= number < 2**63 else float(number)
