"""What is computed agrees with what engines logged, within the tolerance that the page states."""

from __future__ import annotations

from tools.catalog.figures import TOLERANCE, figures


def test_computed_memory_agrees_with_logs() -> None:
    found = list(figures())
    wrong = [f for f in found if abs(f.difference) > TOLERANCE[f.kind]]
    assert wrong == []
    assert len({figure.model for figure in found}) >= 8


def test_less_room_is_promised_than_engines_have() -> None:
    # Who relies on a profile must not run out of memory.
    assert [f for f in figures() if f.kind == "kv" and f.difference > 0.005] == []
