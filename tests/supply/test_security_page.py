"""``SECURITY.md`` names a test for every item, and each of these tests exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def defined_in(file: Path) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def items() -> dict[str, str]:
    """Returns the text of each item, by its number."""
    parts = re.split(r"(?m)^### (S\d+): .+$|^## .+$", PAGE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name}


def test_every_item_names_a_test() -> None:
    assert list(items()) == [f"S{number}" for number in range(1, 17)]
    assert [name for name, text in items().items() if not TEST.search(text)] == []


def test_every_threat_has_a_test() -> None:
    rows = re.findall(r"(?m)^\| (.+) \| (.+) \|$", items()["S15"])
    threats = {threat: answer for threat, answer in rows if threat != "threat"}
    assert len(threats) == 15
    assert [threat for threat, answer in threats.items() if not TEST.search(answer)] == []


def test_every_named_test_exists() -> None:
    named = TEST.findall(PAGE)
    # A name that the pattern does not read would not be checked.
    assert len(named) == PAGE.count("::test_")
    missing = [f"{file}::{name}" for file, name in named if name not in defined_in(ROOT / file)]
    assert missing == []
