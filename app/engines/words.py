"""A worker's ``config`` as the words of its engine's command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from app.engines.engine import Engine
from app.engines.fault import Fault, Wrong
from app.engines.forms import Form, form, truth
from app.engines.history import DOTTED_KEYS
from app.engines.names import MISSING, gone_by, in_other_tables, missing, misspelled
from app.engines.table import STRUCTURED, Flag, Kind, Table, Type
from app.engines.text import argument_text

OWNED = {
    "vllm": {"model": "modelURI says it", "model-tag": "modelURI says it"},
    "sglang": {"model-path": "modelURI says it"},
}
"""Flags that we write ourselves, by engine, and what says the same."""

_INNER = re.compile(r"(\.[^.=\s]+)+")
"""What stands behind the name of a flag, to name a part of its value."""


class CommandLine(NamedTuple):
    """What an engine gets of a ``config``.

    Args:
        words: the arguments, in the order of the keys.
        keys: as which key each flag stands there, by its first name; those that are left out too.
        faults: what is wrong, in the order of the keys.
    """

    words: list[str]
    keys: dict[str, str]
    faults: list[Fault]


class _Entry(NamedTuple):
    words: list[str]
    faults: list[Fault]


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
    owned = OWNED.get(engine.name, {}) if owned is None else owned
    words: list[str] = []
    faults: list[Fault] = []
    keys: dict[str, str] = {}
    said: set[str] = set()
    for key in sorted(config):
        name, dot, inner = key.partition(".")
        name = name.replace("_", "-")
        flag = engine.flag(name)
        own = flag.name if flag else name
        entry = _entry(engine, key, name, f"{dot}{inner}", config[key])
        words += entry.words
        faults += entry.faults
        if own in owned:
            faults.append(Fault(key, Wrong.OWNED, owned[own], own))
        full = f"{own}{dot}{inner}"
        if full in said or own in said or (not dot and own in keys):
            detail = f"means the same as {keys[own]}, and the engine would take the last one only"
            faults.append(Fault(key, Wrong.TWICE, detail, own))
        said.add(full)
        keys.setdefault(own, key)
    return CommandLine(words, keys, faults)


def _entry(engine: Engine, key: str, name: str, rest: str, value: Any) -> _Entry:
    """Returns one entry by the rules that hold; a fault is certain if both tables find it."""
    below = _by(engine, engine.table, key, name, rest, value)
    if engine.exact:
        return below
    if engine.release is not None and value is not None:
        gone = gone_by(engine.name, engine.release, key, name)
        if gone is not None:
            return _Entry(below.words, [gone])
    if not below.faults:
        return below
    agreed: set[Wrong] = set()
    words = below.words
    if engine.above is not None:
        above = _by(engine, engine.above, key, name, rest, value)
        agreed = {_group(fault.wrong) for fault in above.faults}
        words = below.words if name in engine.table else above.words
    return _Entry(words, [_weighed(fault, agreed) for fault in below.faults])


def _weighed(fault: Fault, agreed: set[Wrong]) -> Fault:
    sure = fault.wrong is Wrong.SPELLING or _group(fault.wrong) in agreed
    return fault if sure else replace(fault, certain=False)


def _group(wrong: Wrong) -> Wrong:
    """Returns one kind for all faults that say that there is no such flag."""
    return Wrong.UNKNOWN if wrong in MISSING else wrong


def _by(engine: Engine, rules: Table, key: str, name: str, rest: str, value: Any) -> _Entry:
    """Returns one entry by the rules of one table."""
    if (meant := misspelled(name)) is not None:
        return _Entry(_as_written(key, value), [Fault(key, Wrong.SPELLING, meant)])
    flag = rules.find(name)
    if flag is not None:
        one = _form(engine, flag, name, rest, value)
        faults = [Fault(key, wrong, detail, flag.name) for wrong, detail in one.faults]
        if flag.deprecated and value is not None:
            faults.append(Fault(key, Wrong.DEPRECATED, "is deprecated", flag.name))
        return _Entry(one.words, faults)
    other = in_other_tables(rules, name)
    if value is None:
        # It reaches no engine. Some release has it, or it is a typing error.
        return _Entry([], [] if other else [replace(missing(rules, key, name), certain=False)])
    words = _form(engine, other, name, rest, value).words if other else _as_written(key, value)
    return _Entry(words, [missing(rules, key, name)])


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
