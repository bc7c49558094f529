"""Reads YAML like kubectl, with one difference: a repeated key in a mapping is an error.

The values are made from the events of PyYAML's parser in C. Its composer would make a node of each
value first, and ask Python code for the type of each: that takes three times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from app.values.meta import Object
from app.values.value import value
from modelbooster.offline.input_error import InputError
from modelbooster.offline.limits import MAX_COPIES, MAX_DEPTH, size_of
from modelbooster.offline.scalars import meaning, plain_type

_TAG = "tag:yaml.org,2002:"


@value
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
        InputError: the content is not YAML, or cannot be expressed in JSON.
    """
    try:
        # Parse the whole file first, so that no object of a broken file is used.
        documents = [*_documents(CParser(content))]
    except yaml.MarkedYAMLError as exc:
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        raise _input_error(name, said, exc.problem_mark) from exc
    except yaml.YAMLError as exc:
        raise InputError(name, str(exc)) from exc
    for document in documents:
        if isinstance(document, _FaultError):
            raise _input_error(name, str(document), document.mark)
        if document.value is not None:
            yield document


class _FaultError(Exception):
    """A value cannot be expressed in JSON.

    Args:
        event: the event at fault.
        why: what is wrong with it.
    """

    def __init__(self, event: Event, why: str) -> None:
        super().__init__(why)
        self.mark = event.start_mark


def _documents(parser: CParser) -> Iterator[Parsed | _FaultError]:
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            first: Any = parser.peek_event()
            try:
                yield Parsed(first.start_mark.line + 1, _Document(parser).value())
            except _FaultError as fault:
                yield fault
                # A fault of syntax further down is reported first.
                while not isinstance(parser.peek_event(), DocumentStartEvent | StreamEndEvent):
                    parser.get_event()


_NO_KEY = object()
_MERGE = object()


class _Collection:
    """A mapping or sequence whose end has not been read.

    ``key`` is the key of the next value of a mapping, ``_MERGE`` if the value is merged, or
    ``_NO_KEY`` if a key comes next.
    """

    __slots__ = ("items", "key", "merged", "start")

    def __init__(self, start: Any, items: Object | list[Any]) -> None:
        self.start = start
        self.items = items
        self.key: Any = _NO_KEY
        self.merged: Object = {}

    def value(self) -> Object | list[Any]:
        """Returns the collection as JSON."""
        if self.merged and isinstance(self.items, dict):
            return self.merged | self.items
        return self.items

    def put(self, event: Any, value: Any) -> None:
        """Adds a value, or the key of the next one.

        Args:
            event: the first event of the value.
            value: the value.
        """
        if isinstance(self.items, list):
            self.items.append(value)
        elif self.key is _NO_KEY:
            self.key = _MERGE if _is_merge(event) else self._new_key(event, value)
        elif self.key is _MERGE:
            for part in reversed(value) if isinstance(value, list) else [value]:
                if not isinstance(part, dict):
                    raise _FaultError(event, "only mappings can be merged")
                self.merged |= part
            self.key = _NO_KEY
        else:
            self.items[self.key] = value
            self.key = _NO_KEY

    def _new_key(self, event: Event, key: Any) -> str:
        if isinstance(key, bool):
            key = "true" if key else "false"
        elif isinstance(key, int | float):
            key = str(key)
        elif not isinstance(key, str):
            raise _FaultError(event, "a key must be a string")
        if key in self.items:
            raise _FaultError(event, f'the key "{key}" is here twice')
        return str(key)


class _Document:
    """Reads one document from a parser.

    Args:
        parser: the parser, after the start of the document.
    """

    def __init__(self, parser: CParser) -> None:
        self._parser = parser
        # The first event of each anchored value, and the value; a collection while it is open.
        self._anchored: dict[str, tuple[Any, Any]] = {}
        self._copies = 0

    def value(self) -> Any:
        """Returns the document as JSON.

        Raises:
            _FaultError: it cannot be expressed in JSON.
            yaml.YAMLError: it is not YAML.
        """
        open_collections: list[_Collection] = []
        whole: Any = None
        while True:
            event: Any = self._parser.get_event()
            kind = type(event)
            if kind is ScalarEvent:
                value = self._scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                found = _Collection(event, {} if kind is MappingStartEvent else [])
                if event.anchor:
                    self._remember(event, found)
                open_collections.append(found)
                if len(open_collections) > MAX_DEPTH:
                    raise _FaultError(event, f"nested more than {MAX_DEPTH} levels deep")
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                ended = open_collections.pop()
                event, value = ended.start, ended.value()
                if event.anchor:
                    self._anchored[event.anchor] = event, value
            elif kind is AliasEvent:
                value = self._repeated(event)
            elif kind is DocumentEndEvent:
                return whole
            else:
                raise AssertionError(f"PyYAML parsed a {kind.__name__}")
            if open_collections:
                open_collections[-1].put(event, value)
            else:
                whole = value

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.tag and event.tag != "!":
            kind = event.tag.removeprefix(_TAG)
        else:
            kind = plain_type(text) if event.implicit[0] else "str"
        try:
            value = text if kind == "str" else meaning(text, kind)
        except ValueError as exc:
            raise _FaultError(event, str(exc)) from exc
        if event.anchor:
            self._remember(event, value)
        return value

    def _remember(self, event: Any, value: Any) -> None:
        if event.anchor in self._anchored:
            first, _ = self._anchored[event.anchor]
            context = "found duplicate anchor; first occurrence"
            raise yaml.MarkedYAMLError(
                context, first.start_mark, "second occurrence", event.start_mark
            )
        self._anchored[event.anchor] = event, value

    def _repeated(self, event: Any) -> Any:
        if event.anchor not in self._anchored:
            raise yaml.MarkedYAMLError(None, None, "found undefined alias", event.start_mark)
        first, value = self._anchored[event.anchor]
        if isinstance(value, _Collection):
            raise _FaultError(first, "an alias is inside of what it repeats")
        self._copies += size_of(value)
        if self._copies >= MAX_COPIES:
            raise _FaultError(event, "aliases repeat too much; write out what is needed")
        return value


def _is_merge(event: Any) -> bool:
    if type(event) is not ScalarEvent or event.value != "<<":
        return False
    return bool(event.implicit[0]) if not event.tag or event.tag == "!" else event.tag == _MERGE_TAG


_MERGE_TAG = _TAG + "merge"


def _input_error(name: str, why: str, mark: Any) -> InputError:
    return InputError(name, why, mark.line + 1, mark.column + 1) if mark else InputError(name, why)
