"""What an answer of the API server means."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ApiError, Conflict, Forbidden, Garbled, Gone, Invalid, NotFound
from app.kube.responses import (
    Lines,
    decoded,
    decoded_unmanaged,
    error_from_event,
    error_from_response,
    is_too_large_version,
    is_unknown_kind,
    retry_after_seconds,
    warnings_in,
)
from app.values.meta import Object

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def status(code: int, reason: str = "", message: str = "no", **more: object) -> bytes:
    answer = {"kind": "Status", "code": code, "reason": reason, "message": message, **more}
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind", "text"),
    [
        pytest.param(400, status(400, "BadRequest"), Invalid, "400 BadRequest: no", id="400"),
        pytest.param(401, status(401, "Unauthorized"), ApiError, "401 Unauthorized: no", id="401"),
        pytest.param(403, status(403, "Forbidden"), Forbidden, "403 Forbidden: no", id="403"),
        pytest.param(404, status(404, "NotFound"), NotFound, "404 NotFound: no", id="404"),
        pytest.param(409, status(409, "Conflict"), Conflict, "409 Conflict: no", id="409"),
        pytest.param(410, status(410, "Expired"), Gone, "410 Expired: no", id="410"),
        pytest.param(413, b"too large", Invalid, "413: too large", id="413"),
        pytest.param(422, status(422, "Invalid"), Invalid, "422 Invalid: no", id="422"),
        pytest.param(429, status(429), ApiError, "429: no", id="429"),
        pytest.param(500, status(500), ApiError, "500: no", id="500"),
        pytest.param(
            500,
            status(500, message="failed to create typed patch object (ns/a; ...): .x"),
            Invalid,
            "500: failed to create typed patch object (ns/a; ...): .x",
            id="500 for a field that the schema lacks",
        ),
        pytest.param(404, b"404 page not found\n", NotFound, "404: 404 page not found", id="text"),
        pytest.param(503, b"<html>busy</html>", ApiError, "503: <html>busy</html>", id="HTML"),
        pytest.param(502, b"", ApiError, "502: an empty body", id="empty"),
        pytest.param(503, b'{"kind":"Pod"}', ApiError, '503: {"kind":"Pod"}', id="no Status"),
        pytest.param(
            503,
            b'{"kind":"Status","code":[],"reason":7,"message":null,"details":"x"}',
            ApiError,
            "503: ",
            id="a Status of wrong types",
        ),
    ],
)
def test_error_from_answer(code: int, body: bytes, kind: type[ApiError], text: str) -> None:
    error = error_from_response(code, body)
    assert type(error) is kind
    assert (error.status, str(error)) == (code, text)


def test_a_long_message_is_cut() -> None:
    assert len(error_from_response(422, status(422, message="x" * 5000)).message) == 1024


def test_an_error_event_is_the_error_it_reports() -> None:
    error = error_from_event(json.loads(status(410, "Expired", "too old resource version")))
    assert isinstance(error, Gone)
    assert type(error_from_event({})) is ApiError


@pytest.mark.parametrize(
    ("code", "body", "want"),
    [
        pytest.param(
            504,
            status(504, details={"causes": [{"reason": "ResourceVersionTooLarge"}]}),
            True,
            id="by its cause",
        ),
        pytest.param(504, status(504, message="Too large resource version: 9"), True, id="by text"),
        pytest.param(504, status(504, message="gateway timeout"), False, id="another 504"),
        pytest.param(504, status(504, details={"causes": ["x"]}), False, id="odd causes"),
    ],
)
def test_is_too_large_version(code: int, body: bytes, want: bool) -> None:
    assert is_too_large_version(error_from_response(code, body)) is want


@pytest.mark.parametrize(
    ("body", "want"),
    [
        pytest.param(b"404 page not found\n", True, id="the path is not served"),
        pytest.param(
            status(404, details={"kind": "modelroutes", "name": "a"}), False, id="no such object"
        ),
        pytest.param(status(404, details={}), True, id="no such collection"),
    ],
)
def test_is_unknown_kind(body: bytes, want: bool) -> None:
    assert is_unknown_kind(error_from_response(404, body)) is want


@pytest.mark.parametrize(
    ("header", "want"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("0", 0, id="now"),
        pytest.param("7", 7, id="seconds"),
        pytest.param("-5", 0, id="negative"),
        pytest.param("1000000000", 60, id="for ever"),
        pytest.param("soon", None, id="garbage"),
        pytest.param("1e3", None, id="no whole number"),
        pytest.param("Fri, 02 Jan 2026 03:04:35 GMT", 30, id="date"),
        pytest.param("Fri, 02 Jan 2026 03:04:35 -0000", 30, id="date without a zone"),
        pytest.param("Fri, 02 Jan 2026 02:00:00 GMT", 0, id="date in the past"),
        pytest.param("Fri, 02 Jan 2099 03:04:35 GMT", 60, id="date far away"),
        pytest.param("Fri, 99 Jan 2026 03:04:35 GMT", None, id="no such day"),
    ],
)
def test_retry_after(header: str | None, want: float | None) -> None:
    assert retry_after_seconds(header, NOW) == want


def test_an_answer_carries_the_pause_it_asks_for() -> None:
    assert error_from_response(429, status(429), "3").retry_after_seconds == 3


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"kind":"Po', b"[]", b'"x"', b"\xff\xfe", b"null"]
)
def test_what_is_no_json_object_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        decoded(body)


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=20)),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[str], cuts: list[int]) -> None:
    stream = b"".join(line.encode() + b"\n" for line in lines)
    whole = [line.encode() for line in lines if line.encode().strip()]
    cutter = Lines()
    found = []
    for begin, end in pairwise(sorted({0, len(stream), *(c for c in cuts if c < len(stream))})):
        found += cutter.feed(stream[begin:end])
    assert found == whole


def test_of_a_stream_cut_anywhere_only_whole_events_are_read() -> None:
    """Also inside of a character of several bytes and inside of an escape."""
    event = {"type": "ADDED", "object": {"metadata": {"name": "Ärger 模型 \u2028"}}}
    lines = [json.dumps(event).encode(), json.dumps(event, ensure_ascii=False).encode()] * 2
    stream = b"\n".join(lines) + b"\n"
    chance = random.Random(7)
    for cut in range(len(stream)):
        cutter = Lines()
        middle = chance.randint(0, cut)
        read = [*cutter.feed(stream[:middle]), *cutter.feed(stream[middle:cut])]
        assert read == lines[: stream[:cut].count(b"\n")]
        assert all(decoded(line) == event for line in read)


MANAGERS = [
    {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:a": {}, 'k:{"name":"b"}': {".": {}}}}},
    {"manager": "}],", "fieldsV1": {'f:"name":': {}}},
]
NESTED = {"managedFields": [{"manager": "mine"}], "name": "n"}
META = {"name": "a", "resourceVersion": "7", "uid": "u"}


@pytest.mark.parametrize(
    ("metadata", "rest"),
    [
        pytest.param({"managedFields": MANAGERS, **META}, {"spec": {"a": [1]}}, id="usual"),
        pytest.param({"managedFields": MANAGERS[1:], **META}, {}, id="texts like the end"),
        pytest.param({"managedFields": [], **META}, {}, id="empty"),
        pytest.param({"managedFields": None, **META, "x": [1]}, {}, id="null"),
        pytest.param(META, {}, id="none"),
        pytest.param(META, {"spec": NESTED}, id="none but in the spec"),
        pytest.param(META, {"spec": {"a": [{"managedFields": []}], "name": "n"}}, id="in a list"),
        pytest.param({"managedFields": 0, **META}, {"spec": NESTED}, id="a number"),
        pytest.param({"managedFields": MANAGERS, **META}, {"spec": NESTED}, id="in both"),
        pytest.param(
            {"labels": {'x"managedFields': "y"}, "managedFields": MANAGERS, **META},
            {},
            id="a key that ends in the same",
        ),
        pytest.param(
            {"managedFields": MANAGERS, "finalizers": ["f"], **META}, {}, id="a list between"
        ),
        pytest.param({**META, "managedFields": MANAGERS}, {"spec": NESTED}, id="at the end"),
        pytest.param(
            {"managedFields": [{"fieldsV1": {"f:x[y]": {}}}], **META}, {}, id="brackets in texts"
        ),
        pytest.param({"managedFields": [[1], [2]], **META}, {}, id="lists in the list"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_managed_fields_are_left_out_and_nothing_else(
    metadata: Object, rest: Object, *, is_first: bool
) -> None:
    """However the server orders its fields, and whatever users write elsewhere."""
    obj = {"metadata": metadata, **rest} if is_first else {**rest, "metadata": metadata}
    left = {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps(obj, separators=separators)
        assert decoded_unmanaged(text.encode()) == left
        event = f'{{"type":"ADDED","object":{text}}}'.encode()
        assert decoded_unmanaged(event, "object") == {"type": "ADDED", "object": left}


@given(
    metadata=st.dictionaries(
        st.sampled_from(["finalizers", "labels", "managedFields", "name", "x"]),
        st.recursive(
            st.sampled_from([0, None, "a", "}],", "[", '"managedFields":[', '],"name":"']),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["name", "managedFields", 'x"managedFields', "y"]), inner
                ),
            ),
            max_leaves=8,
        ),
    )
)
def test_any_object_is_decoded_as_it_is_but_for_managed_fields(metadata: Object) -> None:
    text = json.dumps({"metadata": metadata, "spec": metadata}, separators=(",", ":"))
    rest = {k: v for k, v in metadata.items() if k != "managedFields"}
    assert decoded_unmanaged(text.encode()) == {"metadata": rest, "spec": metadata}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"metadata":{"managedFields":[],"name":"'])
def test_what_is_no_object_is_refused_without_managed_fields_too(body: bytes) -> None:
    with pytest.raises(Garbled):
        decoded_unmanaged(body)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"x" * 11], id="in one piece"),
        pytest.param([b"x" * 6, b"x" * 6], id="in two"),
        pytest.param([b"x" * 11 + b"\n"], id="with its end"),
    ],
)
def test_a_line_that_no_event_can_be_is_not_read(pieces: list[bytes]) -> None:
    cutter = Lines(max_bytes=10)
    with pytest.raises(Garbled, match="longer than 10 bytes"):
        list(map(cutter.feed, pieces))


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("", []),
        ('299 - "one"', ["one"]),
        ('299 - "a, \\"b\\"", 299 kube "c \\\\ d"', ['a, "b"', "c \\ d"]),
        ('199 - "another code"', []),
        ("299 - broken", []),
    ],
)
def test_warnings_of_admission_are_read(header: str, want: list[str]) -> None:
    assert warnings_in(header) == want
