"""Whatever becomes of an object at rest, it is there as it was when somebody asks."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.kinds import Profile
from app.cache.compression import Compressor
from app.cache.records import Record
from app.cache.store import Delta, Store
from app.convert.options import Options
from app.errors import Garbled
from app.validation import Context, validate_and_convert
from app.values.meta import Key, Object
from tests.builders import backend, booster_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    # The API server knows no infinity either.
    .filter(lambda x: abs(x) != float("inf"))
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


@given(st.lists(OBJECTS, min_size=1))
def test_what_was_packed_comes_back(objects: list[Object]) -> None:
    compressor = Compressor()
    packed = [compressor.compress(obj) for obj in objects]
    assert [compressor.decompress(each) for each in packed] == objects


@pytest.mark.parametrize(
    "size", [1_000, 8_192, 20_000, pytest.param(3_000_000, marks=pytest.mark.slow)]
)
def test_objects_that_are_larger_than_what_is_remembered_of_the_first(size: int) -> None:
    compressor = Compressor()
    first = {"spec": "".join(chr(33 + i * i % 89) for i in range(size))}
    second = {"spec": first["spec"][::-1]}
    packed = [compressor.compress(obj) for obj in (first, second, first)]
    assert [compressor.decompress(each) for each in packed] == [first, second, first]


def test_children_of_the_same_kind_take_a_tenth_of_their_json() -> None:
    compressor: dict[str, Compressor] = {}
    ratios = []
    for name in ("a-model", "another-model"):
        booster = booster_object(name, backend("b1"))
        booster["metadata"] |= {"namespace": "ns", "uid": f"uid-of-{name}"}
        for child in validate_and_convert(booster, Context(Options(), Profile.B))[1]:
            kind = compressor.setdefault(child.resource.kind, Compressor())
            packed, text = kind.compress(child.object), orjson.dumps(child.object)
            ratios.append(len(packed) / len(text))
    assert len(ratios) == 6
    # The first of a kind has nothing to refer to; small ones consist of names above all.
    assert max(ratios[:3]) < 0.6
    assert sum(ratios[3:]) / 3 < 0.12


@pytest.mark.parametrize(
    "value",
    [pytest.param(10**30, id="a huge number"), pytest.param("\ud800", id="half a character")],
)
def test_what_is_no_json_is_not_taken_for_an_object(value: Any) -> None:
    assert json.loads(json.dumps(value)) == value  # Python would let it pass
    with pytest.raises(Garbled):
        Compressor().compress({"spec": value})


def numbered(number: int, version: int = 1) -> Object:
    metadata = {"namespace": "ns", "name": f"o{number}", "uid": f"u{number}"}
    return {"metadata": {**metadata, "resourceVersion": str(version)}, "spec": {"n": [number]}}


def key(number: int) -> Key:
    return Key("ns", f"o{number}")


@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "list", "rest"]), st.integers(0, 5)), max_size=30
    ),
)
def test_a_store_that_packs_is_no_different(
    unpacked: int, fresh: int, steps: list[tuple[str, int]]
) -> None:
    packs = Store(max_uncompressed=unpacked, max_fresh=fresh)
    keeps = Store(max_uncompressed=None)
    for version, (what, number) in enumerate(steps):
        obj = numbered(number, version)
        told = []
        for store in (packs, keeps):
            changes: list[Delta] = []
            if what == "put":
                changes = store.put(deepcopy(obj))
            elif what == "list":
                here = [record.object for record in store.records()]
                changes = store.replace([store.record_for(o) for o in (*here[1:], deepcopy(obj))])
            elif what == "rest":
                store.compress_all()
            told.append([[each and each.object for each in change] for change in changes])
        assert told[0] == told[1]
        assert packs.get(key(number)) == keeps.get(key(number))
    assert [r.object for r in packs.records()] == [r.object for r in keeps.records()]


def test_passes_that_follow_on_each_other_get_the_same_object() -> None:
    store = Store(max_uncompressed=2)
    store.replace([store.record_for(numbered(n)) for n in range(5)])
    first = store.get(key(0))
    assert store.get(key(0)) is first
    store.get(key(1))
    store.get(key(2))  # now others are in more demand
    assert store.get(key(0)) == first
    assert store.get(key(0)) is not first


def test_what_has_changed_stays_at_hand_for_its_passes_however_much_is_read_meanwhile() -> None:
    store = Store(max_uncompressed=1, max_fresh=2)
    store.replace([store.record_for(numbered(n)) for n in range(5)])
    changed = [numbered(n, version=2) for n in range(3)]
    store.put(changed[1])
    store.put(changed[2])
    for number in (3, 4, 0):
        store.get(key(number))
    assert store.get(key(1)) is changed[1]
    assert store.get(key(2)) is changed[2]
    store.put(changed[0])  # the first of the three has had its time
    assert store.get(key(1)) == changed[1]
    assert store.get(key(1)) is not changed[1]
    store.compress_all()
    assert store.get(key(0)) is not changed[0]


def test_what_is_at_hand_needs_no_unpacking() -> None:
    store = Store({"n": lambda obj: map(str, obj["spec"]["n"])}, facts=lambda obj: obj["spec"]["n"])
    store.replace([store.record_for(numbered(n, version=n)) for n in range(3)])
    (record,) = store.by_index("n", "2")
    assert isinstance(record, Record)
    assert (record.key, record.uid, record.version, record.facts) == (key(2), "u2", "2", [2])
    assert store.versions() == {"u0": "0", "u1": "1", "u2": "2"}
