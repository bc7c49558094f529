"""The words that say one flag with one value, in the form that the engine reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from app.engines.fault import Wrong
from app.engines.table import STRUCTURED, Flag, Kind, Type
from app.engines.text import argument_text, literal_text
from app.engines.values import word_fault

_BLANK = re.compile(r"\s")
_NEGATIVE = re.compile(r"-\d+", re.ASCII)
SERVED_NAMES = "served-model-name"

_MAX_FAULTS = 20
"""Most words of one value whose faults are told; a list may have thousands."""


class Form(NamedTuple):
    """A flag with its value.

    Args:
        words: what the engine gets; nothing if the flag is left out.
        faults: what is wrong with the value.
    """

    words: list[str]
    faults: list[tuple[Wrong, str]] = []  # noqa: RUF012 - never changed


def form(engine: str, flag: Flag, name: str, value: Any) -> Form:
    """Returns the words that say a flag with a value.

    Args:
        engine: name of the engine.
        flag: the flag.
        name: the name of it that the user wrote; it may be one that turns a toggle off.
        value: as written in ``config``. ``null`` leaves the flag out.
    """
    if value is None:
        return Form([])
    match flag.kind:
        case Kind.SWITCH | Kind.TOGGLE:
            return _switch(flag, name, value)
        case Kind.VALUE:
            return _value(flag, name, value)
        case Kind.OPTIONAL:
            if value is False:
                return Form([])
            alone = value is True or value == ""
            return Form([f"--{name}"]) if alone else _value(flag, name, value)
        case Kind.APPEND:
            return _repeated(flag, name, value if isinstance(value, list) else [value])
        case Kind.LIST:
            return _several(flag, name, value if isinstance(value, list) else [value])
        case Kind.ADAPTERS:
            return _adapters(engine, flag, name, value)


def _switch(flag: Flag, name: str, value: Any) -> Form:
    on = truth(value)
    if on is None:
        return Form([f"--{name}"], [(Wrong.FORM, "is a switch: write true or false")])
    if name != flag.name and name not in flag.aliases:
        on = not on
        name = flag.name
    if on:
        return Form([f"--{name}"])
    return Form([f"--no-{name}"] if flag.kind is Kind.TOGGLE else [])


def truth(value: Any) -> bool | None:
    """Returns what a value means for a switch; the empty text turns it on, as it always has."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"": True, "true": True, "false": False}.get(value.lower())
    return None


def _value(flag: Flag, name: str, value: Any) -> Form:
    if isinstance(value, list) and flag.type not in STRUCTURED:
        return Form(_joined(name, argument_text(value)), [(Wrong.FORM, "takes one value, no list")])
    return _checked(flag, name, [_word(flag, value)])


def _several(flag: Flag, name: str, values: list[Any]) -> Form:
    if not values:
        return Form([f"--{name}"] if flag.empty else [])
    return _checked(flag, name, [_word(flag, value) for value in values])


def _repeated(flag: Flag, name: str, values: list[Any]) -> Form:
    forms = [_checked(flag, name, [_word(flag, value)]) for value in values]
    return Form(
        [word for one in forms for word in one.words],
        [fault for one in forms for fault in one.faults],
    )


def _checked(flag: Flag, name: str, words: list[str]) -> Form:
    """Returns a flag with its words, and what is wrong with each."""
    bad = (fault for word in words if (fault := word_fault(flag, word)) is not None)
    faults = list(islice(bad, _MAX_FAULTS))
    if flag.name == SERVED_NAMES and any(map(_BLANK.search, words)):
        faults.append((Wrong.FORM, "must not hold a blank; write several names as a list"))
    if "--" in words or (len(words) > 1 and any(map(_looks_like_flag, words))):
        faults.append((Wrong.FORM, "cannot be written: the engine would take it for a flag"))
    return Form(_joined(name, *words), faults)


def _looks_like_flag(word: str) -> bool:
    return word.startswith("-") and _NEGATIVE.fullmatch(word) is None


def _joined(name: str, *words: str) -> list[str]:
    """Returns a flag and its words; one word if the only value would not be seen as one."""
    if len(words) == 1 and (not words[0] or words[0].startswith("-")):
        return [f"--{name}={words[0]}"]
    return [f"--{name}", *words]


def _word(flag: Flag, value: Any) -> str:
    if flag.type is Type.TRUTH and (value is False or value == "false"):
        return ""
    if flag.type is Type.LITERAL:
        if isinstance(value, str):
            value = _read(value)
        return value if isinstance(value, str) else literal_text(value)
    return argument_text(value)


def _read(text: str) -> Any:
    """Returns the JSON that a text is; else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _adapters(engine: str, flag: Flag, name: str, value: Any) -> Form:
    """Returns adapters as JSON objects for vLLM, and as ``name=path`` for SGLang."""
    found = _read(value) if isinstance(value, str) else value
    if isinstance(found, dict) and not {"name", "path"} <= set(found):
        found = [{"name": key, "path": path} for key, path in found.items()]
    items = found if isinstance(found, list) else [found]
    words, faults = [], []
    for item in items:
        entry = _adapter(item)
        if entry is None:
            words.append(argument_text(item))
            faults.append((Wrong.FORM, 'must list adapters: {"name": ..., "path": ...}'))
        elif engine == "sglang":
            words.append(f"{entry['name']}={entry['path']}")
        else:
            words.append(argument_text(entry))
    if not words:
        return Form([f"--{name}"] if flag.empty else [])
    return Form(_joined(name, *words), faults)


def _adapter(item: Any) -> dict[str, Any] | None:
    """Returns an adapter that an object or a text ``name=path`` describes."""
    if isinstance(item, str):
        read = _read(item)
        name, equals, path = item.partition("=")
        if not isinstance(read, dict) and equals and not _BLANK.search(item):
            return {"name": name, "path": path}
        item = read
    if isinstance(item, dict) and _are_texts(item.get(key) for key in ("name", "path")):
        return item
    return None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)
