"""A worker's ``config`` as the words of its engine's command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from app.engines.engine import Engine
from app.engines.fault import Fault, Wrong
from app.engines.forms import Form, form, truth
from app.engines.history import DOTTED_KEYS
from app.engines.names import MISSING, deprecated, gone_by, in_other_tables, missing, misspelled
from app.engines.plain import plain_arguments, plain_line
from app.engines.table import STRUCTURED, Flag, Kind, Table, Type
from app.engines.text import argument_text

_MODEL = "modelURI names the model"
_NODES = "workers[].pods sets the number of nodes"
OWNED = {
    "vllm": {
        "model": _MODEL,
        "model-tag": _MODEL,
        "nnodes": _NODES,
        "node-rank": _NODES,
        "master-addr": _NODES,
        "headless": _NODES,
        "uds": "requests reach the engine on its TCP port",
    },
    "sglang": {
        "model-path": _MODEL,
        "disaggregation-mode": "the type of the worker sets it",
        "nnodes": _NODES,
        "node-rank": _NODES,
        "dist-init-addr": _NODES,
    },
}
"""Flags that we write ourselves, by engine, and what says the same."""

_INNER = re.compile(r"(\.[^.=\s]+)+")
"""Suffix after the name of a flag that names a part of its value."""


class CommandLine(NamedTuple):
    """What an engine gets of a ``config``.

    Args:
        words: the arguments, in the order of the keys.
        keys: the key of each flag in ``config``, by its first name; also of flags left out.
        faults: what is wrong, in the order of the keys.
    """

    words: list[str]
    keys: Mapping[str, str]
    faults: list[Fault]


class _Entry(NamedTuple):
    """One entry of a ``config``.

    Args:
        words: what the engine gets.
        faults: what is wrong with it.
        flag: the first name of its flag.
        part: what it names of the flag's value: ``.kv_role``; empty for the whole value.
    """

    words: tuple[str, ...]
    faults: tuple[Fault, ...]
    flag: str
    part: str


_NONE: Mapping[str, str] = {}

MAX_CACHED_LENGTH = 256
"""Longest key or value of an entry that is cached, in characters."""

_SCALARS = (str, int, bool, float, type(None))


def command_line(
    engine: Engine, config: Mapping[str, Any], owned: Mapping[str, str] | None = None
) -> CommandLine:
    """Returns the words that give a ``config`` to an engine, and what is wrong with it.

    Every entry has words, whatever is wrong with it: an object that is stored already must not
    lose an argument. What is left out is ``null``, and ``false`` for a switch that is off anyway.

    Args:
        engine: what is known of the engine.
        config: flags by name, without dashes; ``max_model_len`` and ``max-model-len`` are one.
        owned: flags that the user must not write, with what says the same; ``OWNED`` if None.
    """
    owned = OWNED.get(engine.name, _NONE) if owned is None else owned
    table = engine.table
    plain_flags = plain_arguments(table)
    names = sorted(config)
    found = plain_line(table, config, names)
    if found is not None and owned.keys().isdisjoint(found[1]):
        return CommandLine(*found, [])
    words: list[str] = []
    faults: list[Fault] = []
    keys: dict[str, str] = {}
    parts: set[str] = set()
    for key in names:
        value = config[key]
        plain = plain_flags.get(key)
        if plain is None and "_" in key:
            plain = plain_flags.get(key.replace("_", "-"))
        if plain is not None:
            own, word, is_text = plain
            kind = type(value)
            if kind is str:
                fits = is_text and value != "" and value[0] != "-"
            else:
                fits = kind is int and value >= 0
            if fits and own not in keys and own not in owned:
                words.append(word)
                words.append(value if kind is str else str(value))
                keys[own] = key
                continue
        is_short = len(key) < MAX_CACHED_LENGTH
        if type(value) is str:
            is_short = is_short and len(value) < MAX_CACHED_LENGTH
        if is_short and type(value) in _SCALARS:
            entry = _cached_entry(engine, key, value)
        else:
            entry = _entry(engine, key, value)
        own = entry.flag
        words += entry.words
        if entry.faults:
            faults += entry.faults
        if own in owned and entry.words:
            faults.append(Fault(key, Wrong.OWNED, owned[own], own))
        if own in keys:
            # Several parts of one value are fine.
            whole = not entry.part or "." not in keys[own]
            if whole or own in parts or f"{own}{entry.part}" in parts:
                detail = f"means the same as {keys[own]}, and the engine takes only the last one"
                faults.append(Fault(key, Wrong.TWICE, detail, own))
        else:
            keys[own] = key
        parts.add(f"{own}{entry.part}")
    return CommandLine(words, keys, faults)


def _entry(engine: Engine, key: str, value: Any) -> _Entry:
    """Returns one entry by the rules that hold; a fault is certain if both tables find it."""
    name, dot, inner = key.partition(".")
    name = name.replace("_", "-")
    part = f"{dot}{inner}"
    flag = engine.flag(name)
    words, faults = _words_and_faults(engine, key, name, part, value)
    return _Entry(tuple(words), tuple(faults), flag.name if flag else name, part)


_cached_entry = lru_cache(maxsize=8192, typed=True)(_entry)
"""Most reviews and passes see entries that earlier ones have seen."""


def _words_and_faults(
    engine: Engine, key: str, name: str, rest: str, value: Any
) -> tuple[list[str], list[Fault]]:
    below = _by(engine, engine.table, key, name, rest, value)
    if engine.exact:
        return below
    if engine.release is not None and value is not None:
        gone = gone_by(engine.name, engine.release, key, name)
        if gone is not None:
            return below[0], [gone]
    words, faults = below
    if not faults:
        return below
    agreed: set[Wrong] = set()
    if engine.above is not None:
        above_words, above_faults = _by(engine, engine.above, key, name, rest, value)
        agreed = {_group(fault.wrong) for fault in above_faults}
        words = words if name in engine.table else above_words
    return words, [_weighed(fault, agreed) for fault in faults]


def _weighed(fault: Fault, agreed: set[Wrong]) -> Fault:
    sure = fault.wrong is Wrong.SPELLING or _group(fault.wrong) in agreed
    return fault if sure else replace(fault, certain=False)


def _group(wrong: Wrong) -> Wrong:
    """Returns one kind for all faults that say that there is no such flag."""
    return Wrong.UNKNOWN if wrong in MISSING else wrong


def _by(
    engine: Engine, rules: Table, key: str, name: str, rest: str, value: Any
) -> tuple[list[str], list[Fault]]:
    """Returns words and faults of one entry by the rules of one table."""
    if (meant := misspelled(name)) is not None:
        return _as_written(key, value), [Fault(key, Wrong.SPELLING, meant)]
    flag = rules.find(name)
    if flag is not None:
        one = _form(engine, flag, name, rest, value)
        faults = [Fault(key, wrong, detail, flag.name) for wrong, detail in one.faults]
        if flag.deprecated and value is not None:
            faults.append(Fault(key, Wrong.DEPRECATED, deprecated(rules, flag.name), flag.name))
        return one.words, faults
    other = in_other_tables(rules, name)
    if value is None:
        # It reaches no engine. Some release has it, or it is a typing error.
        return [], [] if other else [replace(missing(rules, key, name), certain=False)]
    words = _form(engine, other, name, rest, value).words if other else _as_written(key, value)
    return words, [missing(rules, key, name)]


def _form(engine: Engine, flag: Flag, name: str, rest: str, value: Any) -> Form:
    """Returns a flag with its value, or with a part of it: ``kv-transfer-config.kv_role``."""
    if not rest:
        return form(engine.name, flag, name, value)
    if value is None:
        return Form([])
    text = argument_text(value)
    words = [f"--{name}{rest}={text}"] if text[:1] in ("", "-") else [f"--{name}{rest}", text]
    since = DOTTED_KEYS.get(engine.name)
    if since is None or not engine.at_least(since) or not _takes_parts(flag):
        detail = f"has no parts; write {flag.name} as one value"
        if _takes_parts(flag):
            detail = f"this release reads no parts of {flag.name}; write it as an object"
        return Form(words, [(Wrong.FORM, detail)])
    if _INNER.fullmatch(rest) is None:
        return Form(words, [(Wrong.FORM, "names no part; write name.part")])
    return Form(words)


def _takes_parts(flag: Flag) -> bool:
    return flag.kind is Kind.VALUE and (flag.type in STRUCTURED or flag.type is Type.MIXED)


def _as_written(key: str, value: Any) -> list[str]:
    """Returns words for a key that no table knows."""
    flag = f"--{key.replace('_', '-')}"
    on = truth(value)
    if value is None or on is False:
        return []
    text = argument_text(value)
    if on:
        return [flag]
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]
