"""The picture of the Grafana dashboard can be drawn; ``python -m tests.picture`` measures anew."""

from __future__ import annotations

import math
import re

import pytest

from tests.dashboard import ROWS, queries
from tests.picture.plot import Line, Results, nice, page, stretches, told

WAVE = [(float(at), 1 + math.sin(at / 9)) for at in range(0, 150, 2)]


def results() -> Results:
    return {
        (row, panel.title): [Line(f"<{legend}>", WAVE) for _, legend in panel.queries]
        for row, panels in ROWS.items()
        for panel in panels
    }


def test_every_panel_and_every_query_is_drawn() -> None:
    text = page(results(), 150, "from & to")
    for panels in ROWS.values():
        for panel in panels:
            assert f"<figcaption>{panel.title}</figcaption>" in text
    numbers = sum(panel.width == 4 for panels in ROWS.values() for panel in panels)
    assert text.count('<div class="number">') == numbers
    assert text.count("<polyline ") == len([*queries()]) - numbers
    assert "No data" not in text
    assert "from &amp; to" in text
    assert "<{{" not in text


def test_lines_stay_within_their_panel() -> None:
    boxes = [*re.finditer(r'viewBox="0 0 (\d+) (\d+)".*?</svg>', page(results(), 150, ""))]
    assert boxes
    for box in boxes:
        width, height = map(float, box.groups())
        for points in re.findall(r'<polyline points="([^"]+)"', box[0]):
            for x, y in (map(float, point.split(",")) for point in points.split()):
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_a_panel_without_data_says_so() -> None:
    count = sum(map(len, ROWS.values()))
    assert page({}, 150, "").count("No data") == count


def test_a_value_that_is_no_number_ends_a_line() -> None:
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, 3.0), (3.0, 4.0)]
    assert stretches(points) == [[(0, 1)], [(2, 3), (3, 4)]]


@pytest.mark.parametrize(
    ("value", "end"), [(0, 1), (0.7, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (0.03, 0.05)]
)
def test_an_axis_ends_at_a_round_value(value: float, end: float) -> None:
    assert nice(value) == pytest.approx(end)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.0, "short", "3"),
        (0.25, "ops", "0.25/s"),
        (0.0042, "s", "4.2 ms"),
        (7776000, "s", "90 d"),
        (61 * 2**20, "bytes", "61 MiB"),
        (0.5, "percentunit", "50 %"),
        (math.nan, "s", "No data"),
    ],
)
def test_values_have_their_unit(value: float, unit: str, text: str) -> None:
    assert told(value, unit) == text
