"""The stores plus our own writes, as client-go's MutationCache: what a pass reads.

A store lags behind the API server. Until the watch shows what a write returned, the cache returns
that result instead of the store's object. Otherwise the next pass would write the same again.
Resource versions are opaque, so they cannot be ordered. The watch has caught up when it shows the
version that the write returned, or an event that can only be later. The cache also trusts the store
again after a new list, and after a minute at the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.apis.kinds import MODEL_BOOSTER
from app.cache.records import Record
from app.cache.store import Store
from app.errors import Conflict
from app.values.meta import Key, Object, Resource, is_terminating, key_of, uid_of
from controller.cluster.indexed_stores import BOOSTER_INDEX
from controller.cluster.own_writes import (
    Expectation,
    InflightWrite,
    ObjectRef,
    OnConcurrentChange,
    ignore_concurrent_change,
)
from controller.status.pod_records import backend_name, booster_uid

EXPECTATION_SECONDS = 60.0
"""How long the result of a write replaces the store's object, if the watch does not show it."""


class MutationCache:
    """Reads objects as they are after our own writes.

    Args:
        stores: the stores by kind and namespace; namespace None means all namespaces.
        pods: the stores of pod records by namespace; empty if pods are not watched.
        on_concurrent_change: called when a write ends, if ``observe`` held back an event that the
            write did not cause.
    """

    def __init__(
        self,
        stores: Mapping[str, Mapping[str | None, Store]],
        pods: Mapping[str | None, Store] | None = None,
        on_concurrent_change: OnConcurrentChange = ignore_concurrent_change,
    ) -> None:
        self._stores = stores
        self._pods = pods or {}
        self._on_concurrent_change = on_concurrent_change
        self._expected: dict[ObjectRef, Expectation] = {}
        self._expected_refs: dict[str, set[ObjectRef]] = {}  # by uid of the ModelBooster
        self._inflight: dict[ObjectRef, list[InflightWrite]] = {}

    def get(self, resource: Resource, key: Key) -> Object | None:
        """Returns an object; None if there is none."""
        expected = self._expected.get((resource.kind, key))
        if expected is None:
            record = self._stored(resource.kind, key)
            return None if record is None else record.object
        return expected.obj

    def children(self, owner_uid: str) -> list[Object]:
        """Returns the children of the ModelBooster with this uid."""
        replaced = self._expected_refs.get(owner_uid, ())
        found = [
            record.object
            for kind, stores in self._stores.items()
            if kind != MODEL_BOOSTER.kind
            for store in stores.values()
            for record in store.by_index(BOOSTER_INDEX, owner_uid)
            if (kind, record.key) not in replaced
        ]
        expected = [self._expected[ref].obj for ref in replaced]
        # A result of a write may also be the ModelBooster itself.
        return found + [obj for obj in expected if obj is not None and uid_of(obj) != owner_uid]

    def all(self, resource: Resource) -> Iterator[Object]:
        """Yields every object of a kind."""
        for store in self._stores.get(resource.kind, {}).values():
            for key in [record.key for record in store.records()]:
                obj = self.get(resource, key)
                if obj is not None:
                    yield obj

    def pods(self, booster: Object) -> Iterator[Object]:
        """Yields the records of a ModelBooster's pods.

        Pods of other namespaces are left out: anybody may write our labels there.
        """
        namespace = key_of(booster).namespace
        store = self._pod_store(namespace)
        for record in store.by_index(BOOSTER_INDEX, uid_of(booster)) if store is not None else ():
            if record.key.namespace == namespace:
                yield record.object

    def knows_pods(self, booster: Object) -> bool:
        """Whether the pods of a ModelBooster are watched and have been listed."""
        store = self._pod_store(key_of(booster).namespace)
        return store is not None and store.is_listed

    def has_another_pod(self, pod: Object) -> bool:
        """Whether the backend of a pod has another pod, by the record of the pod."""
        key, wanted = key_of(pod), backend_name(pod)
        store = self._pod_store(key.namespace)
        others = store.by_index(BOOSTER_INDEX, booster_uid(pod)) if store is not None else ()
        return any(
            other.key.namespace == key.namespace
            and other.key != key
            and backend_name(other.object) == wanted
            for other in others
        )

    def _pod_store(self, namespace: str) -> Store | None:
        return self._pods.get(None if None in self._pods else namespace)

    @contextmanager
    def writing(self, write: InflightWrite) -> Iterator[InflightWrite]:
        """Collects the watch events of an object while it is written.

        Before the response arrives, an event of ours looks like any other. When the write ends,
        with or without an error, ``on_concurrent_change`` is called if an event was not ours.
        """
        ref = write.ref
        stored = self._stored(*ref)
        write.version_before = stored.version if stored else ""
        self._inflight.setdefault(ref, []).append(write)
        try:
            yield write
        except Conflict:
            self._drop(ref)  # outdated: the object has changed since
            raise
        finally:
            writes = self._inflight[ref]
            writes.remove(write)
            if not writes:
                del self._inflight[ref]
            if write.has_concurrent_change:
                self._on_concurrent_change(write)

    def record_write(self, write: InflightWrite, obj: Object, now: float) -> None:
        """Records the object that the server returned to a write or a read, at ``now`` seconds."""
        write.written_version = obj["metadata"]["resourceVersion"]
        self._drop(write.ref)
        stored = self._stored(*write.ref)
        # A write without effect returns a version that the watch may have shown long before.
        shown = {*write.seen_versions, write.version_before, stored.version if stored else ""}
        if write.written_version not in shown and uid_of(obj) not in write.seen_deletions:
            expires_at = now + EXPECTATION_SECONDS
            self._expect(Expectation(write.ref, write.owner_uid, uid_of(obj), obj, expires_at))

    def record_deletion(self, write: InflightWrite, uid: str, now: float) -> None:
        """Records that a write deleted the object with this uid; ``now`` is in seconds."""
        write.deleted_uid = uid
        self._drop(write.ref)
        stored = self._stored(*write.ref)
        if stored is not None and stored.uid == uid and uid not in write.seen_deletions:
            expires_at = now + EXPECTATION_SECONDS
            self._expect(Expectation(write.ref, write.owner_uid, uid, None, expires_at))

    def observe(self, resource: Resource, old: Record | None, new: Record | None) -> bool:
        """Handles a watch event, and returns whether it is news.

        An event is no news if a write of ours caused it, or while its object is being written.

        Args:
            resource: kind of the object.
            old: the object before; None if it is new.
            new: the object after; None if it is gone.
        """
        record = new or old
        if record is None:
            return False
        ref = (resource.kind, record.key)
        if writes := self._inflight.get(ref):
            for write in writes:
                if new is None:
                    write.seen_deletions.add(record.uid)
                else:
                    write.seen_versions.add(new.version)
            return False  # ``writing`` decides when the write ends
        expected = self._expected.get(ref)
        if expected is None:
            return True
        if expected.obj is None:
            # The same uid is an older event, unless a finalizer keeps the object.
            if new is None or new.uid != expected.object_uid or is_terminating(new.object):
                self._drop(ref)
            return new is not None
        if new is None:
            if record.uid == expected.object_uid:
                self._drop(ref)
            return True
        if new.version == expected.obj["metadata"]["resourceVersion"]:
            self._drop(ref)
            return False
        if expected.is_older_than(new.object):
            self._drop(ref)
        return True

    def drop_expired(self, now: float) -> list[Expectation]:
        """Drops the expectations that have expired at ``now``, in seconds, and returns them."""
        return self._drop_all([e for e in self._expected.values() if e.expires_at <= now])

    def drop_relisted(
        self, resource: Resource, namespace: str | None, began_at: float
    ) -> list[Expectation]:
        """Drops the expectations of writes before a list, and returns them.

        An object that was created and deleted while no watch was open leaves no other trace.

        Args:
            resource: kind that was listed.
            namespace: the namespace that was listed; None for all namespaces.
            began_at: when the list was requested, in seconds.
        """
        older = [
            expected
            for (kind, key), expected in self._expected.items()
            if kind == resource.kind
            and namespace in (None, key.namespace)
            and expected.expires_at - EXPECTATION_SECONDS < began_at
        ]
        return self._drop_all(older)

    def _drop_all(self, expectations: list[Expectation]) -> list[Expectation]:
        for expected in expectations:
            self._drop(expected.ref)
        return expectations

    def _stored(self, kind: str, key: Key) -> Record | None:
        stores = self._stores.get(kind, {})
        store = stores.get(None if None in stores else key.namespace)
        return store.record(key) if store is not None else None

    def _expect(self, expected: Expectation) -> None:
        self._expected[expected.ref] = expected
        self._expected_refs.setdefault(expected.owner_uid, set()).add(expected.ref)

    def _drop(self, ref: ObjectRef) -> None:
        expected = self._expected.pop(ref, None)
        if expected is None:
            return
        refs = self._expected_refs[expected.owner_uid]
        refs.discard(ref)
        if not refs:
            del self._expected_refs[expected.owner_uid]
