"""Texts that nodes and programs wrote, made fit for a status."""

from __future__ import annotations

MAX_DETAIL_LENGTH = 240
"""Longest detail in characters, and twice the longest name: authors of pods may write anything."""


def clean(text: str) -> str:
    """Returns a short single line of printable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shorten(line.rstrip(" .;"), MAX_DETAIL_LENGTH)


def shorten(text: str, max_length: int) -> str:
    """Cuts the middle out of a long text: errors are mostly at its end."""
    if len(text) <= max_length:
        return text
    head = (max_length - 5) // 3
    return f"{text[:head]} ... {text[len(text) - (max_length - 5 - head) :]}"
