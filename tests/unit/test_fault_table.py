"""Every fault has a test, and every marker names a fault."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.faults.table import FAULTS, lines, marked, results, verdict


@pytest.mark.parametrize("name", FAULTS)
def test_fault_has_a_test(name: str) -> None:
    assert marked().get(name)


def test_markers_name_faults_of_the_table() -> None:
    assert set(marked()) <= set(FAULTS)


def test_no_fault_is_missing() -> None:
    assert list(FAULTS) == [
        f"F{number:02}" for number in (*range(1, 48), *range(50, 57), *range(60, 78))
    ]


def test_verdict_depends_on_all_tests_of_a_fault() -> None:
    name = next(name for name in FAULTS if len(marked()[name]) == 2)
    first, second = (SimpleNamespace(nodeid=f"{test}[case]") for test in marked()[name])

    def of(**reports: list[object]) -> str:
        outcomes = results(reports)
        table = lines(outcomes, every=True)
        assert len(table) == len(FAULTS)
        told = verdict(name, outcomes)
        assert next(line for line in table if line.startswith(name)).startswith(f"{name}  {told}")
        return told

    assert of(passed=[first, second]) == "passed"
    assert of(passed=[first], failed=[second]) == "FAILED"
    assert of(passed=[first, second], error=[second]) == "FAILED"
    assert of(passed=[first], skipped=[second]) == "FAILED"
    assert of(passed=[first]) == "in part"
    assert of() == "not run"
    assert lines({}, every=False) == []
