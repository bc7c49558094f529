"""The fault table names tests that exist, and forgets no row."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults.table import OPEN, ROWS, Row, lines

ROOT = Path(__file__).parents[2]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_tests_of_a_row_exist(row: Row) -> None:
    missing = [
        test for test in row.tests if test.split("::")[1] not in functions(test.split("::")[0])
    ]
    assert missing == []


def test_no_row_is_forgotten() -> None:
    named = [row.name for row in ROWS] + list(OPEN)
    assert sorted(named) == [f"F{number:02}" for number in (*range(1, 48), *range(60, 78))]


def test_a_row_fails_with_any_of_its_tests() -> None:
    row = next(row for row in ROWS if len(row.tests) == 2)
    first, second = (SimpleNamespace(nodeid=f"{test}[case]") for test in row.tests)

    def verdict(**reports: list[object]) -> str:
        return next(line for line in lines(reports) if line.startswith(row.name)).split()[1]

    assert verdict(passed=[first, second]) == "passed"
    assert verdict(passed=[first], failed=[second]) == "FAILED"
    assert verdict(passed=[first]) == "in"
    assert lines({}) == []
