"""Reads files and folders of Kubernetes objects, YAML or JSON, like kubectl."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from pathlib import Path
from typing import Any, NoReturn

from app.apis.kinds import MODEL_BOOSTER
from app.errors import UsageError
from app.values.meta import Object
from app.values.value import hashable_value, value
from modelbooster.offline.input_error import InputError
from modelbooster.offline.limits import is_too_deep
from modelbooster.offline.yaml_reader import parse

STDIN = "-"
STDIN_NAME = "stdin"
"""Name of the standard input in messages."""
SUFFIXES = (".yaml", ".yml", ".json")
"""Suffixes of the files that are read in a folder, like kubectl."""


@hashable_value
class Origin:
    """Where an object is.

    Args:
        file: path of the file as given; ``""`` for standard input and other sources.
        line: first line of the document, counted from 1.
        content: content of the file.
        within: path of the object in the document if that is a List, such as ``items[3]``.
    """

    file: str = ""
    line: int = 1
    content: bytes = field(default=b"", repr=False)
    within: str = ""


@value
class Document:
    """An object and its place in a file.

    Args:
        source: file and first line, such as ``file.yaml:12``.
        object: the object as JSON.
        origin: the same in parts.
    """

    source: str
    object: Object
    origin: Origin = Origin()

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
    for file in _files(names):
        yield from _objects(STDIN_NAME if file == STDIN else file, _content(file))


def read_mixed(names: Iterable[str], note: Callable[[str], None]) -> Iterator[Document]:
    """Yields the objects of those files that contain a ModelBooster, whatever the others are.

    In a repository, YAML files are values, workflows and templates too. What is no object in a file
    with a ModelBooster is left out as well.

    Args:
        names: as in ``read``.
        note: called with the reason for each template of a Helm chart, which is no YAML.

    Raises:
        UsageError: a file cannot be read, or one with a ModelBooster is not YAML.
    """
    for file in _files(names):
        content = _content(file)
        if MODEL_BOOSTER.kind.encode() not in content:
            continue
        if _is_chart_template(Path(file)):
            note(f"{file}: a template of a Helm chart: left out; check what helm template prints")
            continue
        for document in _documents(STDIN_NAME if file == STDIN else file, content):
            if _is_object(document.object):
                yield from _flat(document)


def _files(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = Path(name)
        if name != STDIN and path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                raise UsageError(f"{name}: no file in this folder ends in {', '.join(SUFFIXES)}")
            yield from _files(map(str, files))
        else:
            yield name


def _is_chart_template(path: Path) -> bool:
    return any(
        folder.name == "templates" and (folder.parent / "Chart.yaml").is_file()
        for folder in path.absolute().parents
    )


def _content(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as exc:
        raise InputError(name, exc.strerror or str(exc)) from exc


def _objects(name: str, content: bytes) -> Iterator[Document]:
    for document in _documents(name, content):
        yield from _flat(document)


def _documents(name: str, content: bytes) -> Iterator[Document]:
    """Yields the documents of a file, each with its value, which need not be an object."""
    for line, found in _json_texts(content) or ((p.line, p.value) for p in parse(name, content)):
        origin = Origin("" if name == STDIN_NAME else name, line, content)
        yield Document(f"{name}:{line}", found, origin)


def _json_texts(content: bytes) -> list[tuple[int, Any]]:
    """Returns the lines and values of concatenated JSON texts; none if the content is not JSON."""
    if not content.lstrip().startswith(b"{"):
        return []
    found: list[tuple[int, Any]] = []
    decoder = json.JSONDecoder(parse_constant=_no_number)
    try:
        text = content.decode()
        line, end, at = 1, 0, _next_text(text, 0)
        while at < len(text):
            line += text.count("\n", end, at)
            value, end = decoder.raw_decode(text, at)
            if is_too_deep(value):
                return []  # the reader of YAML says where
            found.append((line, value))
            line += text.count("\n", at, end)
            at = _next_text(text, end)
    except (ValueError, RecursionError):
        return []  # a YAML flow mapping may begin like JSON
    return found


def _next_text(text: str, begin: int) -> int:
    """Returns where the white space at a position ends."""
    at = begin
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("kind"), str)


def _flat(document: Document) -> Iterator[Document]:
    obj, origin = document.object, document.origin
    if not _is_object(obj):
        why = "this is no Kubernetes object: it has no kind"
        raise InputError(origin.file or STDIN_NAME, why, origin.line)
    items = obj.get("items")
    if obj["kind"].endswith("List") and isinstance(items, list):
        before = f"{origin.within}." if origin.within else ""
        for position, item in enumerate(items):
            within = replace(origin, within=f"{before}items[{position}]")
            yield from _flat(Document(document.source, item, within))
    else:
        yield document
