"""What an informer knows: records of objects by key, and indexes to find them by.

The informer writes, all others read. An object in here is never changed in place, and neither are
the dicts that hold them while somebody reads: a swap puts new ones in their place at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from app.cache.records import (
    UNPACKED,
    Entry,
    Record,
    Shelf,
    always_whole,
    no_facts,
)
from app.values.meta import IndexFunc, Key, Object, key_of, uid_of

_REMEMBERED = 128
"""How many names and uids of removed objects are kept; events that old have long been delivered."""


class Change(NamedTuple):
    """What happened to an object: ``old`` is None if it is new, ``new`` if it is gone."""

    old: Record | None
    new: Record | None


class Store:
    """Objects of one kind.

    Args:
        indexes: by name, what objects are to be found by.
        facts: what is to be known of an object without unpacking it.
        unpacked: how many objects stay unpacked; None for all.
        whole: whether an object was read with a schema that keeps all of its fields. A reading
            that lacks some never replaces a whole one of the same version.
    """

    def __init__(
        self,
        indexes: Mapping[str, IndexFunc] | None = None,
        facts: Callable[[Object], Any] = no_facts,
        unpacked: int | None = UNPACKED,
        whole: Callable[[Object], bool] = always_whole,
    ) -> None:
        self._rules = dict(indexes or {})
        self._shelf = Shelf(self._rules, facts, unpacked, whole)
        self._records: dict[Key, Record] = {}
        # Mostly there is just one, and a tuple of one takes a quarter of what a dict does.
        self._found: dict[Entry, tuple[Record, ...]] = {}
        self._removed: OrderedDict[Key, str] = OrderedDict()  # the uid that had the name last
        self._dead: OrderedDict[str, None] = OrderedDict()  # uids whose name another object has

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: Key) -> Object | None:
        """Returns the object at a key, None if there is none."""
        record = self._records.get(key)
        return None if record is None else record.object

    def record(self, key: Key) -> Record | None:
        """Returns the record of the object at a key, None if there is none."""
        return self._records.get(key)

    def records(self) -> Collection[Record]:
        """Returns the record of every object."""
        return self._records.values()

    @property
    def is_pruned(self) -> bool:
        """Whether an object in here was read with a schema that drops some of its fields."""
        return not all(record.is_whole for record in self._records.values())

    def by(self, index: str, value: str) -> list[Object]:
        """Returns the objects that an index holds under a value.

        Raises:
            KeyError: the store has no such index.
        """
        return [record.object for record in self.found(index, value)]

    def found(self, index: str, value: str) -> tuple[Record, ...]:
        """Returns the records that an index holds under a value.

        Raises:
            KeyError: the store has no such index.
        """
        if index not in self._rules:
            raise KeyError(index)
        return self._found.get((index, value), ())

    def rest(self) -> None:
        """Packs everything; to be called when nothing is being worked on."""
        self._shelf.rest_all()

    def versions(self, namespace: str | None = None) -> dict[str, str]:
        """Returns the resource version of every object, or of those in a namespace, by uid."""
        return {
            record.uid: record.version
            for key, record in self._records.items()
            if namespace in (None, key.namespace)
        }

    def put(self, obj: Object) -> list[Change]:
        """Takes in an object as it is now, and returns what that changes.

        Nothing changes if it stands here already, or if another object has taken its name since:
        then the news is old. A new uid under an old name is a deletion and an addition. (An object
        that was removed may come back, for it may just have lost the label that we select by.)
        """
        key, uid = key_of(obj), uid_of(obj)
        if uid in self._dead:
            return []
        old = self._records.get(key)
        if old is not None and old.is_as_good_as(uid, _version(obj), self._shelf.whole(obj)):
            return []
        new = self._shelf.record(obj)
        changes = [Change(None, new)]
        if old is not None:
            same = old.uid == uid
            changes = [Change(old, new)] if same else [Change(old, None), Change(None, new)]
            self._take_out(old)
        self._succeed(new)
        self._shelf.keep(new)
        self._records[new.key] = new
        _enter(self._found, new)
        return changes

    def remove(self, obj: Object) -> list[Change]:
        """Takes an object out, unless another one has its name by now."""
        old = self._records.get(key_of(obj))
        if old is None or old.uid != uid_of(obj):
            return []
        self._take_out(old)
        return [Change(old, None)]

    def listed(self, obj: Object) -> Record:
        """Returns the record of an object for ``replace``; the present one if it has not changed.

        To be called for one object after the other, while the listing comes: so it never stands in
        memory as a whole.
        """
        held = self._records.get(key_of(obj))
        is_whole = self._shelf.whole(obj)
        if held is not None and held.is_as_good_as(uid_of(obj), _version(obj), is_whole):
            return held
        record = self._shelf.record(obj)
        self._shelf.rest(record)
        return record

    def replace(self, records: Iterable[Record], namespace: str | None = None) -> list[Change]:
        """Puts a new listing in place of what stood here, at once for all who read.

        Args:
            records: of everything that exists, from ``listed``.
            namespace: what the listing covers; None for all namespaces. What lies outside stays.

        Returns:
            What that changes, the objects that vanished first, with their last known state.
        """
        before = self._records
        after = {
            key: held for key, held in before.items() if namespace not in (None, key.namespace)
        }
        added: list[Change] = []
        for new in records:
            if new.uid in self._dead:
                continue
            old = before.get(new.key)
            if old is not None and old.uid == new.uid:
                if old.is_as_good_as(new.uid, new.version, new.is_whole):
                    after[old.key] = old
                    continue
                added.append(Change(old, new))
            else:
                added.append(Change(None, new))
            after[new.key] = new
        gone: list[Change] = []
        for key, old in before.items():
            now = after.get(key)
            if now is not old:
                self._shelf.drop(old)
            if now is None or now.uid != old.uid:
                gone.append(Change(old, None))
                self._note_removed(old)
        found: dict[Entry, tuple[Record, ...]] = {}
        for record in after.values():
            self._succeed(record)
            _enter(found, record)
        self._records, self._found = after, found
        return gone + added

    def _take_out(self, record: Record) -> None:
        del self._records[record.key]
        for entry in record.entries:
            others = tuple(each for each in self._found[entry] if each is not record)
            if others:
                self._found[entry] = others
            else:
                del self._found[entry]
        self._shelf.drop(record)
        self._note_removed(record)

    def _note_removed(self, record: Record) -> None:
        self._removed[record.key] = record.uid
        if len(self._removed) > _REMEMBERED:
            self._removed.popitem(last=False)

    def _succeed(self, record: Record) -> None:
        """Notes that the object which had the name before this one is gone for good."""
        before = self._removed.pop(record.key, record.uid)
        if before != record.uid:
            self._dead[before] = None
            if len(self._dead) > _REMEMBERED:
                self._dead.popitem(last=False)


def _enter(found: dict[Entry, tuple[Record, ...]], record: Record) -> None:
    for entry in record.entries:
        found[entry] = (*found.get(entry, ()), record)


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version
