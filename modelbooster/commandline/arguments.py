"""Reads the arguments of an engine as its parser does, by the tables of its releases.

The result is a ``config``: flags by their first names, with values of their types. The order of
the checks follows argparse: a whole name, a short name, the only flag that a name begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from app.engines.engine import Engine
from app.engines.names import in_other_tables, missing, suggestion
from app.engines.table import Flag, Kind
from modelbooster.commandline.shell import is_known, unknown_in
from modelbooster.commandline.values import part_value_of, value_of

_NEGATIVE = re.compile(r"-\d+(\.\d+)?", re.ASCII)
_LEVEL = re.compile(r"O(\d)?", re.ASCII)
_COMPILATION, _OPTIMIZATION = "compilation-config", "optimization-level"
_REPLACED = frozenset({"host", "port", "master-addr", "master-port", "node-rank"}) | {
    *("dist-init-addr", "download-dir", "api-key", "admin-api-key", "hf-token"),
    *("data-parallel-address", "data-parallel-rpc-port"),
}
"""Flags whose values never reach the ModelBooster, so that they need not be known."""

_TRUTHS = {"true": True, "false": False}


@dataclass(slots=True)
class Reading:
    """What the words of a command line say.

    Args:
        config: values by the first names of the flags, or by ``flag.part``.
        positional: words that belong to no flag.
        faults: what the engine would refuse, each naming its flag.
        notes: what is read otherwise than it is written.
        strangers: names that the release has no flag for, but another release.
    """

    config: dict[str, Any] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


class _Found:
    """A flag as a word names it.

    Args:
        flag: the flag.
        name: the name by which the word names it.
        part: the part of its value, with the dot; empty for the whole.
        value: what follows ``=`` in the same word; None without one.
    """

    __slots__ = ("flag", "name", "part", "value")

    def __init__(self, flag: Flag, name: str, part: str, value: str | None) -> None:
        self.flag, self.name, self.part, self.value = flag, name, part, value


def read_arguments(engine: Engine, words: list[str]) -> Reading:
    """Returns what the words after the program's name say to an engine."""
    reading = Reading()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            reading.positional += words[at:]
            break
        if not _is_flag(word):
            reading.positional.append(word)
            continue
        found = _flag(engine, word, reading)
        if found is None:
            # Its values would be taken for the model.
            while at < len(words) and not _is_flag(words[at]):
                at += 1
            continue
        taken = [] if found.value is None else [found.value]
        if found.value is None:
            for following in words[at : at + _most(found, words[at:])]:
                taken.append(following)
            at += len(taken)
        unknown = next((one for one in taken if not is_known(one)), None)
        if unknown is not None and found.flag.name not in _REPLACED:
            detail = f"the value of {unknown_in(unknown)} is not in the command"
            reading.faults.append(f"--{found.name}: {detail}; write it, or set the variable first")
            continue
        _keep(reading, found, taken)
    return reading


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and _NEGATIVE.fullmatch(word) is None


def _flag(engine: Engine, word: str, reading: Reading) -> _Found | None:
    """Returns the flag that a word names; None if there is none, which is a fault."""
    text, equals, after = word.partition("=")
    value = after if equals else None
    name, dot, inner = text.lstrip("-").partition(".")
    part = f"{dot}{inner}"
    if not text.startswith("--"):
        short = _short(engine, name, part, value)
        if short is not None:
            return short
    name = name.replace("_", "-")
    flag = engine.flag(name)
    if flag is None and (full := _whole_name(engine, name, reading)):
        name, flag = full, engine.table.find(full)
    if flag is None:
        flag = in_other_tables(engine.table, name)
        if flag is not None:
            reading.strangers.append(name)
    if flag is None or (name in reading.strangers and engine.exact):
        fault = missing(engine.table, name, name)
        detail = fault.detail + suggestion(engine.table, fault)
        reading.faults.append(f"--{name}: {detail}")
        return None
    return _Found(flag, name, part, value)


def _short(engine: Engine, name: str, part: str, value: str | None) -> _Found | None:
    flag = engine.table.short(name)
    if flag is None and engine.above is not None:
        flag = engine.above.short(name)
    level = _LEVEL.fullmatch(name)
    if flag is not None and not (level and level[1]):
        return _Found(flag, flag.name, part, value)
    if level is None:
        return None
    # -O3, -O 3 and -O.mode=3 are vLLM's own; newer releases have a flag for the level.
    levels = engine.table.find(_OPTIMIZATION)
    compilation = engine.table.find(_COMPILATION)
    if part and compilation is not None:
        return _Found(compilation, _COMPILATION, part, value)
    if levels is not None:
        return _Found(levels, _OPTIMIZATION, "", level[1] or value)
    if compilation is not None:
        return _Found(compilation, _COMPILATION, ".level", level[1] or value)
    return None


def _whole_name(engine: Engine, name: str, reading: Reading) -> str:
    """Returns the only flag that a name begins, as argparse does; empty if there are several."""
    table = engine.table
    longer = [one for one in table.names() if one.startswith(name)]
    if len({table.first_names.get(one, one) for one in longer}) != 1:
        return ""
    full = min(longer, key=len)
    if name not in ("tp", "pp", "dp", "ep"):
        reading.notes.append(f"--{name} is short for --{full}")
    return full


def _most(found: _Found, words: list[str]) -> int:
    """Returns how many of the following words are values of a flag."""
    if found.part:
        return 1
    match found.flag.kind:
        case Kind.SWITCH | Kind.TOGGLE:
            return 1 if words and words[0].lower() in _TRUTHS else 0
        case Kind.VALUE | Kind.APPEND:
            return 1 if words and not _is_flag(words[0]) else 0
        case Kind.OPTIONAL:
            return 1 if words and not _is_flag(words[0]) else 0
        case Kind.LIST | Kind.ADAPTERS:
            return next((at for at, word in enumerate(words) if _is_flag(word)), len(words))


def _keep(reading: Reading, found: _Found, words: list[str]) -> None:
    flag, config = found.flag, reading.config
    if found.part:
        if words:
            config[f"{flag.name}{found.part}"] = part_value_of(words[0])
        else:
            reading.faults.append(f"--{found.name}{found.part}: needs a value")
        return
    match flag.kind:
        case Kind.SWITCH | Kind.TOGGLE:
            _keep_switch(reading, found, words)
        case Kind.OPTIONAL:
            config[flag.name] = value_of(flag, words[0]) if words else True
        case Kind.VALUE | Kind.APPEND if not words:
            reading.faults.append(f"--{found.name}: needs a value")
        case Kind.VALUE:
            if flag.name in config:
                reading.notes.append(f"--{found.name} is given twice, and the last one counts")
            config[flag.name] = value_of(flag, words[0])
        case Kind.APPEND:
            config.setdefault(flag.name, []).append(value_of(flag, words[0]))
        case Kind.LIST | Kind.ADAPTERS:
            if flag.name in config:
                reading.notes.append(f"--{found.name} is given twice, and the last one counts")
            config[flag.name] = [value_of(flag, word) for word in words]


def _keep_switch(reading: Reading, found: _Found, words: list[str]) -> None:
    flag = found.flag
    on = found.name == flag.name or found.name in flag.aliases or found.name in flag.short
    if words:
        truth = _TRUTHS.get(words[0].lower())
        if truth is not True:
            off = f"write --no-{flag.name}" if flag.kind is Kind.TOGGLE else "leave it out"
            detail = f"is a switch and takes no value; to turn it off, {off}"
            reading.faults.append(f"--{found.name}: {detail}")
            return
        reading.notes.append(f"--{found.name} is a switch; the word {words[0]} after it is dropped")
    reading.config[flag.name] = on
