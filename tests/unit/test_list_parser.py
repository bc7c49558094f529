"""A list gives the same objects however it is cut, and nothing that is no whole list passes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Garbled
from app.kube.list_parser import ListParser

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LIST = {
    "kind": "ThingList",
    "metadata": {"resourceVersion": "7"},
    "items": [{"a": 1, "b": [{}, "},{"]}, {"a": 'ü"]'}],
    "apiVersion": "v1",
}


def parsed(pieces: Iterable[bytes], **limits: int) -> tuple[list[Any], Any]:
    items = ListParser(**limits)
    found = [item for piece in pieces for item in items.feed(piece)]
    found += items.feed(b"", is_last=True)
    return found, items.list


@given(st.lists(JSON, max_size=4), st.booleans(), st.data())
def test_a_list_is_the_same_however_it_is_cut(
    objects: list[Any], is_indented: bool, data: st.DataObject
) -> None:
    value = {"apiVersion": "v1", "items": objects, "metadata": {"resourceVersion": "7"}}
    text = json.dumps(value, indent=2 if is_indented else None, ensure_ascii=False)
    body = text.encode("utf-8", "replace")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    found, rest = parsed(pieces)
    assert {**rest, "items": found} == json.loads(body)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(LIST, id="items in the middle"),
        pytest.param({"items": [], "kind": "ThingList"}, id="no items"),
        pytest.param({}, id="nothing at all"),
    ],
)
def test_byte_by_byte(value: dict[str, Any]) -> None:
    body = orjson.dumps(value)
    found, rest = parsed([body[i : i + 1] for i in range(len(body))])
    assert {**rest, **({"items": found} if "items" in value else {})} == value


def test_null_is_no_items() -> None:
    assert parsed([b'{"kind":"ThingList","items":null}']) == (
        [],
        {"kind": "ThingList", "items": None},
    )


def test_a_list_that_is_cut_off_is_none() -> None:
    body = orjson.dumps(LIST)
    for length in range(len(body)):
        with pytest.raises(Garbled):
            parsed([body[:length]])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b'{"items":[{"a":}]}', id="broken in an object"),
        pytest.param(b'{"items":[{}]}{}', id="something after it"),
        pytest.param(b'{"items":[' + b"[" * 100_000, id="too deep"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
    ],
)
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(Garbled):
        parsed([body])


def test_an_object_without_end_is_not_gathered_for_ever() -> None:
    taken: list[bytes] = []

    def endless() -> Iterator[bytes]:
        yield b'{"items":[{"a":"'
        while len(taken) < 100:
            taken.append(b"x" * 100)
            yield taken[-1]

    with pytest.raises(Garbled, match="1000 characters"):
        parsed(endless(), max_chars=1000)
    assert len(taken) < 30
