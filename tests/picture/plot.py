"""Draws the panels of the dashboard as a page with SVG: numbers, and lines over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import NamedTuple

from tests.dashboard import COLUMNS, ROWS, Panel

COLUMN_PX = 54
UNIT_PX = 26
"""Width of a column and height of a unit of the grid, in pixels."""

COLOURS = ("#3274d9", "#e0752d", "#56a64b", "#a352cc", "#e02f44", "#8f8f00", "#37872d", "#705da0")
MOST_LINES = 8
MEBIBYTE = 2**20

PAGE = Template("""<!doctype html><meta charset="utf-8"><title>ModelBooster</title><style>
body{margin:0;padding:12px;background:#f4f5f5;color:#24292e;font:12px sans-serif;width:${width}px}
h1{font-size:16px;margin:0 4px 2px} h2{font-size:13px;margin:10px 4px 4px}
main{display:grid;grid-template-columns:repeat($columns,1fr);gap:6px}
figure{margin:0;padding:6px 8px;background:#fff;border:1px solid #dcdfe3;border-radius:2px}
figcaption{font-weight:600;white-space:nowrap;overflow:hidden} p{margin:2px 4px 0}
.number{font-size:30px;text-align:center;padding-top:4px;color:#37872d}
svg{display:block;width:100%} text{font-size:9px;fill:#5a6068} .grid{stroke:#e7e9eb}
ul{margin:0;padding:0;list-style:none;font-size:10px;line-height:13px;overflow:hidden}
li{display:inline-block;margin-right:8px;white-space:nowrap}
i{display:inline-block;width:9px;height:3px;margin-right:3px;vertical-align:middle}
</style><h1>ModelBooster</h1><p>$subtitle</p>$rows""")


class Line(NamedTuple):
    """What a query returned for one set of labels.

    Args:
        legend: its name in the panel.
        points: time in seconds since the first point of the picture, and value.
    """

    legend: str
    points: Sequence[tuple[float, float]]


Results = Mapping[tuple[str, str], Sequence[Line]]
"""The lines of each panel, by the titles of its row and itself."""


def page(results: Results, seconds: float, subtitle: str) -> str:
    """Returns the dashboard as a page.

    Args:
        results: what the queries returned.
        seconds: length of the time axis.
        subtitle: where the data come from.
    """
    rows = []
    for row, panels in ROWS.items():
        figures = "".join(_figure(p, results.get((row, p.title), ()), seconds) for p in panels)
        rows.append(f"<h2>{escape(row)}</h2><main>{figures}</main>")
    width = COLUMNS * COLUMN_PX
    return PAGE.substitute(
        width=width, columns=COLUMNS, subtitle=escape(subtitle), rows="".join(rows)
    )


def _figure(panel: Panel, lines: Sequence[Line], seconds: float) -> str:
    if panel.width == 4:
        last = [line.points[-1][1] for line in lines if line.points]
        shown = told(last[0], panel.unit) if last else "No data"
        inner = f'<div class="number">{escape(shown)}</div>'
    else:
        inner = _chart(lines[:MOST_LINES], panel, seconds)
    units = 3 if panel.width == 4 else 5
    return (
        f'<figure style="grid-column:span {panel.width};height:{units * UNIT_PX}px">'
        f"<figcaption>{escape(panel.title)}</figcaption>{inner}</figure>"
    )


def _chart(lines: Sequence[Line], panel: Panel, seconds: float) -> str:
    width, height, left, bottom = panel.width * COLUMN_PX, 88, 46, 16
    values = [value for line in lines for _, value in line.points if math.isfinite(value)]
    scale = MEBIBYTE if panel.unit == "bytes" else 1
    top = nice(max(values, default=0) / scale) * scale

    def place(at: float, value: float) -> str:
        x = left + at / seconds * (width - left - 4)
        y = height - bottom - value / top * (height - bottom - 6)
        return f"{x:.1f},{y:.1f}"

    parts = []
    for part in range(3):
        value = top * part / 2
        x, y = place(0, value).split(",")
        parts.append(f'<line class="grid" x1="{x}" x2="{width}" y1="{y}" y2="{y}"/>')
        label = escape(told(value, panel.unit))
        parts.append(f'<text x="{left - 4}" y="{float(y) + 3}" text-anchor="end">{label}</text>')
    for minute in range(math.floor(seconds / 60) + 1):
        x, _ = place(minute * 60, 0).split(",")
        parts.append(f'<text x="{x}" y="{height - 2}" text-anchor="middle">{minute} min</text>')
    names = []
    for colour, line in zip(COLOURS, lines, strict=False):
        for stretch in stretches(line.points):
            points = " ".join(place(at, value) for at, value in stretch)
            drawn = f'fill="none" stroke="{colour}" stroke-width="1.5"'
            parts.append(f'<polyline points="{points}" {drawn}/>')
        names.append(f'<li><i style="background:{colour}"></i>{escape(line.legend)}</li>')
    nothing = "" if lines else f'<text x="{width / 2}" y="40" text-anchor="middle">No data</text>'
    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    return f"<svg {box}>{''.join(parts)}{nothing}</svg><ul>{''.join(names)}</ul>"


def stretches(points: Iterable[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Returns the points without those that are no number, which end a line."""
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if math.isfinite(value):
            found[-1].append((at, value))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def nice(value: float) -> float:
    """Returns the end of an axis for values up to this one: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * 1.0001)


def told(value: float, unit: str) -> str:
    """Returns a value with its unit of Grafana, as short as an axis needs."""
    if not math.isfinite(value):
        return "No data"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / MEBIBYTE:.3g} MiB"
    if unit == "s":
        if value >= 2 * 86400:
            return f"{value / 86400:.3g} d"
        return f"{value:.3g} s" if value >= 1 or not value else f"{value * 1000:.3g} ms"
    suffix = {"ops": "/s", "reqps": "/s"}.get(unit, "")
    return f"{value:.3g}{suffix}"
