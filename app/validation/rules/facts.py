"""Turns a fact into a rule.

A fact is a function that conversion calls as well, and that raises SpecError if the spec has a
fault. A rule that calls it cannot disagree with conversion, or word the fault differently.
"""

from __future__ import annotations

from collections.abc import Callable

from app.values.fields import FieldError, SpecError


def fault_of(fact: Callable[..., object], *args: object) -> FieldError | None:
    """Returns the fault that a fact raises for these arguments; None if it raises none."""
    try:
        fact(*args)
    except SpecError as exc:
        return exc.fault
    return None
