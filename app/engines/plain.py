"""Arguments of one word that need no check, which most are: the quick way to write them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from app.engines.forms import SERVED_NAMES
from app.engines.history import GONE
from app.engines.names import misspelled
from app.engines.table import Table, Type


class Plain(NamedTuple):
    """A flag whose value is one word that nearly always needs no check.

    A whole number that is not negative needs none. A text needs none if the flag takes any text,
    and the text is not empty and does not begin with a dash.

    Args:
        flag: the first name of the flag.
        word: the flag as the engine gets it.
        is_text: whether it takes any text; otherwise it takes whole numbers.
    """

    flag: str
    word: str
    is_text: bool


@cache
def plain_arguments(rules: Table) -> Mapping[str, Plain]:
    """Returns the flags of a table that are plain, by each of their names.

    The values of most arguments differ from object to object, so a cache of whole entries
    misses them.
    """
    gone = GONE.get(rules.engine, {})
    types = {name: kind for kind in _TYPES for name in rules.unrestricted(kind)}
    types.pop(SERVED_NAMES, None)
    found = {}
    for name in rules.names():
        first = rules.first_names.get(name, name)
        if first in types and name not in gone and misspelled(name) is None:
            found[name] = Plain(first, f"--{name}", types[first] is Type.TEXT)
    return found


_TYPES = (Type.TEXT, Type.INTEGER)


def plain_line(
    rules: Table, config: Mapping[str, Any], keys: list[str]
) -> tuple[list[str], Mapping[str, str]] | None:
    """Returns words and keys of a ``config`` of plain arguments only; None for any other.

    A few passes over all entries take half the time of a step for each of them.

    Args:
        rules: the table.
        config: the arguments.
        keys: their keys, sorted.
    """
    if not plain_arguments(rules).keys() >= config.keys():
        return None
    shape = _shape(rules, tuple(keys))
    values = [config[key] for key in keys]
    if shape is None or [*map(type, values)] != shape.types:
        return None
    texts = [*map(str, values)]
    lines = "\n".join(["", *texts, ""])
    if "\n-" in lines or "\n\n" in lines:
        return None  # a negative number, a text that looks like a flag, or an empty one
    words = shape.words + texts
    words[::2], words[1::2] = shape.words, texts
    return words, shape.keys


class _Shape(NamedTuple):
    """What configs of the same keys have in common.

    Args:
        keys: the key of each flag, by its first name.
        words: the flags as the engine gets them, in the order of the keys.
        types: the usual type of each value.
    """

    keys: Mapping[str, str]
    words: list[str]
    types: list[type]


@lru_cache(maxsize=256)
def _shape(rules: Table, keys: tuple[str, ...]) -> _Shape | None:
    """Returns the shape of configs with these keys, all plain; None if two mean the same flag."""
    flags = [plain_arguments(rules)[key] for key in keys]
    by_flag = {flag.flag: key for flag, key in zip(flags, keys, strict=True)}
    if len(by_flag) < len(keys):
        return None
    types: list[type] = [str if flag.is_text else int for flag in flags]
    return _Shape(by_flag, [flag.word for flag in flags], types)
