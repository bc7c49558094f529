"""What the argument parser of an engine release accepts, flag by flag.

The tables are data, made by ``make engines`` from the real parsers. One is read when it is first
asked for, and a flag is built when it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from app.engines.release import Release, release
from app.values.value import hashable_value

_FOLDER = Path(__file__).parent / "data"


class Kind(StrEnum):
    """How many words follow a flag, and what a second one of the same name does."""

    SWITCH = "switch"
    """None; it can only turn something on."""
    TOGGLE = "toggle"
    """None; another name turns the same thing off."""
    VALUE = "value"
    """One."""
    OPTIONAL = "optional"
    """One or none."""
    LIST = "list"
    """Several; a second flag of the name replaces the first."""
    APPEND = "append"
    """One; a second flag of the name adds to the first."""
    ADAPTERS = "adapters"
    """Several, each naming a LoRA adapter and where it is."""


class Type(StrEnum):
    """What one word of a value must be."""

    NONE = ""
    """There is no word."""
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "truth"
    """Python's ``bool``: any text is true, only the empty one is false."""
    SIZE = "size"
    """An integer, or a number with one of vLLM's suffixes: ``32k`` (1000), ``32K`` (1024)."""
    SIZE_OR_AUTO = "size-or-auto"
    """The same, or ``auto``."""
    BINARY_SIZE = "binary-size"
    """An integer, or a number with one of SGLang's suffixes: ``32k`` (1000), ``32Ki`` (1024)."""
    JSON = "json"
    OBJECT = "object"
    """JSON, and an object."""
    PAIRS = "pairs"
    """JSON, or ``key=value,key=value``."""
    MIXED = "mixed"
    """Text, or an object in JSON."""
    LITERAL = "literal"
    """A literal of Python: ``True`` and ``None`` where JSON has ``true`` and ``null``."""
    OTHER = "other"
    """Something else; nothing is known of its form."""


STRUCTURED = frozenset({Type.JSON, Type.OBJECT, Type.PAIRS, Type.LITERAL})
"""Types whose values can hold lists and objects."""


@hashable_value
class Flag:
    """One flag of one release.

    Args:
        name: without dashes, as the engine lists it first.
        kind: how many words follow.
        type: what each of them must be.
        null: whether the words ``None`` and the empty one mean that there is no value.
        empty: whether a list may have no words.
        choices: the words that are accepted; empty if there is no such list. ``None`` is one of
            them only if the engine takes it: up to vLLM 0.18 the list shows it and it is refused.
        off: names that turn a toggle off.
        aliases: other names of it.
        short: names with one dash; the user cannot write them, but may mean them.
        deprecated: whether the engine announces that it will go.
    """

    name: str
    kind: Kind
    type: Type
    null: bool = False
    empty: bool = False
    choices: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    deprecated: bool = False


_RESTRICTIONS = frozenset({"choices", "deprecated"})


class Table:
    """The flags of one release.

    Args:
        data: the contents of its file.

    ``first_names`` holds the first name of a flag by each of its other names.
    """

    __slots__ = ("_built", "_flags", "engine", "first_names", "release")

    def __init__(self, data: dict[str, Any]) -> None:
        self.engine: str = data["engine"]
        self.release: Release = release(data["release"])
        self._flags: dict[str, list[Any]] = data["flags"]
        self._built: dict[str, Flag] = {}
        self.first_names: dict[str, str] = {
            other: name
            for name, entry in self._flags.items()
            if len(entry) > 2
            for kind in ("aliases", "off")
            for other in entry[2].get(kind, ())
        }
        for name, entry in self._flags.items():
            if entry[0] == Kind.TOGGLE:
                self.first_names.setdefault(f"no-{name}", name)

    def __contains__(self, name: str) -> bool:
        return name in self._flags or name in self.first_names

    def __iter__(self) -> Iterator[Flag]:
        return map(self._flag, self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def names(self) -> Iterator[str]:
        """Yields every name of every flag, without dashes."""
        yield from self._flags
        yield from self.first_names

    def unrestricted(self, of: Type) -> Iterator[str]:
        """Yields the flags of one word of a type that no list of choices restricts.

        Deprecated flags are not among them.
        """
        wanted = [Kind.VALUE, of]
        for name, entry in self._flags.items():
            more = entry[2] if len(entry) > 2 else ()
            if entry[:2] == wanted and _RESTRICTIONS.isdisjoint(more):
                yield name

    def short(self, name: str) -> Flag | None:
        """Returns the flag that has a name with one dash, as ``-tp``; given without it."""
        return next((flag for flag in self if name in flag.short), None)

    def find(self, name: str) -> Flag | None:
        """Returns the flag that has a name, whichever of its names that is."""
        own = name if name in self._flags else self.first_names.get(name)
        return None if own is None else self._flag(own)

    def _flag(self, name: str) -> Flag:
        found = self._built.get(name)
        if found is None:
            kind, kind_of_value, *rest = self._flags[name]
            more: dict[str, Any] = {
                key: tuple(v) if type(v) is list else v for key, v in (*rest, {})[0].items()
            }
            found = self._built[name] = Flag(name, Kind(kind), Type(kind_of_value), **more)
        return found


@cache
def releases(engine: str) -> tuple[Release, ...]:
    """Returns the releases with a table, the oldest first; empty for other engines."""
    names = (path.stem.split("-", 1) for path in _FOLDER.iterdir() if path.suffix == ".json")
    return tuple(sorted(release(text) for name, text in names if name == engine))


@cache
def table(engine: str, of: Release) -> Table:
    """Returns a table; it must be one of ``releases``."""
    return Table(json.loads((_FOLDER / f"{engine}-{of}.json").read_bytes()))
