"""A list as it comes: its objects are handed out one by one, while the rest is still on its way.

A list of ten thousand objects is a hundred megabytes of JSON, and several times that once it is
parsed. Neither the whole text nor all of its objects ever stand in memory here.
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
    """Where in the text of a list we are."""

    BEGIN = auto()
    FIELDS = auto()
    ITEMS = auto()
    END = auto()


class Items:
    """Parses a list, piece by piece.

    Python's own parser is used, because it can say where a value ends.

    Args:
        max_chars: longest object, or field of the list itself.
    """

    def __init__(self, max_chars: int = MAX_LINE_BYTES) -> None:
        self.list: Object = {}
        """The list without its objects, so far as it has come."""
        self._max_chars = max_chars
        self._decode = getincrementaldecoder("utf-8")().decode
        self._parse = JSONDecoder().raw_decode
        self._text = ""
        self._place = 0  # what lies before is done with
        self._enough = 0  # with less text than this a value is known to be incomplete
        self._at = _At.BEGIN

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[Any]:
        """Yields the objects that end in this piece; all must be taken before the next is fed.

        Args:
            piece: what has come.
            is_last: whether nothing follows.

        Raises:
            Garbled: this is no list, or no whole one although nothing follows.
        """
        try:
            self._text = self._text[self._place :] + self._decode(piece, is_last)
        except UnicodeDecodeError as exc:
            raise Garbled(f"a list that is not UTF-8: {exc}") from exc
        self._place = 0
        if len(self._text) < self._enough and not is_last:
            return
        self._enough = 0
        yield from self._items()
        left = len(self._text) - self._place
        if is_last and (self._at is not _At.END or self._text[self._place :].strip()):
            raise Garbled(f"a list that is cut off, or no list: {self._text[:200]!r}")
        if left > self._max_chars:
            raise Garbled(f"a list with a value of more than {self._max_chars} characters")
        # Else a large object that comes in small pieces would be parsed once for each of them.
        self._enough = max(self._enough, 2 * left)

    def _items(self) -> Iterator[Any]:
        while self._at is not _At.END:
            try:
                if self._at is _At.ITEMS:
                    if self._skipped(",]") == "]":
                        self._at = _At.FIELDS
                        continue
                    yield self._value()
                else:
                    self._field()
            except _IncompleteError:
                return

    def _field(self) -> None:
        """Takes the next field of the list itself, or the bracket before its objects."""
        if self._at is _At.BEGIN:
            self._expect("{")
            self._at = _At.FIELDS
        before = self._place
        try:
            if self._skipped(",}") == "}":
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
            self._place = before
            raise

    def _value(self) -> Any:
        self._next()
        try:
            value, end = self._parse(self._text, self._place)
        except (ValueError, RecursionError) as exc:  # or it is broken; then it never gets better
            raise _IncompleteError from exc
        if end == len(self._text):  # there is always something after it: "12" may go on as "123"
            raise _IncompleteError
        self._place = end
        return value

    def _next(self) -> str:
        """Returns the next character that is no space, without taking it."""
        while self._place < len(self._text):
            if not self._text[self._place].isspace():
                return self._text[self._place]
            self._place += 1
        raise _IncompleteError

    def _expect(self, wanted: str) -> None:
        if self._next() != wanted:
            raise Garbled(f"an answer that is not a list: {self._text[:200]!r}")
        self._place += 1

    def _skipped(self, marks: str) -> str:
        """Takes the next character if it is one of these; returns it all the same."""
        mark = self._next()
        if mark in marks:
            self._place += 1
        return mark


class _IncompleteError(Exception):
    """What has come so far does not suffice."""
