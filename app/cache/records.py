"""Stored objects: metadata and index values in memory, the object itself compressed.

Nearly all objects of a large cluster are idle. An object that changes is read several times within
moments, by the passes that its changes trigger. So the objects used last stay uncompressed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from sys import intern
from typing import Any

from app.cache.compression import Compressor
from app.values.meta import IndexFunc, Key, Object, key_of, uid_of

Entry = tuple[str, str]
"""Name of an index, and a value in it."""

MAX_UNCOMPRESSED = 40
"""Uncompressed objects of a store. One takes about as much memory as 60 compressed ones."""

MAX_FRESH = 512
"""Objects of a store that stay uncompressed after a watch event, besides those read last.

A pass, or several, follow each event. This many can wait for theirs without being compressed,
decompressed and compressed again."""


def no_facts(obj: Object) -> None:
    """Keeps no facts."""


def always_whole(obj: Object) -> bool:
    """Says that objects of this kind are never pruned: nothing replaces their schema."""
    return True


class Record:
    """One version of one object: its key, uid, version, index values and facts.

    Args:
        factory: restores the object.
        obj: the object.
        index_values: names of indexes and values, in turn: pairs would take twice the memory.
        facts: values that can be read without the object.
        is_whole: whether the installed schema kept all of its fields when it was read.
    """

    __slots__ = ("_factory", "_version", "facts", "index_values", "is_whole", "key", "uid")

    _version: int | str

    def __init__(
        self,
        factory: RecordFactory,
        obj: Object,
        index_values: tuple[str, ...],
        facts: Any,
        is_whole: bool = True,
    ) -> None:
        namespace, name = key_of(obj)
        self.key = Key(intern(namespace), intern(name))  # children share their names
        self.uid = uid_of(obj)
        self.version = obj["metadata"].get("resourceVersion", "")
        self.index_values = index_values
        self.facts = facts
        self.is_whole = is_whole
        self._factory = factory
        self._hold(obj)

    def _hold(self, obj: Object) -> None:
        """Keeps what the facts do not have: nothing."""

    @property
    def version(self) -> str:
        """The resource version."""
        return str(self._version)

    @version.setter
    def version(self, version: str) -> None:
        # A number takes half of the memory of its text.
        number = int(version) if version.isdecimal() and len(version) < 20 else -1
        self._version = number if str(number) == version else version

    @property
    def object(self) -> Object:
        """The object. Never change it: other callers may get the same one."""
        return self._factory.restore(self)

    @property
    def entries(self) -> Iterator[Entry]:
        """The names of the indexes that have the object, each with a value."""
        values = iter(self.index_values)
        return zip(values, values, strict=True)

    def covers(self, obj_uid: str, version: str, is_whole: bool) -> bool:
        """Returns whether this record holds at least as much as the object that was just read.

        The same version may be read twice and differ, if a replaced schema drops fields.

        Args:
            obj_uid: uid of the object that was read.
            version: its resource version.
            is_whole: whether it has all fields.
        """
        same = self.uid == obj_uid and self.version == version
        return same and (self.is_whole or not is_whole)

    def compress(self) -> None:
        """Compresses what is kept of the object besides the facts: nothing."""


class ObjectRecord(Record):
    """A record that keeps the whole object, compressed or not."""

    __slots__ = ("_compressed", "_object")

    _object: Object | None
    _compressed: bytes

    def _hold(self, obj: Object) -> None:
        self._object = obj
        self._compressed = b""

    @property
    def object(self) -> Object:
        """The object. Never change it: other callers get the same one."""
        obj = self._object
        if obj is None:
            obj = self._object = self._factory.compressor.decompress(self._compressed)
            self._factory.touch(self)
        return obj

    def compress(self) -> None:
        """Compresses the object. Callers that hold it are not affected."""
        if not self._compressed and self._object is not None:
            self._compressed = self._factory.compressor.compress(self._object)
        self._object = None


class RecordFactory:
    """Creates the records of one store, and compresses the least recently used ones.

    Args:
        rules: the indexes, by name.
        facts: returns values that can be read without decompressing the object.
        max_uncompressed: how many objects stay uncompressed after they were read; None for all.
        whole: returns whether the installed schema kept all fields of an object.
        max_fresh: how many objects stay uncompressed after they changed.
        restore: returns an object of its record, so that nothing else is kept of it.
    """

    def __init__(
        self,
        rules: Mapping[str, IndexFunc],
        facts: Callable[[Object], Any] = no_facts,
        max_uncompressed: int | None = MAX_UNCOMPRESSED,
        whole: Callable[[Object], bool] = always_whole,
        max_fresh: int = MAX_UNCOMPRESSED,
        restore: Callable[[Record], Object] | None = None,
    ) -> None:
        self.compressor = Compressor()
        self._rules = rules
        self._facts = facts
        self.whole = whole
        self._restore = restore
        self._max_uncompressed = None if restore else max_uncompressed
        self._max_fresh = max_fresh
        self._recent: OrderedDict[Record, None] = OrderedDict()
        self._fresh: OrderedDict[Record, None] = OrderedDict()

    def record(self, obj: Object) -> Record:
        """Returns the record of an object. The object must not be changed any more."""
        kind = ObjectRecord if self._restore is None else Record
        return kind(self, obj, self._index_values(obj), self._facts(obj), self.whole(obj))

    def is_unchanged(self, record: Record, obj: Object) -> bool:
        """Returns whether an object is that of a record, with the same facts and index values."""
        return (
            record.uid == uid_of(obj)
            and record.facts == self._facts(obj)
            and record.index_values == self._index_values(obj)
            and record.is_whole == self.whole(obj)
        )

    def _index_values(self, obj: Object) -> tuple[str, ...]:
        entries = {(name, intern(v)): None for name, rule in self._rules.items() for v in rule(obj)}
        return tuple(chain.from_iterable(entries))

    def restore(self, record: Record) -> Object:
        """Returns the object of a record that keeps only its facts."""
        if self._restore is None:
            raise TypeError("whole objects are stored, not restored")
        return self._restore(record)

    def keep(self, record: Record) -> None:
        """Keeps the record of an object that has changed uncompressed for a while."""
        if self._max_uncompressed is not None:
            _keep(record, self._fresh, self._max_fresh)

    def touch(self, record: Record) -> None:
        """Keeps a record that was read uncompressed (LRU)."""
        if self._max_uncompressed is not None:
            _keep(record, self._recent, self._max_uncompressed)

    def compress(self, record: Record) -> None:
        """Compresses a record that is not needed soon."""
        if self._max_uncompressed is not None:
            record.compress()

    def compress_all(self) -> None:
        """Compresses all records."""
        for kept in (self._recent, self._fresh):
            while kept:
                kept.popitem()[0].compress()

    def drop(self, record: Record) -> None:
        """Forgets a record that the store has removed."""
        self._recent.pop(record, None)
        self._fresh.pop(record, None)


def _keep(record: Record, kept: OrderedDict[Record, None], most: int) -> None:
    """Adds a record, and compresses the one that was added first if there are too many."""
    kept[record] = None
    if len(kept) > most:
        kept.popitem(last=False)[0].compress()
