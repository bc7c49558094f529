"""Arguments of one word that need no check, which most are: the quick way to write them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from app.engines.forms import SERVED_NAMES
from app.engines.history import GONE
from app.engines.names import misspelled
from app.engines.table import Kind, Table, Type


class Plain(NamedTuple):
    """A key whose value is one word that nearly always needs no check.

    Args:
        flag: the first name of the flag.
        word: the flag as the engine gets it.
        text: whether it takes any text; otherwise it takes whole numbers.
    """

    flag: str
    word: str
    text: bool

    def takes(self, value: Any) -> bool:
        """Whether the value is one that needs no check."""
        if type(value) is str:
            return self.text and value != "" and value[0] != "-"
        return type(value) is int and value >= 0


@lru_cache(maxsize=4096)
def plain_argument(rules: Table, key: str) -> Plain | None:
    """Returns a key whose value is one word; None if the rules of its flag say more.

    The values of most arguments differ from object to object, so a cache of whole entries
    misses them.
    """
    name = key.replace("_", "-")
    flag = None if misspelled(name) else rules.find(name)
    if flag is None or flag.kind is not Kind.VALUE or flag.type not in (Type.TEXT, Type.INTEGER):
        return None
    if flag.choices or flag.deprecated or flag.name == SERVED_NAMES:
        return None
    if name in GONE.get(rules.engine, {}):
        return None
    return Plain(flag.name, f"--{name}", flag.type is Type.TEXT)
