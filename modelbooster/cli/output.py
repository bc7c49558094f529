"""Output of commands: formats, tables that fit the terminal, ages, colours and bars.

Everything here is computed from a ``Screen``, so a test can ask for any screen. A table that does
not go to a terminal is never cut, because scripts read it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

import click

FORMATS = ("table", "wide", "yaml", "json", "name")

GAP = 3
"""Blanks between two columns, as in kubectl."""

_STEPS = (("end", 20), ("middle", 12), ("end", 6))
"""How columns become narrower: which ones, and the width that each keeps. Sentences go first."""

_MIN_NAME = 12
"""Width below which the kind in front of a name is cut too."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_COLORS = {"good": "32", "busy": "33", "bad": "31", "quiet": "2", "strong": "1"}
_UNICODE = {"ellipsis": "…", "full": "█", "empty": "░"}
_ASCII = {"ellipsis": "~", "full": "#", "empty": "-"}

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of the output.",
)


@dataclass(frozen=True, slots=True)
class Screen:
    """What the output goes to.

    Args:
        width: columns of the terminal; None if it is no terminal, so that nothing is cut.
        color: whether colours may be used.
        unicode: whether it can show characters beyond ASCII.
    """

    width: int | None = None
    color: bool = False
    unicode: bool = True

    def style(self, text: str, kind: str) -> str:
        """Returns the text in the colour of a kind: good, busy, bad, quiet or strong."""
        if not self.color or kind not in _COLORS:
            return text
        return f"\x1b[{_COLORS[kind]}m{text}\x1b[0m"

    def symbol(self, name: str) -> str:
        """Returns a symbol that the screen can show: ellipsis, full, empty."""
        return (_UNICODE if self.unicode else _ASCII)[name]


def screen_of(stream: TextIO | None = None) -> Screen:
    """Returns the screen behind a stream; behind stdout by default.

    Colours need a terminal, and are off if ``NO_COLOR`` is set (https://no-color.org) or ``TERM``
    is ``dumb``.
    """
    stream = sys.stdout if stream is None else stream
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    is_unicode = encoding.replace("-", "") in {"utf8", "utf16", "utf32"}
    if not stream.isatty():
        return Screen(None, False, is_unicode)
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Screen(shutil.get_terminal_size().columns, not plain, is_unicode)


def age(seconds: float) -> str:
    """Returns an age as kubectl prints it: ``45s``, ``5m30s``, ``3h12m``, ``2d``.

    Source: ``duration.HumanDuration`` of k8s.io/apimachinery, which keeps two or three digits.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    minutes, hours, days = whole // _MINUTE, whole // _HOUR, whole // _DAY
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        title: the header.
        cut: how a long cell may be cut on a narrow terminal: ``"middle"`` for names, which stay
            different, ``"end"`` for sentences, ``""`` never.
    """

    title: str
    cut: str = ""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Screen, *, header: bool = True
) -> str:
    """Returns a table in the layout of kubectl, one line a row.

    Cells are padded to the widest cell of their column plus three blanks, the last column is not
    padded. On a terminal, columns that may be cut become narrower until the table fits.

    Args:
        columns: the columns.
        rows: the cells of each row.
        screen: what it goes to.
        header: whether to print the titles.
    """
    lines = [[column.title for column in columns]] if header else []
    cells = [[*row] for row in rows]
    widths = [
        max([len(row[at]) for row in (*lines, *cells)], default=0) for at in range(len(columns))
    ]
    if screen.width is not None:
        _fit(columns, cells, widths, screen)
    text = ""
    for row in (*lines, *cells):
        padded = [
            cell.ljust(width + GAP) for cell, width in zip(row[:-1], widths[:-1], strict=True)
        ]
        text += ("".join(padded) + row[-1]).rstrip() + "\n"
    return text


def _fit(
    columns: Sequence[Column], cells: list[list[str]], widths: list[int], screen: Screen
) -> None:
    """Makes columns narrower until the rows fit, the widest first."""
    for way, least in _STEPS:
        for at in sorted(range(len(columns)), key=lambda at: -widths[at]):
            excess = sum(widths) + GAP * (len(widths) - 1) - (screen.width or 0)
            if excess <= 0:
                return
            if columns[at].cut != way:
                continue
            most = max(widths[at] - excess, len(columns[at].title), least)
            texts = [row[at] for row in cells]
            if way == "middle":
                short = shorten_names(texts, most, screen)
            else:
                short = [shorten_end(text, most, screen) for text in texts]
            for row, text in zip(cells, short, strict=True):
                row[at] = text
            widths[at] = max([len(columns[at].title), *map(len, short)])


def shorten_end(text: str, width: int, screen: Screen) -> str:
    """Returns a text of at most ``width`` characters; an ellipsis replaces the end."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + screen.symbol("ellipsis")


def shorten_names(names: Sequence[str], width: int, screen: Screen) -> list[str]:
    """Returns names of about ``width`` characters; different names stay different.

    An ellipsis replaces the middle of a long name, or the part that many names have in common. If
    the names differ in the part that would be left out, the result is wider.
    """
    for most in range(width, max(map(len, names), default=0) + 1):
        for head in _heads(names, most):
            short = [_without_middle(name, most, head, screen) for name in names]
            if len(set(short)) == len(set(names)):
                return short
    return list(names)


def _heads(names: Sequence[str], most: int) -> Iterable[int]:
    """Yields how many characters to keep of the beginning, the usual way first."""
    usual = (most - 1) * 2 // 5
    yield usual
    yield from (head for head in range(1, most - 1) if head != usual)


def _without_middle(name: str, most: int, head: int, screen: Screen) -> str:
    if len(name) <= most:
        return name
    kind = name.find("/") + 1
    if most - kind > _MIN_NAME:
        head = max(head, kind)  # the kind stays whole, as in ModelServing/NAME
    tail = most - 1 - head
    return name[:head] + screen.symbol("ellipsis") + name[len(name) - tail :]


def bar(done: float, width: int, screen: Screen) -> str:
    """Returns a progress bar.

    Args:
        done: the finished part, 0 to 1.
        width: characters of the bar.
        screen: what it goes to.
    """
    full = min(max(int(done * width), 0), width)
    return screen.symbol("full") * full + screen.symbol("empty") * (width - full)
