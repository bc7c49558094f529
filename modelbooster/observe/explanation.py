"""Why something is not as wanted, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """A cause and its remedy.

    Args:
        why: what is wrong, without a capital letter and a full stop.
        todo: what to do, in the imperative; ``""`` if there is nothing to do.
    """

    why: str
    todo: str = ""
