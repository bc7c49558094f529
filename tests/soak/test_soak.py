"""A short soak; it keeps ``make soak`` working."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.run import soak


@pytest.mark.slow
@pytest.mark.timeout(600)  # the longest recovery, see SETTLE_SECONDS
def test_half_a_minute_of_random_faults_is_survived(tmp_path: Path) -> None:
    report = soak(0.5, 20261122, tmp_path / "soak")
    assert report.faults == [], "\n".join(report.lines())
    assert sum(report.happened.values()) > 5
    assert report.boosters > 5
