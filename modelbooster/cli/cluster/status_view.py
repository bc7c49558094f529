"""Draws how ModelBoosters are doing: why one does not serve, then its tree."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

from modelbooster.cli.output import Column, Screen, age, bar, table
from modelbooster.observe.overview import Overview, Standing
from modelbooster.observe.tree import Row, rows_of
from modelbooster.observe.verdict import State

BAR_WIDTH = 12
"""Characters of a bar."""

_WIDE_TEXT = 100
"""Width of sentences that do not go to a terminal are not limited; on one, at most this much."""

_COLUMNS = (
    Column("OBJECT", "middle"),
    Column("READY"),
    Column("STATUS"),
    Column("AGE"),
    Column("DETAILS", "end"),
)
_TONES = {State.ACTIVE: "good", State.FAILED: "bad", State.DELETING: "quiet"}


def overview_text(
    overview: Overview, screen: Screen, *, with_namespace: bool, wide: bool, one: bool
) -> str:
    """Returns the whole output of ``status``.

    A ModelBooster that serves has one line, unless it is the only one or everything is asked for.

    Args:
        overview: what was read.
        screen: what it goes to.
        with_namespace: whether names have their namespace in front.
        wide: whether to show the tree and all pods of every ModelBooster.
        one: whether one ModelBooster was asked for by name.
    """
    blocks = []
    for standing in overview.standings:
        lines = headline(standing, screen, with_namespace=with_namespace)
        if one or wide or standing.verdict.state is not State.ACTIVE:
            rows = rows_of(
                standing.family,
                standing.reports,
                standing.verdict,
                overview.now,
                pods=one or wide,
            )
            lines += tree_text(rows, overview.now, screen).splitlines()
        blocks.append(lines)
    text = ""
    for at, lines in enumerate(blocks):
        # A blank line around each block that has more than a headline.
        if at and (len(lines) > 1 or len(blocks[at - 1]) > 1):
            text += "\n"
        text += "".join(line + "\n" for line in lines)
    return text


def headline(standing: Standing, screen: Screen, *, with_namespace: bool) -> list[str]:
    """Returns whether a ModelBooster serves, why it does not and what to do, as lines."""
    verdict = standing.verdict
    name = str(standing.key) if with_namespace else standing.key.name
    state = screen.style(str(verdict.state), _TONES.get(verdict.state, "busy"))
    since = "" if verdict.seconds is None else f" for {age(verdict.seconds)}"
    reason = f" ({verdict.reason})" if verdict.reason else ""
    left = 10_000 if screen.width is None else screen.width
    if len(f"{name} is {verdict.state}{since}{reason}") > left:
        reason = ""  # the tree has it too
    gap = "\n  " if len(f"{name} is {verdict.state}{since}{reason}") > left else " "
    lines = f"{screen.style(name, 'strong')}{gap}is {state}{since}{reason}".split("\n")
    for found in verdict.explanations:
        lines += _wrapped("why: ", found.why, screen)
        if found.todo:
            lines += _wrapped("do:  ", found.todo, screen)
    return lines


def _wrapped(begin: str, text: str, screen: Screen) -> list[str]:
    begin, text = f"  {begin}", " ".join(text.split())
    if screen.width is None:
        return [begin + text]
    width = max(min(screen.width, _WIDE_TEXT), 40)
    return textwrap.wrap(
        text,
        width,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_on_hyphens=False,
        break_long_words=False,
    )


def tree_text(rows: Sequence[Row], now: datetime, screen: Screen) -> str:
    """Returns a tree as a table."""
    cells = [
        [
            _branch(row, screen) + row.label,
            row.ready,
            row.status,
            "" if row.seconds is None else age(row.seconds),
            _detail(row, screen),
        ]
        for row in rows
    ]
    text = table(_COLUMNS, cells, screen)
    if not screen.color:
        return text
    lines = text.splitlines()
    colored = [_colored(line, row, screen) for line, row in zip(lines[1:], rows, strict=True)]
    return "".join(line + "\n" for line in (lines[0], *colored))


def _colored(line: str, row: Row, screen: Screen) -> str:
    """Colours the status of a row; colours come after the layout, which counts characters."""
    if not row.status:
        return line
    at = line.rfind(f" {row.status}") if row.done is not None else line.find(f"   {row.status}")
    if at < 0:
        return line
    begin = line.index(row.status, at)
    end = begin + len(row.status)
    return line[:begin] + screen.style(row.status, row.tone) + line[end:]


def _branch(row: Row, screen: Screen) -> str:
    if not row.lasts:
        return ""
    above = "".join("  " if last else _line(screen, "│ ", "| ") for last in row.lasts[:-1])
    return above + (_line(screen, "└─", "`-") if row.lasts[-1] else _line(screen, "├─", "|-"))


def _line(screen: Screen, unicode: str, plain: str) -> str:
    return unicode if screen.unicode else plain


def _detail(row: Row, screen: Screen) -> str:
    if row.done is None:
        return row.detail
    return f"{bar(row.done, BAR_WIDTH, screen)} {row.detail}"
