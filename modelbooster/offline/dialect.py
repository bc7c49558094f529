"""Reads and writes YAML like kubectl.

PyYAML differs from kubectl: it parses some plain scalars as dates or base-60 numbers, and ``1e3``
as a string. Here a plain scalar means what it means to kubectl, and so does the output.
One difference remains: a repeated key in a mapping is an error; kubectl drops the first value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isinf
from typing import Any

import orjson
import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.errors import UsageError
from app.values.meta import Object

_BOOL = re.compile(
    r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF"
)
_TRUE = re.compile(r"y|yes|true|on", re.IGNORECASE)
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_NULL = re.compile(r"~|null|Null|NULL|")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"
_PLAIN: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("float", _NOT_FINITE, "-+."),
    ("null", _NULL, "~nN"),
    ("merge", re.compile("<<"), "<"),
)
"""Types of plain scalars besides strings: tag, pattern, first characters. The first match wins."""

TOO_DEEP = "lists and mappings are nested too deeply; no ModelBooster needs that"
_MAX_COPIES = 100_000
"""Lists and mappings that aliases may make of one document, if most of them are copies."""


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML requires it


class _Dumper(yaml.CSafeDumper):
    """Quotes each string that PyYAML or kubectl would parse as another type."""

    def ignore_aliases(self, data: object) -> bool:
        """Children share values; anchors would make the output harder to read."""
        return True


for _tag, _form, _first in _PLAIN:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _tag, re.compile(f"(?:{_form.pattern})$"), list(_first))
_Loader.add_implicit_resolver(_TAG + "null", re.compile("$"), [""])


def _text(dumper: yaml.CSafeDumper, text: str) -> ScalarNode:
    # Block style keeps shell scripts readable.
    return dumper.represent_scalar(_TAG + "str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document of a YAML stream: its first line, counted from 1, and its value."""

    line: int
    value: Any


def parse(name: str, content: bytes) -> Iterator[Parsed]:
    """Yields the documents of a YAML stream, without empty ones.

    Args:
        name: name of the file, for errors.
        content: content of the file.

    Raises:
        UsageError: the content is not YAML, or cannot be expressed in JSON.
    """
    try:
        # Parse the whole file first, so that no object of a broken file is used.
        nodes = [node for node in yaml.compose_all(content, Loader=_Loader) if node is not None]
    except yaml.MarkedYAMLError as exc:
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        raise UsageError(f"{name}{_position(exc.problem_mark)}: {said}") from exc
    except yaml.YAMLError as exc:
        raise UsageError(f"{name}: {' '.join(str(exc).split())}") from exc
    except RecursionError:
        raise UsageError(f"{name}: {TOO_DEEP}") from None
    for node in nodes:
        try:
            value = _Converter(name).value(node)
        except RecursionError:
            raise UsageError(f"{name}{_position(node.start_mark)}: {TOO_DEEP}") from None
        if value is not None:
            yield Parsed(node.start_mark.line + 1, value)


def to_yaml(objects: Iterable[Object]) -> str:
    """Returns objects as YAML documents."""
    return "".join("---\n" + _dump(obj) for obj in objects)


def to_json(obj: Object) -> str:
    """Returns an object as one line of JSON."""
    return orjson.dumps(obj).decode() + "\n"


def _dump(obj: Object) -> str:
    text: str = yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Converter:
    """Turns the nodes of one document into JSON values.

    Args:
        name: name of the file, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._made = 0

    def value(self, node: Node) -> Any:
        """Returns a node as a JSON value.

        Raises:
            UsageError: the node cannot be expressed in JSON.
        """
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._fault(node, "an alias is inside of what it repeats")
        self._open.add(id(node))
        self._seen.add(id(node))
        self._made += 1
        if self._made > max(_MAX_COPIES, 10 * len(self._seen)):
            raise self._fault(node, "aliases repeat too much; write out what is needed")
        value: Any
        if isinstance(node, MappingNode):
            value = self._mapping(node)
        elif isinstance(node, SequenceNode):
            value = [self.value(item) for item in node.value]
        else:
            raise AssertionError(f"PyYAML composed a {type(node).__name__}")
        self._open.discard(id(node))
        return value

    def _mapping(self, node: MappingNode) -> Object:
        merged: Object = {}
        own: Object = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                several = isinstance(value_node, SequenceNode)
                for part in reversed(value_node.value) if several else [value_node]:
                    value = self.value(part)
                    if not isinstance(value, dict):
                        raise self._fault(part, "only mappings can be merged")
                    merged |= value
                continue
            key = self._key(key_node)
            if key in own:
                raise self._fault(key_node, f'the key "{key}" is here twice')
            own[key] = self.value(value_node)
        return merged | own

    def _key(self, node: Node) -> str:
        key = self.value(node)
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, str | int | float):
            return str(key)
        raise self._fault(node, "a key must be a string")

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        try:
            if kind == "int":
                return _number(_integer(text))
            if kind == "float" and not _NOT_FINITE.fullmatch(text):
                number = float(text.replace("_", ""))
                return text if isinf(number) else _number(number)
        except ValueError as exc:
            raise self._fault(node, f'"{text}" is no {kind}') from exc
        if kind == "bool":
            return bool(_TRUE.fullmatch(text))
        if kind == "null":
            return None
        if kind in ("str", "merge"):
            return text
        raise self._fault(node, f'"{text}" has no meaning in JSON')

    def _fault(self, node: Node, why: str) -> UsageError:
        return UsageError(f"{self._name}{_position(node.start_mark)}: {why}")


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if re.fullmatch(r"[-+]?0[0-7]+", digits):  # octal numbers as in C
        digits = digits.replace("0", "0o", 1)
    return int(digits, 0)


def _number(number: float) -> int | float:
    # kubectl does not distinguish 1.0 from 1, and reads integers beyond 64 bits as floats.
    if isinstance(number, float) and not number.is_integer():
        return number
    return int(number) if -(2**63) <= number < 2**63 else float(number)


def _position(mark: yaml.Mark | None) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""
