"""Files are read as kubectl reads them; what kubectl 1.32 makes of each scalar was looked up."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.values.meta import Object
from modelbooster.offline.dialect import to_json, to_yaml
from modelbooster.offline.documents import read


def _read(tmp_path: Path, text: str) -> list[Object]:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    return [document.object for document in read([str(path)])]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("y", True), ("Yes", True), ("on", True), ("off", False), ("n", False), ("tRUE", "tRUE"),
        ("~", None), ("Null", None), ("", None), ("nULL", "nULL"),
        ("0", 0), ("-0", 0), ("+1", 1), ("0777", 511), ("-012", -10), ("0o17", 15), ("0o8", "0o8"),
        ("0x1F", 31), ("0b101", 5), ("0b2", "0b2"), ("1_000", 1000), ("08", 8), ("_1", "_1"),
        ("1e3", 1000), ("1E+3", 1000), ("1e-3", 0.001), (".5", 0.5), ("5.", 5), ("1.0", 1),
        ("1e", "1e"), ("1.2.3", "1.2.3"), ("9e999", "9e999"), (".", "."), ("+", "+"),
        ("1:30", "1:30"), ("2026-01-01", "2026-01-01"), ("=", "="),
        ("9223372036854775807", 2**63 - 1), ("100000000000000000000", 1e20),
        ("'1'", "1"), ("!!str 1", "1"), ("!!int '3'", 3),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
    ],
)  # fmt: skip
def test_a_value_means_what_it_means_to_kubectl(tmp_path: Path, text: str, want: object) -> None:
    (obj,) = _read(tmp_path, f"kind: X\nvalue: {text}\n")
    assert (obj["value"], type(obj["value"])) == (want, type(want))


def test_merged_mappings_give_way_to_what_stands_beside_them(tmp_path: Path) -> None:
    (obj,) = _read(
        tmp_path,
        "kind: X\na: &a {one: 1, two: 1}\nb: &b {two: 2, three: 2}\nc:\n  <<: [*a, *b]\n  one: 3\n",
    )
    assert obj["c"] == {"one": 3, "two": 1, "three": 2}


def test_several_documents_lists_and_empty_ones(tmp_path: Path) -> None:
    objects = _read(
        tmp_path,
        "---\nkind: A\n---\n# nothing\n---\nkind: List\nitems:\n- kind: B\n"
        "- {kind: CList, items: [{kind: C}]}\n---\n",
    )
    assert [obj["kind"] for obj in objects] == ["A", "B", "C"]


def test_a_document_says_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("# first\nkind: A\nmetadata: {name: one}\n---\n\nkind: B\n")
    found = [(document.source, str(document)) for document in read([str(path)])]
    assert found == [(f"{path}:2", 'A "one"'), (f"{path}:6", 'B ""')]


def test_a_folder_is_read_in_order_and_not_below(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "d.txt"):
        (tmp_path / name).write_text(json.dumps({"kind": name[0].upper()}))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.yaml").write_text("kind: E")
    assert [d.object["kind"] for d in read([str(tmp_path)])] == ["A", "B", "C"]


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kind: A")))
    assert [(d.source, d.object) for d in read(["-"])] == [("stdin:1", {"kind": "A"})]


def test_json_texts_one_behind_the_other(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"kind": "A"}{"kind": "B"}\n\n {"kind": "List",\n "items": [{"kind": "C"}]}\n')
    found = [(d.source, d.object["kind"]) for d in read([str(path)])]
    assert found == [(f"{path}:1", "A"), (f"{path}:1", "B"), (f"{path}:3", "C")]


def test_a_mapping_that_only_begins_like_json(tmp_path: Path) -> None:
    assert _read(tmp_path, "{kind: A}\n---\n{kind: B}\n") == [{"kind": "A"}, {"kind": "B"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("kind: A\na: [1, 2\nb: 3\n", ":3:2: while parsing", id="broken"),
        pytest.param("kind: A\n\tb: 1\n", ":2:1: while scanning", id="tab"),
        pytest.param("kind: A\nb: 1\nb: 2\n", ':3:1: the key "b" is here twice', id="twice"),
        pytest.param("kind: A\nb: .inf\n", ':2:4: ".inf" has no meaning in JSON', id="infinite"),
        pytest.param("kind: A\nb: !x y\n", ':2:4: "y" has no meaning in JSON', id="unknown tag"),
        pytest.param("kind: A\nb: &r {a: *r}\n", ":2:4: an alias is inside", id="endless"),
        pytest.param("kind: A\n? [1]\n: 2\n", ":2:3: a key must be a string", id="list as key"),
        pytest.param("kind: A\n<<: 3\n", ":2:5: only mappings can be merged", id="merged number"),
        pytest.param("- kind: A\n", ":1: this is no Kubernetes object: it has no kind", id="list"),
        pytest.param("just words\n", ":1: this is no Kubernetes object", id="text"),
        pytest.param("kind: List\nitems: [3]\n", ":1: this is no Kubernetes object", id="items"),
        pytest.param("kind: A\nb: \x01\n", ": ", id="control character"),
        pytest.param(
            f"kind: A\nb: {'[' * 3000}{']' * 3000}\n", ":2:103: nested more than", id="deep"
        ),
        pytest.param(f'{{"kind": {"[" * 9000}{"]" * 9000}}}', ":1:109: nested", id="deep JSON"),
        pytest.param(f'{{"kind": {"[" * 100}{"]" * 100}}}', ":1:109: nested", id="101 levels"),
        pytest.param(
            "kind: A\na: &a0 [x]\n"
            + "".join(f"b{n}: &a{n} [{','.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 20)),
            ":",
            id="aliases of aliases",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/f.yaml{said}")


def test_nothing_of_a_file_that_breaks_further_down_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("kind: A\n---\nkind: [\n")
    documents = read([str(path)])
    with pytest.raises(UsageError):
        next(documents)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"^nowhere\.yaml: No such file or directory$"):
        list(read(["nowhere.yaml"]))


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file in this folder ends in"):
        list(read([str(tmp_path)]))


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
    | st.sampled_from(["1e3", "y", "0o17", "1:30", "2026-01-01", "~", "<<", "0777", "a\nb\n", "|"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("aby01=<~", max_size=3), inner),
    max_leaves=12,
)


@given(value=_values)
def test_what_is_written_is_read_back_by_us_and_by_others(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    obj = {"kind": "X", "value": value}
    text = to_yaml([obj, obj])
    assert list(yaml.safe_load_all(text)) == [obj, obj]
    assert _read(tmp_path_factory.mktemp("d"), text) == [obj, obj]
    assert json.loads(to_json(obj)) == obj
