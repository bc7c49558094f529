"""Turns what conversion needs to know into rules.

A fact is a function that conversion calls too, and that raises SpecError if the spec does not allow
an answer. A rule that asks the fact cannot disagree with conversion, nor word its fault otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from app.values.fields import FieldError, SpecError


def fault_of(fact: Callable[..., object], *of: object) -> FieldError | None:
    """Returns the fault that a fact raises for these arguments; None if it raises none."""
    try:
        fact(*of)
    except SpecError as exc:
        return exc.fault
    return None
