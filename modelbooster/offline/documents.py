"""Reads files and folders of Kubernetes objects, YAML or JSON, like kubectl."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from app.errors import UsageError
from app.values.meta import Object
from modelbooster.offline.dialect import TOO_DEEP, parse

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")
"""Suffixes of the files that are read in a folder, like kubectl."""


@dataclass(frozen=True, slots=True)
class Document:
    """An object and its place in a file.

    Args:
        source: file and first line, such as ``file.yaml:12``.
        object: the object as JSON.
    """

    source: str
    object: Object

    def __str__(self) -> str:
        metadata = self.object.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return f'{self.object["kind"]} "{name or ""}"'


def read(names: Iterable[str]) -> Iterator[Document]:
    """Yields the objects of files and folders; a List is split into its items.

    Args:
        names: paths; ``-`` is standard input.

    Raises:
        UsageError: a file cannot be read, is not YAML, or contains something else than objects.
    """
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield from _objects("stdin", sys.stdin.buffer.read())
        elif path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                raise UsageError(f"{name}: no file in this folder ends in {', '.join(SUFFIXES)}")
            yield from read(map(str, files))
        else:
            yield from _objects(name, _content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror or exc}") from exc


def _objects(name: str, content: bytes) -> Iterator[Document]:
    yield from _json_objects(name, content) or _yaml_objects(name, content)


def _json_objects(name: str, content: bytes) -> list[Document]:
    """Returns the objects of concatenated JSON texts; none if the content is not JSON."""
    if not content.lstrip().startswith(b"{"):
        return []
    found: list[Document] = []
    decoder = json.JSONDecoder(parse_constant=_no_number)
    try:
        text = content.decode()
        at = len(text) - len(text.lstrip())
        while at < len(text):
            value, end = decoder.raw_decode(text, at)
            found += _flat(Document(f"{name}:{text.count(chr(10), 0, at) + 1}", value))
            at = end + len(text[end:]) - len(text[end:].lstrip())
    except RecursionError:
        raise UsageError(f"{name}: {TOO_DEEP}") from None
    except ValueError:
        return []  # a YAML flow mapping may begin like JSON
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _yaml_objects(name: str, content: bytes) -> Iterator[Document]:
    for parsed in parse(name, content):
        yield from _flat(Document(f"{name}:{parsed.line}", parsed.value))


def _flat(document: Document) -> Iterator[Document]:
    obj: Any = document.object
    if not isinstance(obj, dict) or not isinstance(obj.get("kind"), str):
        raise UsageError(f"{document.source}: this is no Kubernetes object: it has no kind")
    items = obj.get("items")
    if obj["kind"].endswith("List") and isinstance(items, list):
        for item in items:
            yield from _flat(Document(document.source, item))
    else:
        yield document
