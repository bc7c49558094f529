"""What a store holds of an object: what everybody asks about it at hand, the rest packed.

A fleet is large and nearly all of it at rest. What is being worked on is looked at several times
within moments, by the passes that its own changes wake, so the objects used last stay unpacked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from sys import intern
from typing import Any

from app.cache.compression import Packing
from app.values.meta import Key, Object, key_of, uid_of

Index = Callable[[Object], Iterable[str]]
"""Says under which values an object is to be found."""

Entry = tuple[str, str]
"""An index, and a value in it."""

UNPACKED = 40
"""How many objects of a store are at hand unpacked; one takes about as much as 60 packed ones."""


def no_facts(obj: Object) -> None:
    """Nothing but what every record tells."""


def always_whole(obj: Object) -> bool:
    """For kinds whose schema nobody replaces."""
    return True


class Record:
    """One object, as it was at one time.

    Args:
        shelf: where it is unpacked.
        obj: the object.
        entries: where indexes have it.
        facts: what is to be known of it without unpacking it.
        is_whole: whether it was read with a schema that keeps all of its fields.
    """

    __slots__ = (
        *("_object", "_packed", "_shelf", "entries", "facts", "is_whole", "key", "uid", "version"),
    )

    def __init__(
        self,
        shelf: Shelf,
        obj: Object,
        entries: tuple[Entry, ...],
        facts: Any,
        is_whole: bool = True,
    ) -> None:
        namespace, name = key_of(obj)
        self.key = Key(intern(namespace), intern(name))  # children are called alike
        self.uid = uid_of(obj)
        self.version: str = obj["metadata"].get("resourceVersion", "")
        self.entries = entries
        self.facts = facts
        self.is_whole = is_whole
        self._shelf = shelf
        self._object: Object | None = obj
        self._packed = b""

    @property
    def object(self) -> Object:
        """The object; the same one for those who ask soon after each other."""
        obj = self._object
        if obj is None:
            obj = self._object = self._shelf.packing.unpacked(self._packed)
            self._shelf.keep(self)
        return obj

    def is_as_good_as(self, obj_uid: str, version: str, is_whole: bool) -> bool:
        """Returns whether a new reading tells nothing that this record does not hold.

        The same version may be read twice and differ: once with a schema that drops fields.

        Args:
            obj_uid: the uid that was read.
            version: the resource version that was read.
            is_whole: whether the new reading has all fields.
        """
        same = self.uid == obj_uid and self.version == version
        return same and (self.is_whole or not is_whole)

    def pack(self) -> None:
        """Gives up the object itself; what others have of it stays."""
        if not self._packed and self._object is not None:
            self._packed = self._shelf.packing.packed(self._object)
        self._object = None


class Shelf:
    """Makes the records of one store, and packs them when others are more in demand.

    Args:
        rules: the indexes, by name.
        facts: what is to be known of an object without unpacking it.
        unpacked: how many objects stay unpacked; None for all.
        whole: whether an object was read with a schema that keeps all of its fields.
    """

    def __init__(
        self,
        rules: Mapping[str, Index],
        facts: Callable[[Object], Any] = no_facts,
        unpacked: int | None = UNPACKED,
        whole: Callable[[Object], bool] = always_whole,
    ) -> None:
        self.packing = Packing()
        self._rules = rules
        self._facts = facts
        self.whole = whole
        self._unpacked = unpacked
        self._recent: OrderedDict[Record, None] = OrderedDict()

    def record(self, obj: Object) -> Record:
        """Returns the record of an object, which nobody may change any more."""
        entries = {(name, intern(v)): None for name, rule in self._rules.items() for v in rule(obj)}
        return Record(self, obj, tuple(entries), self._facts(obj), self.whole(obj))

    def keep(self, record: Record) -> None:
        """Leaves a record unpacked until so and so many others have come."""
        if self._unpacked is None:
            return
        self._recent[record] = None
        if len(self._recent) > self._unpacked:
            self._recent.popitem(last=False)[0].pack()

    def rest(self, record: Record) -> None:
        """Packs a record that nobody is going to look at soon."""
        if self._unpacked is not None:
            record.pack()

    def rest_all(self) -> None:
        """Packs whatever is at hand unpacked."""
        while self._recent:
            self._recent.popitem()[0].pack()

    def drop(self, record: Record) -> None:
        """Does no more with a record that the store does not hold any more."""
        self._recent.pop(record, None)
