"""The cluster as a pass sees it: the stores, and what our own writes have made of them since.

A store is always a little late. Until the watch shows what a write returned, that stands in for the
store's object; else the next pass would write the same again. Versions are opaque, so the watch has
caught up when it shows the very version that the write returned, or when something has happened
that can only have come later. After a new listing, and after a minute at the latest, the store is
believed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.apis.kinds import MODEL_BOOSTER
from app.cache.records import Record
from app.cache.store import Store
from app.values.meta import Key, Object, Resource, is_terminating, key_of, uid_of
from controller.cluster.stores import BOOSTER_INDEX
from controller.cluster.writes import Expected, Overtaken, Place, Write, ignored

EXPECT_SECONDS = 60.0
"""After this long a write that the watch has not shown is no longer taken for the truth."""


class View:
    """Reads objects as they are after our own writes.

    Args:
        stores: the stores of each kind, by namespace; None is the store of all namespaces.
        pods: the same for the records of pods; empty if nobody watches them.
        overtaken: told of news that ``noticed`` has held back because of a write.
    """

    def __init__(
        self,
        stores: Mapping[str, Mapping[str | None, Store]],
        pods: Mapping[str | None, Store] | None = None,
        overtaken: Overtaken = ignored,
    ) -> None:
        self._stores = stores
        self._pods = pods or {}
        self._overtaken = overtaken
        self._expected: dict[Place, Expected] = {}
        self._places: dict[str, set[Place]] = {}  # of what is expected, by owner
        self._under_way: dict[Place, list[Write]] = {}

    def get(self, resource: Resource, key: Key) -> Object | None:
        """Returns an object, None if there is none."""
        expected = self._expected.get((resource.kind, key))
        if expected is None:
            record = self._stored(resource.kind, key)
            return None if record is None else record.object
        return expected.obj

    def children(self, uid: str) -> Iterator[Object]:
        """Yields the children of the ModelBooster with this uid."""
        overlaid = self._places.get(uid, set())
        for kind, stores in self._stores.items():
            if kind == MODEL_BOOSTER.kind:
                continue
            for store in stores.values():
                for record in store.by_index(BOOSTER_INDEX, uid):
                    if (kind, record.key) not in overlaid:
                        yield record.object
        for place in overlaid:
            obj_now = self._expected[place].obj
            if obj_now is not None and uid_of(obj_now) != uid:  # not the ModelBooster itself
                yield obj_now

    def all(self, resource: Resource) -> Iterator[Object]:
        """Yields every object of a kind."""
        for store in self._stores.get(resource.kind, {}).values():
            for key in [record.key for record in store.records()]:
                obj = self.get(resource, key)
                if obj is not None:
                    yield obj

    def pods(self, booster: Object) -> Iterator[Object]:
        """Yields the records of a ModelBooster's pods; anybody may write labels elsewhere."""
        namespace = key_of(booster).namespace
        store = self._pods.get(None if None in self._pods else namespace)
        for record in store.by_index(BOOSTER_INDEX, uid_of(booster)) if store is not None else ():
            if record.key.namespace == namespace:
                yield record.object

    @contextmanager
    def writing(self, write: Write) -> Iterator[Write]:
        """Notes what the watch shows of an object while we write it.

        Until the answer is here, nobody can tell our own doing from news. However the write ends,
        whoever follows the news is told of it then.
        """
        place = write.place
        self._under_way.setdefault(place, []).append(write)
        try:
            yield write
        finally:
            others = self._under_way[place]
            others.remove(write)
            if not others:
                del self._under_way[place]
            if write.is_overtaken:
                self._overtaken(write)

    def made(self, write: Write, obj: Object, now: float) -> None:
        """Takes in what the server returned to a write, at a time in seconds."""
        write.answer = obj["metadata"]["resourceVersion"]
        self._drop(write.place)
        stored = self._stored(*write.place)
        shown = write.versions | {stored.version if stored else ""}
        if write.answer not in shown and uid_of(obj) not in write.gone:
            until = now + EXPECT_SECONDS
            self._expect(Expected(write.place, write.owner, uid_of(obj), obj, until))

    def deleted(self, write: Write, uid: str, now: float) -> None:
        """Takes in that the object with this uid is deleted, at a time in seconds."""
        write.deleted = uid
        self._drop(write.place)
        stored = self._stored(*write.place)
        if stored is not None and stored.uid == uid and uid not in write.gone:
            self._expect(Expected(write.place, write.owner, uid, None, now + EXPECT_SECONDS))

    def noticed(self, resource: Resource, old: Record | None, new: Record | None) -> bool:
        """Takes in what the watch shows; returns whether that is news to us.

        Args:
            resource: kind of the object.
            old: the object before, None if it is new.
            new: the object after, None if it is gone.
        """
        record = new or old
        if record is None:
            return False
        place = (resource.kind, record.key)
        if writes := self._under_way.get(place):
            for write in writes:
                if new is None:
                    write.gone.add(record.uid)
                else:
                    write.versions.add(new.version)
            return False  # or it is, see ``writing``
        expected = self._expected.get(place)
        if expected is None:
            return True
        if expected.obj is None:
            # A finalizer may keep it for a while; otherwise the same uid is news from before.
            if new is None or new.uid != expected.uid or is_terminating(new.object):
                self._drop(place)
            return new is not None
        if new is None:
            if record.uid == expected.uid:
                self._drop(place)
            return True
        if new.version == expected.obj["metadata"]["resourceVersion"]:
            self._drop(place)
            return False
        if new.uid == expected.uid and _generation(new.object) > _generation(expected.obj):
            self._drop(place)
        return True

    def expired(self, now: float) -> list[Expected]:
        """Stops expecting what is overdue, and returns it."""
        return self._dropped([e for e in self._expected.values() if e.until <= now])

    def relisted(self, resource: Resource, namespace: str | None, began: float) -> list[Expected]:
        """Believes a listing rather than what was written before it began.

        An object that came and went while nobody watched leaves no other trace.

        Args:
            resource: kind that was listed.
            namespace: where; None for all namespaces.
            began: when the listing was asked for, in seconds.

        Returns:
            What is not expected any more.
        """
        older = [
            expected
            for (kind, key), expected in self._expected.items()
            if kind == resource.kind
            and namespace in (None, key.namespace)
            and expected.until - EXPECT_SECONDS < began
        ]
        return self._dropped(older)

    def _dropped(self, expected: list[Expected]) -> list[Expected]:
        for each in expected:
            self._drop(each.place)
        return expected

    def _stored(self, kind: str, key: Key) -> Record | None:
        stores = self._stores.get(kind, {})
        store = stores.get(None if None in stores else key.namespace)
        return store.record(key) if store is not None else None

    def _expect(self, expected: Expected) -> None:
        self._expected[expected.place] = expected
        self._places.setdefault(expected.owner, set()).add(expected.place)

    def _drop(self, place: Place) -> None:
        expected = self._expected.pop(place, None)
        if expected is None:
            return
        places = self._places[expected.owner]
        places.discard(place)
        if not places:
            del self._places[expected.owner]


def _generation(obj: Object) -> int:
    generation: int = obj["metadata"].get("generation", 0)
    return generation
