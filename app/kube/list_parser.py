"""Parses a list of objects while it arrives.

A list of ten thousand objects is 100 MB of JSON, and several times as much once it is parsed. The
parser holds neither the whole text nor all objects in memory.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from enum import Enum, auto
from json import JSONDecoder
from typing import Any

from app.errors import Garbled
from app.kube.responses import MAX_LINE_BYTES
from app.values.meta import Object


class _At(Enum):
    """Position in the text of a list."""

    BEGIN = auto()
    FIELDS = auto()
    ITEMS = auto()
    END = auto()


class ListParser:
    """Parses a list, piece by piece.

    It uses ``json`` instead of orjson, because only ``json`` tells where a value ends.

    Args:
        max_chars: longest object, or field of the list itself.
    """

    def __init__(self, max_chars: int = MAX_LINE_BYTES) -> None:
        self.list: Object = {}
        """The list without its objects, as far as it has arrived."""
        self._max_chars = max_chars
        self._decode = getincrementaldecoder("utf-8")().decode
        self._parse = JSONDecoder().raw_decode
        self._text = ""
        self._offset = 0  # the text before is parsed
        self._min_chars = 0  # a shorter text is known to be incomplete
        self._at = _At.BEGIN

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[Any]:
        """Yields the objects that end in this piece. Consume all before feeding the next piece.

        Args:
            piece: the next bytes.
            is_last: whether it is the last piece.

        Raises:
            Garbled: the text is not a list, or ends too early.
        """
        try:
            self._text = self._text[self._offset :] + self._decode(piece, is_last)
        except UnicodeDecodeError as exc:
            raise Garbled(f"a list that is not UTF-8: {exc}") from exc
        self._offset = 0
        if len(self._text) < self._min_chars and not is_last:
            return
        self._min_chars = 0
        yield from self._items()
        left = len(self._text) - self._offset
        if is_last and (self._at is not _At.END or self._text[self._offset :].strip()):
            raise Garbled(f"a list that is cut off, or no list: {self._text[:200]!r}")
        if left > self._max_chars:
            raise Garbled(f"a list with a value of more than {self._max_chars} characters")
        # Otherwise a large object in small pieces would be parsed once for each piece.
        self._min_chars = max(self._min_chars, 2 * left)

    def _items(self) -> Iterator[Any]:
        while self._at is not _At.END:
            try:
                if self._at is _At.ITEMS:
                    if self._skip(",]") == "]":
                        self._at = _At.FIELDS
                        continue
                    yield self._value()
                else:
                    self._field()
            except _IncompleteError:
                return

    def _field(self) -> None:
        """Parses the next field of the list itself, or the bracket before its objects."""
        if self._at is _At.BEGIN:
            self._expect("{")
            self._at = _At.FIELDS
        before = self._offset
        try:
            if self._skip(",}") == "}":
                self._at = _At.END
                return
            name = self._value()
            self._expect(":")
            if name == "items" and self._next() == "[":
                self._expect("[")
                self._at = _At.ITEMS
            else:
                self.list[name] = self._value()
        except _IncompleteError:
            self._offset = before
            raise

    def _value(self) -> Any:
        self._next()
        try:
            value, end = self._parse(self._text, self._offset)
        except (ValueError, RecursionError) as exc:  # or it is invalid, and stays incomplete
            raise _IncompleteError from exc
        if end == len(self._text):  # "12" may continue as "123"
            raise _IncompleteError
        self._offset = end
        return value

    def _next(self) -> str:
        """Returns the next character that is no space, without consuming it."""
        while self._offset < len(self._text):
            if not self._text[self._offset].isspace():
                return self._text[self._offset]
            self._offset += 1
        raise _IncompleteError

    def _expect(self, wanted: str) -> None:
        if self._next() != wanted:
            raise Garbled(f"an answer that is not a list: {self._text[:200]!r}")
        self._offset += 1

    def _skip(self, marks: str) -> str:
        """Returns the next character that is no space; consumes it if it is one of ``marks``."""
        mark = self._next()
        if mark in marks:
            self._offset += 1
        return mark


class _IncompleteError(Exception):
    """The text so far is incomplete."""
