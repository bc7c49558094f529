"""Texts that several checks share."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 3
"""How many names a line lists."""


def listed(names: Iterable[str], most: int = MOST) -> str:
    """Returns the first names, and how many more there are."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    shown = ", ".join(unique[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown


def count(number: int, noun: str) -> str:
    """Returns a number and its noun: ``1 node``, ``3 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(text: str) -> str:
    """Returns a text without line breaks."""
    return " ".join(text.split())
