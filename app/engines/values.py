"""Whether an engine can read a word as a value of a flag."""

from __future__ import annotations

import ast
import json
import re

from app.engines.fault import Wrong
from app.engines.table import Flag, Type

_SIZES = {
    Type.SIZE: r"\d+(\.\d+)?[kmgt]|\d+[KMGT]",
    Type.BINARY_SIZE: r"\d+(\.\d+)?[kMGT]|\d+[KMGT]i",
}
_SUFFIXES = {
    Type.SIZE: "k, m, g, t (1000) or K, M, G, T (1024)",
    Type.BINARY_SIZE: "k, M, G, T (1000) or Ki, Mi, Gi, Ti (1024)",
}
_PAIRS = r"[^=,]+=\s*[+-]?\d+\s*(,[^=,]+=\s*[+-]?\d+\s*)*"
_MOST_CHOICES = 12


def word_fault(flag: Flag, word: str) -> tuple[Wrong, str] | None:
    """Returns what is wrong with a word as a value of a flag; None if the engine reads it."""
    if flag.null and word in ("", "None"):
        # Where there are choices, no value has to be one of them.
        refused = flag.choices and "None" not in flag.choices
        return (Wrong.CHOICE, _choices(flag, word)) if refused else None
    complaint = _unreadable(flag.type, word)
    if complaint is not None:
        return Wrong.TYPE, complaint
    if flag.choices and flag.type is not Type.OTHER and _normal(flag, word) not in flag.choices:
        return Wrong.CHOICE, _choices(flag, word)
    return None


def _unreadable(kind: Type, word: str) -> str | None:
    """Returns what a word must be to be of a type, if it is not."""
    match kind:
        case Type.INTEGER:
            return None if _is_integer(word) else "must be a whole number"
        case Type.NUMBER:
            return None if _is_number(word) else "must be a number"
        case Type.SIZE_OR_AUTO:
            return None if word.strip().lower() == "auto" else _no_size(Type.SIZE, word)
        case Type.SIZE | Type.BINARY_SIZE:
            return _no_size(kind, word)
        case Type.JSON:
            return None if _json(word) is not _NOTHING else "must be JSON"
        case Type.OBJECT:
            return None if isinstance(_json(word), dict) else "must be an object"
        case Type.PAIRS:
            pairs = re.fullmatch(_PAIRS, word, re.ASCII) is not None
            return None if pairs or _json(word) is not _NOTHING else "must be an object"
        case Type.LITERAL:
            level = word in ("0", "1", "2", "3")
            return (
                None
                if level or isinstance(_literal(word), dict)
                else "must be an object, or a level from 0 to 3"
            )
        case _:
            return None


def _no_size(kind: Type, word: str) -> str | None:
    if _is_integer(word) or re.fullmatch(_SIZES[kind], word.strip(), re.ASCII):
        return None
    return f"must be a whole number, or a number with one suffix: {_SUFFIXES[kind]}"


def _is_integer(word: str) -> bool:
    try:
        int(word)
    except ValueError:
        return False
    return True


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


_NOTHING = object()


def _json(word: str) -> object:
    try:
        found: object = json.loads(word)
    except (ValueError, RecursionError):
        return _NOTHING
    return found


def _literal(word: str) -> object:
    try:
        found: object = ast.literal_eval(word)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _NOTHING
    return found


def _normal(flag: Flag, word: str) -> str:
    """Returns a word as the list of choices writes it."""
    return str(int(word)) if flag.type is Type.INTEGER else word


def _choices(flag: Flag, word: str) -> str:
    from difflib import get_close_matches

    near = [choice for choice in flag.choices if choice.lower() == word.lower()]
    near = near or get_close_matches(word, flag.choices, 1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    if len(flag.choices) > _MOST_CHOICES:
        listed = ", ".join(flag.choices[:_MOST_CHOICES])
        return f"must be one of {len(flag.choices)} values: {listed}, ...{hint}"
    return f"must be one of: {', '.join(flag.choices)}{hint}"
