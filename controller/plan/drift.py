"""Drift: how a live object differs from the desired one.

Only desired fields count. Defaults of the API server and fields that others added are no drift,
with one exception: an additional label in a selector would stop the traffic.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Drift(IntEnum):
    """How a live object differs from the desired one."""

    NONE = 0
    FIELDS = 1
    """A desired field is missing or has another value."""
    SELECTOR = 2
    """A selector has an additional label, which an apply does not remove."""


def drift_of(desired: Any, live: Any, field: str = "") -> Drift:
    """Returns how a live value differs from the desired one.

    Maps are compared by the desired keys, lists item by item and by length.

    Args:
        desired: the JSON value that we apply.
        live: the JSON value in the live object; None if it has none.
        field: the field's name.
    """
    if desired == live and isinstance(desired, bool) == isinstance(live, bool):
        return Drift.NONE  # the usual case; compares a whole pod template at once
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return Drift.FIELDS
        drift = Drift.NONE
        for key, value in desired.items():
            present = live.get(key)
            # Most values are texts that do not differ: they are not worth a call.
            if type(value) is not str or value != present:
                drift = max(drift, drift_of(value, present, key))
        return Drift.SELECTOR if field == "matchLabels" and live.keys() - desired.keys() else drift
    if isinstance(desired, list):
        if not isinstance(live, list) or len(live) != len(desired):
            return Drift.FIELDS
        drift = max(map(drift_of, desired, live), default=Drift.NONE)
        return min(drift, Drift.FIELDS)  # lists are atomic: an apply replaces the whole list
    return Drift.FIELDS
