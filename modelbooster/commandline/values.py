"""Words of a command line as values of ``config``, in the type that YAML shows best."""

from __future__ import annotations

import ast
import json
from typing import Any

from app.engines.table import STRUCTURED, Flag, Kind, Type
from app.engines.text import argument_text


def value_of(flag: Flag, word: str) -> Any:
    """Returns a word as the value of a flag."""
    kind = flag.type
    if flag.kind is Kind.ADAPTERS or kind in STRUCTURED or (kind is Type.MIXED and word[:1] == "{"):
        return _structure(word)
    if kind in (Type.INTEGER, Type.SIZE, Type.SIZE_OR_AUTO, Type.BINARY_SIZE):
        return int(word) if word.lstrip("-").isdecimal() and str(int(word)) == word else word
    if kind is Type.NUMBER:
        return _number(word)
    return word


def _number(word: str) -> Any:
    try:
        number = float(word)
        text = argument_text(number)
        return (int(number) if number.is_integer() else number) if float(text) == number else word
    except (ValueError, OverflowError):
        return word


def _structure(word: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(word)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict | list):
            return found
    return word


def part_value_of(word: str) -> Any:
    """Returns the value of a part; the engine reads JSON where it can."""
    try:
        found = json.loads(word)
    except (ValueError, RecursionError):
        return word
    if isinstance(found, dict | list):
        return found
    return found if found is not None and argument_text(found) == word else word
