"""Text for people."""

from __future__ import annotations


def shortened(text: str, most: int) -> str:
    """Returns at most ``most`` characters of a text; ``...`` replaces the end of a longer one."""
    return text if len(text) <= most else text[: most - 3] + "..."
