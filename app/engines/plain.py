"""Arguments of one word that need no check, which most are: the quick way to write them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

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
