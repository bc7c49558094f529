"""Parsers as the engines build them, made of our tables; they read what we write.

How values are read, and what vLLM does to the words before argparse sees them, follows the engines'
sources: ``vllm/utils/argparse_utils.py``, ``vllm/engine/arg_utils.py`` and
``sglang/srt/server_args.py``.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn

from app.engines.table import Flag, Kind, Table, Type


class Refused(Exception):
    """The engine would end with status 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(message)


class _VllmAdapters(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        found = []
        for item in values:
            if "=" in item and "," not in item:
                name, path = item.split("=")
                found.append({"name": name, "path": path})
            else:
                found.append(json.loads(item))
        setattr(namespace, self.dest, found)


class _SglangAdapters(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        pairs = [item.split("=", 1) for item in values]
        setattr(namespace, self.dest, [{"name": name, "path": path} for name, path in pairs])


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", text.strip())
    if not match:
        return int(text)
    number, suffix = match.groups()
    power = "kmgt".index(suffix.lower()) + 1
    return int(float(number) * 1000**power) if suffix.islower() else int(number) * 1024**power


def _size_or_auto(text: str) -> int:
    return -1 if text.strip().lower() in ("-1", "auto") else _size(text)


def _binary_size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)", text.strip())
    if not match:
        return int(text)
    number, suffix = match.groups()
    power = "kMGT".index(suffix.replace("Ki", "k")[0]) + 1
    return int(number) * 1024**power if "i" in suffix else int(float(number) * 1000**power)


def _object(text: str) -> Any:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _mixed(text: str) -> Any:
    return json.loads(text) if re.match(r"(?s)^\s*{.*}\s*$", text) else text


def _pairs(text: str) -> Any:
    if re.match("^{.*}$", text):
        return json.loads(text)
    return {key: int(value) for key, value in (part.split("=") for part in text.split(","))}


def _literal(text: str) -> Any:
    return int(text) if text in ("0", "1", "2", "3") else ast.literal_eval(text)


READERS: dict[Type, Callable[[str], Any]] = {
    Type.TEXT: str,
    Type.OTHER: str,
    Type.INTEGER: int,
    Type.NUMBER: float,
    Type.TRUTH: bool,
    Type.SIZE: _size,
    Type.SIZE_OR_AUTO: _size_or_auto,
    Type.BINARY_SIZE: _binary_size,
    Type.JSON: json.loads,
    Type.OBJECT: _object,
    Type.MIXED: _mixed,
    Type.PAIRS: _pairs,
    Type.LITERAL: _literal,
}


def _reader(flag: Flag) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return None if flag.null and text in ("", "None") else READERS[flag.type](text)

    return read


@cache
def parser_of(table: Table) -> argparse.ArgumentParser:
    """Returns a parser with every flag of a table, each under its first name as ``dest``."""
    parser = _Parser(add_help=False)
    if table.engine == "vllm":
        parser.add_argument("model_tag", nargs="?")
    for flag in table:
        names = [f"--{name}" for name in (flag.name, *flag.aliases)]
        more: dict[str, Any] = {"dest": flag.name, "default": argparse.SUPPRESS}
        if flag.kind is Kind.SWITCH:
            parser.add_argument(*names, action="store_true", **more)
            continue
        if flag.kind is Kind.TOGGLE:
            off = [f"--{name}" for name in (*(f"no-{flag.name}",), *flag.off)]
            parser.add_argument(*names, action="store_true", **more)
            parser.add_argument(*off, action="store_false", **more)
            continue
        more["type"] = _reader(flag)
        if flag.choices and flag.type is not Type.OTHER:
            reader = _reader(flag)
            more["choices"] = [reader(choice) for choice in flag.choices]
        match flag.kind:
            case Kind.OPTIONAL:
                more |= {"nargs": "?", "const": True}
            case Kind.LIST:
                more["nargs"] = "*" if flag.empty else "+"
            case Kind.APPEND:
                more["action"] = "append"
            case Kind.ADAPTERS:
                vllm = table.engine == "vllm"
                more["action"] = _VllmAdapters if vllm else _SglangAdapters
                more["nargs"] = "*" if flag.empty else "+"
                more["type"] = str
        parser.add_argument(*names, **more)
    return parser


def read_back(table: Table, words: Sequence[str]) -> dict[str, Any]:
    """Returns what an engine reads, by the first name of each flag.

    Raises:
        Refused: it would end with status 2.
    """
    given = _as_vllm_does(words) if table.engine == "vllm" else list(words)
    found = vars(parser_of(table).parse_args(given))
    if found.pop("model_tag", None) is not None:
        raise Refused("a word became the model")
    return found


def _as_vllm_does(words: Sequence[str]) -> list[str]:
    """Returns the words that argparse gets: dashes for underscores, objects for dotted flags."""
    dashed = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            head, dot, tail = name.partition(".")
            dashed.append(f"{head.replace('_', '-')}{dot}{tail}{equals}{value}")
        elif word.startswith("-O") and word != "-O":
            dashed += ["--optimization-level", word[2:]]
        else:
            dashed.append(word)
    rest: list[str] = []
    objects: dict[str, dict[str, Any]] = defaultdict(dict)
    words_left = iter(dashed)
    for word in words_left:
        name, equals, value = word.partition("=")
        if not (word.startswith("-") and "." in name):
            rest.append(word)
            continue
        if not equals:
            value = next(words_left)
        flag, *parts = name.split(".")
        inner = objects[flag]
        for part in parts[:-1]:
            inner = inner.setdefault(part, {})
        try:
            inner[parts[-1]] = json.loads(value)
        except ValueError:
            inner[parts[-1]] = value
    for flag, found in objects.items():
        rest += [flag, json.dumps(found)]
    return rest
