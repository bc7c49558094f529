"""The tests that docs/scaling.md names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_named_tests_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/scaling.md").read_text()))
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = set(re.findall(r"^(?:async )?def (test_\w+)", "\n".join(texts), re.MULTILINE))
    assert len(named) > 15
    assert named <= there
