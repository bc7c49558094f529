"""How far a live object is from what we want.

A child is sent again only when some field that we want does not stand in it. What the server
filled in and what others added do not count, with one exception: labels that a selector asks for
beyond ours would cut off the traffic.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Gap(IntEnum):
    """How far a live object is from what we want."""

    NONE = 0
    FIELDS = 1
    """A field is missing or differs."""
    LABELS = 2
    """A selector asks for a label too many, which an apply leaves in place."""


def gap(wanted: Any, live: Any, key: str = "") -> Gap:
    """Returns how far a live value is from the wanted one.

    Maps are compared by the keys we want, lists item by item and in length.

    Args:
        wanted: what we send.
        live: what stands there; None if nothing does.
        key: the field's name.
    """
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return Gap.NONE  # nearly always, and for a whole pod at once
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return Gap.FIELDS
        found = max((gap(value, live.get(k), k) for k, value in wanted.items()), default=Gap.NONE)
        return Gap.LABELS if key == "matchLabels" and live.keys() - wanted.keys() else found
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return Gap.FIELDS
        found = max(map(gap, wanted, live), default=Gap.NONE)
        return min(found, Gap.FIELDS)  # a list is one value: an apply replaces it whole
    return Gap.FIELDS
