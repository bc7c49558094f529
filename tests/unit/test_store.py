"""A store tells what changed, finds by index, and is not fooled by old news."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cache.records import Record
from app.cache.store import Delta, Store
from app.values.meta import Key, Object


def obj(name: str = "a", uid: str = "u1", version: str = "1", **labels: str) -> Object:
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": version}
    return {"metadata": {**metadata, "labels": labels}}


def owned(by: str, name: str = "a") -> Object:
    child = obj(name, uid=f"uid-of-{name}")
    child["metadata"]["ownerReferences"] = [{"uid": "somebody"}, {"uid": by, "controller": True}]
    return child


def by_label(o: Object) -> list[str]:
    labels: dict[str, str] = o["metadata"]["labels"]
    return [labels["team"]] if "team" in labels else []


def by_owner(o: Object) -> list[str]:
    return [ref["uid"] for ref in o["metadata"]["ownerReferences"]]


def list_anew(store: Store, *objects: Object, namespace: str | None = None) -> list[Delta]:
    return store.replace([store.record_for(o) for o in objects], namespace)


def told(changes: list[Delta]) -> list[tuple[Object | None, Object | None]]:
    """What changes tell, unpacked."""

    def unpacked(record: Record | None) -> Object | None:
        return None if record is None else record.object

    return [(unpacked(old), unpacked(new)) for old, new in changes]


V1, V2, OTHER = obj(version="1"), obj(version="2"), obj(uid="u2", version="3")


@pytest.mark.parametrize(
    ("held", "new", "want"),
    [
        pytest.param([], V1, [(None, V1)], id="new"),
        pytest.param([V1], V2, [(V1, V2)], id="changed"),
        pytest.param([V1], obj(version="1"), [], id="told twice"),
        pytest.param([V1], OTHER, [(V1, None), (None, OTHER)], id="another of the same name"),
    ],
)
def test_put(
    held: list[Object], new: Object, want: list[tuple[Object | None, Object | None]]
) -> None:
    store = Store()
    list_anew(store, *held)
    assert told(store.put(new)) == want
    assert store.get(Key("ns", "a")) == new


def restored(record: Record) -> Object:
    """The object of a record that keeps its key and its team."""
    labels = {"team": record.facts[0]} if record.facts else {}
    return obj(record.key.name, record.uid, record.version, **labels)


def test_an_object_can_be_restored_of_what_is_kept_of_it() -> None:
    store = Store({"team": by_label}, facts=by_label, restore=restored)
    read = {**obj(team="red"), "spec": {"large": True}}
    list_anew(store, read)
    store.compress_all()
    assert store.get(Key("ns", "a")) == obj(team="red")
    assert store.by("team", "red") == [obj(team="red")]


def test_another_version_of_what_is_kept_is_no_change() -> None:
    store = Store({"team": by_label}, facts=by_label, restore=restored)
    store.put(obj(version="1", team="red"))
    (record,) = store.records()

    assert store.put(obj(version="2", team="red")) == []
    assert list(store.records()) == [record]
    assert store.get(Key("ns", "a")) == obj(version="2", team="red")
    assert store.versions() == {"u1": "2"}  # an audit compares these
    assert store.put(obj(version="2", team="red")) == []

    assert told(store.put(obj(version="3", team="blue"))) == [
        (obj(version="2", team="red"), obj(version="3", team="blue"))
    ]
    assert [found.version for found in store.by_index("team", "blue")] == ["3"]
    assert store.by_index("team", "red") == ()


def test_another_index_value_is_a_change_although_the_facts_are_the_same() -> None:
    store = Store({"team": by_label}, restore=lambda record: obj(version=record.version))
    store.put(obj(version="1", team="red"))
    assert len(store.put(obj(version="2", team="blue"))) == 1
    assert store.by_index("team", "red") == ()
    assert len(store.by_index("team", "blue")) == 1


def test_facts_do_not_hide_another_object_of_the_same_name() -> None:
    store = Store(facts=by_label, restore=restored)
    store.put(V1)
    assert told(store.put(OTHER)) == [(V1, None), (None, OTHER)]
    assert store.versions() == {"u2": "3"}
    assert told(store.remove(OTHER)) == [(OTHER, None)]
    assert told(store.put(obj(uid="u2", version="4"))) == [(None, obj(uid="u2", version="4"))]


def test_facts_do_not_hide_that_a_schema_drops_fields() -> None:
    store = Store(facts=by_label, whole=lambda o: "spec" in o, restore=restored)
    store.put({**V1, "spec": {}})
    assert told(store.put(V2)) == [(V1, V2)]
    assert store.is_pruned
    assert told(store.put({**V2, "spec": {}})) == [(V2, V2)]
    assert not store.is_pruned


def test_what_is_removed_is_told_as_it_was_last_known() -> None:
    store = Store()
    store.put(V1)
    assert told(store.remove(V2)) == [(V1, None)]
    assert store.get(Key("ns", "a")) is None


def test_the_deletion_of_a_predecessor_does_not_take_its_successor_away() -> None:
    store = Store()
    store.put(OTHER)
    assert store.remove(V2) == []
    assert store.get(Key("ns", "a")) == OTHER


def test_old_news_of_a_predecessor_do_not_bring_it_back() -> None:
    store = Store()
    store.put(V1)
    store.remove(V1)
    store.put(OTHER)
    assert store.put(V2) == []
    assert list_anew(store, OTHER, obj("b", uid="u1")) == []
    assert store.get(Key("ns", "a")) == OTHER


def test_an_object_that_lost_its_label_may_get_it_back() -> None:
    store = Store()
    store.put(V1)
    store.remove(V1)
    assert told(store.put(V2)) == [(None, V2)]


def test_a_listing_tells_only_what_is_different() -> None:
    same, changed, gone, replaced = (obj(n, uid=f"u-{n}") for n in "abcd")
    changed_later = obj("b", uid="u-b", version="2")
    successor = obj("d", uid="u-new", version="9")
    new = obj("e", uid="u-e")
    store = Store()
    list_anew(store, same, changed, gone, replaced)
    before = store.record(Key("ns", "a"))

    changes = list_anew(store, obj("a", uid="u-a"), changed_later, successor, new)

    assert told(changes) == [
        (gone, None),
        (replaced, None),
        (changed, changed_later),
        (None, successor),
        (None, new),
    ]
    assert store.record(Key("ns", "a")) is before  # which others may hold already


def test_a_listing_of_one_namespace_leaves_the_others_alone() -> None:
    elsewhere = obj("x", uid="ux")
    elsewhere["metadata"]["namespace"] = "other"
    store = Store()
    store.put(elsewhere)
    store.put(V1)
    assert told(list_anew(store, namespace="ns")) == [(V1, None)]
    assert [record.object for record in store.records()] == [elsewhere]
    assert store.versions("other") == {"ux": "1"}
    assert store.versions("ns") == {}


def test_readers_of_the_old_listing_are_not_disturbed() -> None:
    store = Store()
    list_anew(store, obj("a", uid="ua"), obj("b", uid="ub"))
    seen = iter(store.records())
    next(seen)
    list_anew(store, obj("c", uid="uc"))
    assert next(seen).key.name == "b"


def test_children_are_found_by_any_of_their_owners() -> None:
    store = Store({"owner": by_owner})
    mine, also_mine, yours = owned("me", "a"), owned("me", "b"), owned("you", "c")
    for child in (mine, also_mine, yours):
        store.put(child)
    assert store.by("owner", "me") == [mine, also_mine]
    assert len(store.by("owner", "somebody")) == 3
    assert store.by("owner", "nobody") == []


def test_an_index_follows_what_changes() -> None:
    store = Store({"team": by_label})
    store.put(obj(version="1", team="red"))
    store.put(obj(version="2", team="blue"))
    assert store.by("team", "red") == []
    assert len(store.by("team", "blue")) == 1
    list_anew(store)
    assert store.by("team", "blue") == []


def test_an_index_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        Store().by("team", "red")


NAMES = st.sampled_from("abc")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "replace"]),
        NAMES,
        st.sampled_from(["u1", "u2", "u3"]),
        st.integers(1, 5).map(str),
        st.sampled_from(["red", "blue"]),
    )
)


@given(EVENTS)
def test_changes_told_and_indexes_always_agree_with_what_is_held(
    events: list[tuple[str, str, str, str, str]],
) -> None:
    store = Store({"team": by_label})
    mirror: dict[str, Record] = {}  # what a listener believes who is only told of changes
    for what, name, uid, version, team in events:
        new = obj(name, uid=uid + name, version=version, team=team)
        if what == "put":
            changes = store.put(new)
        elif what == "remove":
            changes = store.remove(new)
        else:
            changes = list_anew(store, new)
        for old, now in changes:
            if old is not None and now is None:
                assert mirror.pop(old.key.name) is old
            elif now is not None:
                assert mirror.get(now.key.name) is old
                mirror[now.key.name] = now
    held = {record.key.name: record for record in store.records()}
    assert mirror == held
    for team in ("red", "blue"):
        found = sorted(o["metadata"]["name"] for o in store.by("team", team))
        assert found == sorted(n for n, record in held.items() if by_label(record.object) == [team])


@pytest.mark.parametrize(
    "version", ["1", "18446744073709551615", "0", "", "007", "v3", "\u0661\u0662", "9" * 500]
)
def test_a_version_is_told_as_it_was_read(version: str) -> None:
    store = Store()
    store.put(obj(version=version))
    assert store.versions() == {"u1": version}
    assert store.put(obj(version=version)) == []
    assert store.put(obj(version=version + "5")) != []
    assert store.versions() == {"u1": version + "5"}
