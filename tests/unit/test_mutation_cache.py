"""MutationCache: what a pass reads between a write and its watch event."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from app.apis.kinds import BACKEND_NAME, MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING, MODEL_UID
from app.cache.store import Store
from app.errors import Conflict, Unreachable
from app.model.ownership import owner_uids
from app.values.meta import Key, Object
from controller.cluster.indexed_stores import BOOSTER_INDEX
from controller.cluster.mutation_cache import EXPECTATION_SECONDS, MutationCache
from controller.cluster.own_writes import InflightWrite

OWNER = "owner-uid"
KEY = Key("ns", "m")


def route(version: str, uid: str = "u1", generation: int = 1) -> Object:
    return {
        "kind": "ModelRoute",
        "metadata": {
            "namespace": "ns",
            "name": "m",
            "uid": uid,
            "resourceVersion": version,
            "generation": generation,
            "ownerReferences": [
                {
                    "apiVersion": MODEL_BOOSTER.api_version,
                    "kind": "ModelBooster",
                    "name": "m",
                    "uid": OWNER,
                }
            ],
        },
    }


class Cluster:
    """A store of routes, a cache on top, and a watch that the test drives."""

    def __init__(self, *routes: Object) -> None:
        self.store = Store({BOOSTER_INDEX: owner_uids})
        self.concurrently_changed: list[InflightWrite] = []
        self.cache = MutationCache(
            {"ModelRoute": {None: self.store}},
            on_concurrent_change=self.concurrently_changed.append,
        )
        for obj in routes:
            self.store.put(obj)

    def shows(self, obj: Object) -> list[bool]:
        return [self.cache.observe(MODEL_ROUTE, *change) for change in self.store.put(obj)]

    def shows_gone(self, obj: Object) -> list[bool]:
        return [self.cache.observe(MODEL_ROUTE, *change) for change in self.store.remove(obj)]

    def writes(self) -> AbstractContextManager[InflightWrite]:
        return self.cache.writing(InflightWrite(MODEL_ROUTE, KEY, KEY, OWNER))

    def made(self, obj: Object) -> None:
        with self.writes() as write:
            self.cache.record_write(write, obj, now=0)

    def deleted(self, uid: str = "u1") -> None:
        with self.writes() as write:
            self.cache.record_deletion(write, uid, now=0)

    def sees(self) -> list[str]:
        """Returns the resource version that a pass reads, by name and among the children."""
        one = self.cache.get(MODEL_ROUTE, KEY)
        several = [obj["metadata"]["resourceVersion"] for obj in self.cache.children(OWNER)]
        assert ([one["metadata"]["resourceVersion"]] if one else []) == several
        return several


def test_a_created_child_is_visible_at_once_and_its_event_is_no_news() -> None:
    cluster = Cluster()
    cluster.made(route("5"))
    assert cluster.sees() == ["5"]

    assert cluster.shows(route("5")) == [False]
    assert cluster.sees() == ["5"]
    assert cluster.shows(route("6")) == [True]
    assert cluster.sees() == ["6"]


def test_an_older_event_does_not_replace_a_write() -> None:
    cluster = Cluster(route("1"))
    cluster.made(route("5"))

    assert cluster.shows(route("3")) == [True]
    assert cluster.sees() == ["5"]
    assert cluster.shows(route("5")) == [False]
    assert cluster.sees() == ["5"]


def test_a_write_without_effect_expects_no_event() -> None:
    cluster = Cluster(route("5"))
    cluster.made(route("5"))
    assert cluster.shows(route("6")) == [True]
    assert cluster.sees() == ["6"]


def test_a_write_without_effect_is_older_than_an_event_before_its_response() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes() as write:
        cluster.shows(route("2"))
        cluster.cache.record_write(write, route("1"), now=0)
    assert cluster.sees() == ["2"]


def test_a_conflict_drops_the_expectation() -> None:
    """A list that was requested before the write, and answered after it, has shown a later one."""
    cluster = Cluster(route("1"))
    cluster.made(route("2"))
    cluster.shows(route("3"))
    assert cluster.sees() == ["2"]
    with pytest.raises(Conflict), cluster.writes():
        raise Conflict(409, "Conflict", "the object has been modified")
    assert cluster.sees() == ["3"]


def test_an_event_before_the_response_is_not_expected_again() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes() as write:
        assert cluster.shows(route("5")) == [False]
        cluster.cache.record_write(write, route("5"), now=0)
    assert cluster.sees() == ["5"]
    assert cluster.concurrently_changed == []


def test_a_concurrent_update_is_reported_after_the_response() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes() as write:
        assert cluster.shows(route("5")) == [False]
        assert cluster.shows(route("6")) == [False]
        cluster.cache.record_write(write, route("5"), now=0)
        assert cluster.concurrently_changed == []
    assert cluster.sees() == ["6"]
    assert cluster.concurrently_changed == [write]


def test_a_concurrent_deletion_is_reported_after_the_response() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes() as write:
        cluster.shows(route("5"))
        cluster.shows_gone(route("6"))
        cluster.cache.record_write(write, route("5"), now=0)
    assert cluster.sees() == []
    assert cluster.concurrently_changed == [write]


def test_events_during_a_failed_write_are_reported() -> None:
    cluster = Cluster(route("1"))

    def fails() -> None:
        with cluster.writes():
            assert cluster.shows(route("5")) == [False]
            raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        fails()
    assert [write.seen_versions for write in cluster.concurrently_changed] == [{"5"}]


def test_a_deletion_reports_only_other_events() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes() as write:
        assert cluster.shows_gone(route("5")) == [False]
        cluster.cache.record_deletion(write, "u1", now=0)
    assert cluster.sees() == []
    assert cluster.concurrently_changed == []

    with cluster.writes() as write:
        assert cluster.shows(route("7", uid="u2")) == [False]
        cluster.cache.record_deletion(write, "u1", now=0)
    assert cluster.sees() == ["7"]
    assert cluster.concurrently_changed == [write]


def test_a_higher_generation_replaces_a_write() -> None:
    cluster = Cluster(route("1"))
    cluster.made(route("5", generation=2))
    assert cluster.shows(route("9", generation=3)) == [True]
    assert cluster.sees() == ["9"]


def test_a_deleted_child_is_gone_at_once_and_its_event_is_no_news() -> None:
    cluster = Cluster(route("1"))
    cluster.deleted()
    assert cluster.sees() == []

    assert cluster.shows(route("2")) == [True]  # an edit from before the deletion
    assert cluster.sees() == []
    assert cluster.shows_gone(route("3")) == [False]
    assert cluster.sees() == []


def test_a_deleted_child_with_a_finalizer_is_seen_terminating() -> None:
    cluster = Cluster(route("1"))
    cluster.deleted()
    going = route("2")
    going["metadata"]["deletionTimestamp"] = "2031-01-01T00:00:00Z"
    assert cluster.shows(going) == [True]
    assert cluster.sees() == ["2"]


def test_a_recreated_child_replaces_the_deleted_one() -> None:
    cluster = Cluster(route("1"))
    cluster.deleted()
    cluster.made(route("5", uid="u2"))
    assert cluster.sees() == ["5"]

    cluster.shows_gone(route("3"))
    assert cluster.sees() == ["5"]
    assert cluster.shows(route("5", uid="u2")) == [False]
    assert cluster.sees() == ["5"]


def test_a_deletion_by_another_client_drops_the_expectation() -> None:
    cluster = Cluster(route("1"))
    cluster.made(route("5"))
    assert cluster.shows_gone(route("6")) == [True]
    assert cluster.sees() == []


def test_a_deletion_during_a_failed_write_is_reported() -> None:
    cluster = Cluster(route("1"))
    with cluster.writes():
        assert cluster.shows_gone(route("5")) == [False]
    assert [write.seen_deletions for write in cluster.concurrently_changed] == [{"u1"}]


def test_an_expectation_expires_after_a_minute() -> None:
    cluster = Cluster(route("1"))
    cluster.made(route("5"))
    assert cluster.cache.drop_expired(EXPECTATION_SECONDS - 1) == []
    assert cluster.sees() == ["5"]
    assert [e.owner_uid for e in cluster.cache.drop_expired(EXPECTATION_SECONDS)] == [OWNER]
    assert cluster.sees() == ["1"]


def test_a_list_drops_older_expectations() -> None:
    cluster = Cluster()
    cluster.made(route("5"))  # at 0
    for began, namespace in ((0, None), (1, "other")):
        assert cluster.cache.drop_relisted(MODEL_ROUTE, namespace, began) == []
    assert cluster.cache.drop_relisted(MODEL_SERVING, None, 1) == []
    assert cluster.sees() == ["5"]
    assert [e.owner_uid for e in cluster.cache.drop_relisted(MODEL_ROUTE, "ns", 1)] == [OWNER]
    assert cluster.sees() == []


def test_each_namespace_has_a_store() -> None:
    here, there = Store({BOOSTER_INDEX: owner_uids}), Store({BOOSTER_INDEX: owner_uids})
    here.put(route("1"))
    cache = MutationCache({"ModelRoute": {"ns": here, "other": there}})
    assert cache.get(MODEL_ROUTE, KEY) == route("1")
    assert cache.get(MODEL_ROUTE, Key("other", "m")) is None
    assert cache.get(MODEL_ROUTE, Key("third", "m")) is None
    assert list(cache.children(OWNER)) == [route("1")]


def test_pods_are_found_by_uid_label_in_the_same_namespace_only() -> None:
    def record(namespace: str, name: str) -> Object:
        return {"metadata": {"namespace": namespace, "name": name, "uid": name, "owner": OWNER}}

    booster = {"metadata": {"namespace": "ns", "name": "m", "uid": OWNER}}
    everywhere = Store({BOOSTER_INDEX: lambda obj: [obj["metadata"]["owner"]]})
    everywhere.put(record("ns", "a"))
    everywhere.put(record("other", "b"))
    stranger = {**booster, "metadata": {**booster["metadata"], "uid": "stranger"}}

    cache = MutationCache({}, {None: everywhere})

    assert [obj["metadata"]["name"] for obj in cache.pods(booster)] == ["a"]
    assert list(cache.pods(stranger)) == []
    assert list(MutationCache({}, {"other": everywhere}).pods(booster)) == []
    assert list(MutationCache({}).pods(booster)) == []


def test_pods_are_known_once_they_have_been_listed() -> None:
    store = Store({BOOSTER_INDEX: lambda obj: [obj["metadata"]["labels"][MODEL_UID]]})
    booster = {"metadata": {"namespace": "ns", "name": "m", "uid": "u"}}
    cache = MutationCache({}, {"ns": store})
    assert not cache.knows_pods(booster)
    assert not MutationCache({}).knows_pods(booster)

    def pod(name: str, backend: str) -> Object:
        labels = {MODEL_UID: "u", BACKEND_NAME: backend}
        version = {"uid": name, "resourceVersion": "1"}
        return {"metadata": {"namespace": "ns", "name": name, "labels": labels, **version}}

    store.replace([store.record_for(pod("a", "b1"))])
    assert cache.knows_pods(booster)
    assert not cache.has_another_pod(pod("a", "b1"))
    assert cache.has_another_pod(pod("c", "b1"))
    assert not cache.has_another_pod(pod("c", "b2"))
