"""The tables themselves: what they hold, and that the installed package includes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.engines.engine import ENGINES
from app.engines.history import CAME, GONE
from app.engines.names import LABELS
from app.engines.release import release
from app.engines.table import Kind, Table, Type, releases, table
from tests.checkout import copy_project

ROOT = Path(__file__).parents[2]
DATA = ROOT / "app" / "engines" / "data"
TABLES = [table(engine, one) for engine in ENGINES for one in releases(engine)]


def vllm(text: str) -> Table:
    return table("vllm", release(text))


@pytest.mark.parametrize("one", TABLES, ids=lambda one: f"{one.engine}-{one.release}")
def test_every_entry_can_be_read(one: Table) -> None:
    flags = list(one)

    assert len(flags) == len(one) > 100
    for flag in flags:
        assert (flag.type is Type.NONE) == (flag.kind in (Kind.SWITCH, Kind.TOGGLE))
        assert all(one.find(name) == flag for name in (flag.name, *flag.aliases, *flag.off))


def test_every_file_is_the_table_that_its_name_says() -> None:
    for path in DATA.iterdir():
        found = json.loads(path.read_bytes())
        assert path.name == f"{found['engine']}-{found['release']}.json"


def test_a_flag_is_found_by_all_its_names() -> None:
    flag = vllm("0.33.0").find("disable-prefix-caching")

    assert flag is not None
    assert (flag.name, flag.kind) == ("enable-prefix-caching", Kind.TOGGLE)
    assert vllm("0.33.0").find("no-enable-prefix-caching") is flag
    assert vllm("0.16.0").find("disable-prefix-caching") is None


@pytest.mark.parametrize(
    ("flag", "first", "last"),
    [
        ("task", "0.8.5", "0.11.2"),
        ("swap-space", "0.8.5", "0.16.0"),
        ("kv-events-config", "0.9.2", "0.33.0"),
        ("headless", "0.10.2", "0.33.0"),
        ("nnodes", "0.11.2", "0.33.0"),
    ],
)
def test_flags_come_and_go(flag: str, first: str, last: str) -> None:
    having = [str(one.release) for one in TABLES if one.engine == "vllm" and flag in one]

    assert (having[0], having[-1]) == (first, last)


@pytest.mark.parametrize("name", sorted(GONE["vllm"]))
def test_the_history_agrees_with_the_tables(name: str) -> None:
    gone = GONE["vllm"][name]
    for one in TABLES:
        if one.engine == "vllm" and gone.in_release(one.release):
            assert name not in one
    older = [one for one in TABLES if one.engine == "vllm" and one.release < gone.since]
    assert any(name in one for one in older)


@pytest.mark.parametrize("name", sorted(CAME["vllm"]))
def test_the_history_of_what_came_agrees_with_the_tables(name: str) -> None:
    for one in TABLES:
        if one.engine == "vllm":
            assert (name in one) == (one.release >= CAME["vllm"][name])


@pytest.mark.parametrize("name", sorted(GONE["vllm"]))
def test_what_to_use_instead_exists_where_the_flag_is_gone(name: str) -> None:
    gone = GONE["vllm"][name]
    after = next(one for one in TABLES if one.engine == "vllm" and one.release >= gone.since)
    for word in gone.instead.replace(":", " ").split():
        if "-" in word or word in ("runner", "convert"):
            assert word.partition(".")[0] in after


@pytest.mark.slow
def test_a_wheel_has_the_tables(tmp_path: Path) -> None:
    copy_project(tmp_path)
    build = "import setuptools.build_meta as b; b.build_wheel('.')"

    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {Path(name).name for name in wheel.namelist() if "engines/data/" in name}
    assert packed == {path.name for path in DATA.iterdir()}


def test_the_page_names_all_releases() -> None:
    page = (ROOT / "docs" / "engines.md").read_text()
    rows = re.findall(r"^\| (vLLM|SGLang) \| (\S+) \| [\d-]{10} \| (\d+) \|$", page, re.MULTILINE)

    assert rows == [(LABELS[one.engine], str(one.release), str(len(one))) for one in TABLES]


def test_the_page_names_all_that_is_gone() -> None:
    page = (ROOT / "docs" / "engines.md").read_text()
    rows = dict(re.findall(r"^\| (\d\S+) \|(.*)\|$", page, re.MULTILINE))

    for name, gone in GONE["vllm"].items():
        assert f"`{name}`" in rows[str(gone.since)]


def test_the_page_names_what_came() -> None:
    page = (ROOT / "docs" / "engines.md").read_text()
    rows = dict(re.findall(r"^\| (\d\S+) \|(.*)\|$", page, re.MULTILINE))

    for name, since in CAME["vllm"].items():
        assert f"`{name}`" in rows[str(since)]
