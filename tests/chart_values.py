"""The table of the chart's values, made from the comments in values.yaml.

``python -m tests.chart_values`` writes it into the pages that have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.chart import CHART

README = CHART / "README.md"
PAGES = (README, CHART.parents[1] / "docs" / "install.md")
BEGIN, END = "<!-- values: begin -->\n", "<!-- values: end -->"
_KEY = re.compile(r"^( *)([\w.-]+):(?: (.*))?$")


class Value(NamedTuple):
    """One value, or an object of values that is explained as a whole.

    Args:
        path: ``webhook.resources`` for instance.
        default: as YAML; ``""`` where it takes several lines.
        meaning: what the comment above it says, ``""`` if there is none.
    """

    path: str
    default: str
    meaning: str


def values() -> Iterator[Value]:
    """Yields the paths in values.yaml, except those below a path that is explained as a whole."""
    above: list[tuple[int, str]] = []
    comment: list[str] = []
    explained: int | None = None
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            said = line.strip().removeprefix("#").strip()
            comment = [said.removeprefix("-- ")] if said.startswith("-- ") else [*comment, said]
            continue
        match = _KEY.match(line)
        if match is None:
            continue
        depth, key, default = len(match[1]), match[2], match[3] or ""
        above = [(d, k) for d, k in above if d < depth] + [(depth, key)]
        if explained is not None and depth > explained:
            continue
        explained = depth if comment else None
        if comment or default:
            yield Value(".".join(k for _, k in above), default, " ".join(comment))
        comment = []


def table() -> str:
    """Returns the table, in Markdown."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        default = f"`{value.default}`" if value.default else "see values.yaml"
        rows.append(f"| `{value.path}` | {default} | {value.meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def with_table(readme: str) -> str:
    """Returns a page with the table as it should be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_table(page.read_text()))
