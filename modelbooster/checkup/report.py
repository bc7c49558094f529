"""Prints the results of the checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap

from app.values.meta import Object
from modelbooster.checkup.finding import Result, Status

Style = Callable[[str, str], str]
"""Returns a text in the colour of a kind: good, busy, bad or quiet."""

_COLORS = {
    Status.OK: "good",
    Status.WARNING: "busy",
    Status.FAILED: "bad",
    Status.SKIPPED: "quiet",
}
_GAP = "   "
_LEAST_WIDTH = 24


def report_text(results: Sequence[Result], width: int | None, style: Style) -> str:
    """Returns the results as a table, with the remedy below each that has one.

    Commands are never broken, so that they can be copied.

    Args:
        results: the results.
        width: columns of the terminal; None for no limit.
        style: colours a text.
    """
    statuses = max((len(result.finding.status) for result in results), default=0)
    names = max((len(result.check) for result in results), default=0)
    lines = []
    for result in results:
        finding = result.finding
        indent = statuses + names + 2 * len(_GAP)
        room = None if width is None else max(width - indent, _LEAST_WIDTH)
        first, *rest = _wrapped(finding.message, room)
        status = style(finding.status.value, _COLORS[finding.status])
        padding = " " * (statuses - len(finding.status))
        lines.append(f"{status}{padding}{_GAP}{result.check.ljust(names)}{_GAP}{first}")
        lines += [" " * indent + line for line in rest]
        lines += _remedy_lines(result, width)
    return "".join(f"{line.rstrip()}\n" for line in [*lines, "", _sum(results)])


def report_summary(results: Sequence[Result]) -> Object:
    """Returns the results as JSON, in a stable format for other tools."""
    counts = Counter(result.finding.status for result in results)
    return {
        "checks": [result.summary() for result in results],
        "counts": {status.value: counts[status] for status in Status},
    }


def _remedy_lines(result: Result, width: int | None) -> Iterator[str]:
    finding = result.finding
    indent = "      "
    for command in finding.remedy:
        yield f"{indent}$ {command}"
    if finding.note:
        yield from (indent + line for line in _wrapped(finding.note, width and width - 6))


def _wrapped(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    return wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _sum(results: Sequence[Result]) -> str:
    counts = Counter(result.finding.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
