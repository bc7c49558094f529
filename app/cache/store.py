"""Objects of one kind by key, with indexes (client-go: Indexer).

Only the informer writes. Stored objects are never changed in place. ``replace`` exchanges the dicts
that hold them in one step, so a reader never sees half of a list.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from app.cache.records import MAX_UNCOMPRESSED, Record, RecordFactory, always_whole, no_facts
from app.values.meta import IndexFunc, Key, Object, key_of, uid_of

Index = dict[str, dict[str, Record | tuple[Record, ...]]]
"""Records by the name of an index and a value. Most values have one, which needs no tuple."""

_MAX_REMOVED = 128
"""How many names and uids of removed objects are kept, to recognise late events about them."""


class Delta(NamedTuple):
    """A change of an object: ``old`` is None if it is new, ``new`` is None if it is deleted."""

    old: Record | None
    new: Record | None


class Store:
    """Objects of one kind.

    Args:
        indexes: index functions by name.
        facts: returns values of an object that can be read without decompressing it.
        max_uncompressed: how many objects stay uncompressed after they were read; None for all.
        whole: returns whether the installed schema kept all fields of an object. A pruned object
            never replaces a whole one of the same version.
        max_fresh: how many objects stay uncompressed after they changed.
        restore: returns an object of its record, so that nothing else is kept of it. An object with
            the facts and the index values of the stored one is then no change: only the version of
            the record is replaced.
    """

    def __init__(
        self,
        indexes: Mapping[str, IndexFunc] | None = None,
        facts: Callable[[Object], Any] = no_facts,
        max_uncompressed: int | None = MAX_UNCOMPRESSED,
        whole: Callable[[Object], bool] = always_whole,
        max_fresh: int = MAX_UNCOMPRESSED,
        restore: Callable[[Record], Object] | None = None,
    ) -> None:
        self.is_listed = False
        """Whether all objects have been listed at least once."""
        self._rules = dict(indexes or {})
        factory = RecordFactory(self._rules, facts, max_uncompressed, whole, max_fresh, restore)
        self._factory = factory
        self._facts_suffice = restore is not None
        self._records: dict[Key, Record] = {}
        self._index: Index = self._empty_index()
        self._removed: OrderedDict[Key, str] = OrderedDict()  # the last uid of each name
        self._dead: OrderedDict[str, None] = OrderedDict()  # uids whose name was taken over

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
        """Whether an object in the store was read with a schema that drops some of its fields."""
        return not all(record.is_whole for record in self._records.values())

    def by(self, index: str, value: str) -> list[Object]:
        """Returns the objects with an index value.

        Raises:
            KeyError: the store has no such index.
        """
        return [record.object for record in self.by_index(index, value)]

    def by_index(self, index: str, value: str) -> tuple[Record, ...]:
        """Returns the records with an index value.

        Raises:
            KeyError: the store has no such index.
        """
        return _records(self._index[index].get(value))

    def compress_all(self) -> None:
        """Compresses all objects; to be called when the process is idle."""
        self._factory.compress_all()

    def versions(self, namespace: str | None = None) -> dict[str, str]:
        """Returns the resource version of every object, or of those in a namespace, by uid."""
        return {
            record.uid: record.version
            for key, record in self._records.items()
            if namespace in (None, key.namespace)
        }

    def put(self, obj: Object) -> list[Delta]:
        """Stores an object as it is now, and returns the changes.

        There are none if this version is already stored, or if another object has taken over its
        name, because then the event is late. A new uid under the same name is a deletion and an
        addition. A removed object may come back: perhaps it had lost the label that is selected.
        """
        key, uid = key_of(obj), uid_of(obj)
        if uid in self._dead:
            return []
        old = self._records.get(key)
        if old is not None and old.covers(uid, _version(obj), self._factory.whole(obj)):
            return []
        if self._facts_suffice and old is not None and self._factory.is_unchanged(old, obj):
            old.version = _version(obj)
            return []
        new = self._factory.record(obj)
        changes = [Delta(None, new)]
        if old is not None:
            is_same = old.uid == uid
            changes = [Delta(old, new)] if is_same else [Delta(old, None), Delta(None, new)]
            self._discard(old)
        self._note_stored(new)
        self._factory.keep(new)
        self._records[new.key] = new
        _add(self._index, new)
        return changes

    def remove(self, obj: Object) -> list[Delta]:
        """Removes an object, unless another one has taken over its name; returns the changes."""
        old = self._records.get(key_of(obj))
        if old is None or old.uid != uid_of(obj):
            return []
        self._discard(old)
        return [Delta(old, None)]

    def record_for(self, obj: Object) -> Record:
        """Returns the record of a listed object for ``replace``; the stored one if nothing changed.

        Call it for each object as it arrives, so that a long list is never in memory as a whole.
        """
        stored = self._records.get(key_of(obj))
        is_whole = self._factory.whole(obj)
        if stored is not None and stored.covers(uid_of(obj), _version(obj), is_whole):
            return stored
        record = self._factory.record(obj)
        self._factory.compress(record)
        return record

    def replace(self, records: Iterable[Record], namespace: str | None = None) -> list[Delta]:
        """Replaces all objects in one step, and returns the changes.

        Args:
            records: of all objects that exist, from ``record_for``.
            namespace: namespace of the list; None for all. Objects outside of it are kept.

        Returns:
            The changes, deletions first.
        """
        self.is_listed = True
        before = self._records
        after = {
            key: record for key, record in before.items() if namespace not in (None, key.namespace)
        }
        added: list[Delta] = []
        for new in records:
            if new.uid in self._dead:
                continue
            old = before.get(new.key)
            if old is not None and old.uid == new.uid:
                if old.covers(new.uid, new.version, new.is_whole):
                    after[old.key] = old
                    continue
                added.append(Delta(old, new))
            else:
                added.append(Delta(None, new))
            after[new.key] = new
        gone: list[Delta] = []
        for key, old in before.items():
            now = after.get(key)
            if now is not old:
                self._factory.drop(old)
            if now is None or now.uid != old.uid:
                gone.append(Delta(old, None))
                self._note_removed(old)
        index = self._empty_index()
        for record in after.values():
            self._note_stored(record)
            _add(index, record)
        self._records, self._index = after, index
        return gone + added

    def _empty_index(self) -> Index:
        return {name: {} for name in self._rules}

    def _discard(self, record: Record) -> None:
        del self._records[record.key]
        for name, value in record.entries:
            values = self._index[name]
            others = tuple(each for each in _records(values[value]) if each is not record)
            if others:
                values[value] = others[0] if len(others) == 1 else others
            else:
                del values[value]
        self._factory.drop(record)
        self._note_removed(record)

    def _note_removed(self, record: Record) -> None:
        self._removed[record.key] = record.uid
        if len(self._removed) > _MAX_REMOVED:
            self._removed.popitem(last=False)

    def _note_stored(self, record: Record) -> None:
        """Notes that the earlier object of the same name, if any, is gone for good."""
        before = self._removed.pop(record.key, record.uid)
        if before != record.uid:
            self._dead[before] = None
            if len(self._dead) > _MAX_REMOVED:
                self._dead.popitem(last=False)


def _add(index: Index, record: Record) -> None:
    for name, value in record.entries:
        before = _records(index[name].get(value))
        index[name][value] = (*before, record) if before else record


def _records(found: Record | tuple[Record, ...] | None) -> tuple[Record, ...]:
    """Returns the records that an index has for a value."""
    if found is None:
        return ()
    return found if isinstance(found, tuple) else (found,)


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version
