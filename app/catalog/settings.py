"""Reads values from files and from ``--set``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from app.catalog.parameters import ValuesError, is_text

_STEP = re.compile(r"((?:[^.\[\]\\]|\\.)+)((?:\[\d{1,3}\])*)", re.ASCII)
_CLOSING = {"[": "]", "{": "}"}
_MAX_CONTAINERS = 10_000
"""Lists, mappings and items that the values of one text may have."""


def read_values(files: Mapping[str, str], sets: Iterable[str]) -> dict[str, Any]:
    """Returns the values that files and settings give; later ones win.

    Mappings are merged, everything else is replaced.

    Args:
        files: content of files of values by their names, in the order in which they are given.
        sets: texts such as ``maxModelLen=8192``, ``config.seed=1``, ``loraAdapters[0].name=a``,
            or several with commas. Values are YAML, so that numbers and booleans are such; quotes
            make a text of them.

    Raises:
        ValuesError: a file is no mapping, or a setting cannot be read.
    """
    found: dict[str, Any] = {}
    for name, text in files.items():
        try:
            content = _parsed(text)
        except yaml.YAMLError as exc:
            raise ValuesError(f"{name}: failed to parse values file: {exc}") from None
        if content is None:
            continue
        if not isinstance(content, dict):
            raise ValuesError(f"{name}: must hold a mapping of values, name: value")
        _merge(found, {str(key): value for key, value in content.items()})
    for text in sets:
        for one in _split(text):
            _set(found, one)
    return found


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        before = into.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            _merge(before, value)
        else:
            into[key] = value


def _split(text: str) -> Iterator[str]:
    """Yields the settings of a text: commas separate them, but not within brackets or quotes."""
    part, closing, quote = "", "", ""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in _CLOSING and "=" in part:
            closing += _CLOSING[char]
        elif closing and char == closing[-1]:
            closing = closing[:-1]
        elif char == "," and not closing:
            yield part
            part = ""
            continue
        part += char
    yield part


def _set(into: dict[str, Any], text: str) -> None:
    name, equals, raw = text.partition("=")
    steps = list(_steps(name.strip())) if equals else []
    if not steps:
        raise ValuesError(f'--set "{text}": must be name=value, for example maxModelLen=8192')
    _place(into, steps, _value(name.strip(), raw), text)


def _value(name: str, raw: str) -> Any:
    """Returns the value of a text, with the type that YAML gives it."""
    raw = raw.replace("\\,", ",")
    if is_text(name):
        quoted = len(raw) > 1 and raw[0] in "\"'" and raw[-1] == raw[0]
        return raw[1:-1] if quoted else raw
    try:
        return _parsed(raw) if raw.strip() else ""
    except _Refused as exc:
        raise ValuesError(f'--set "{name}": {exc}') from None
    except yaml.YAMLError:
        return raw


class _Refused(yaml.YAMLError):
    """A text is YAML, but of a form that no value needs."""


def _parsed(text: str) -> Any:
    """Returns what a text of YAML means.

    Raises:
        yaml.YAMLError: it is not YAML, is nested too deeply, or its aliases have no end.
    """
    try:
        value = yaml.load(text, Loader=yaml.CSafeLoader)
        _count(value, set(), 0)
    except RecursionError:
        raise _Refused("lists and mappings are nested too deeply") from None
    return value


def _count(value: Any, inside: set[int], before: int) -> int:
    """Counts lists and mappings as often as aliases repeat them, and adds what was ``before``."""
    if not isinstance(value, dict | list):
        return before
    if id(value) in inside or before > _MAX_CONTAINERS:
        raise _Refused("an alias (*name) repeats itself, or too much; write out what is needed")
    inside.add(id(value))
    for item in value.values() if isinstance(value, dict) else value:
        before = _count(item, inside, before + 1)
    inside.discard(id(value))
    return before


def _steps(name: str) -> Iterator[str | int]:
    """Yields the keys and places of a path: ``a.b[0]``; a backslash hides a dot of a key."""
    at = 0
    while at < len(name):
        match = _STEP.match(name, at)
        if match is None:
            raise ValuesError(f'--set "{name}": is no path; write name, name.key or name[0]')
        yield re.sub(r"\\(.)", r"\1", match[1])
        yield from map(int, re.findall(r"\d+", match[2]))
        at = match.end()
        if at < len(name):
            if name[at] != "." or at + 1 == len(name):
                raise ValuesError(f'--set "{name}": is no path; write name, name.key or name[0]')
            at += 1


def _place(into: Any, steps: list[str | int], value: Any, text: str) -> None:
    """Puts a value where a path leads, and creates what is missing on the way."""
    at = into
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        last = following is None
        fresh: Any = value if last else [] if isinstance(following, int) else {}
        if isinstance(step, int) and isinstance(at, list):
            if step > len(at):
                raise ValuesError(f'--set "{text}": [{step}] comes before [{len(at)}] is set')
            if step == len(at):
                at.append(fresh)
            elif last:
                at[step] = value
        elif isinstance(step, str) and isinstance(at, dict):
            if last or not isinstance(at.get(step), dict | list):
                at[step] = fresh
        else:
            raise ValuesError(f'--set "{text}": a list and a mapping of the same name')
        at = at[step]
