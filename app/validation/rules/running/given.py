"""Reads a worker's ``config`` for warnings, whatever is wrong with it."""

from __future__ import annotations

from app.model.arguments import Argument, arguments
from app.model.forms import WorkerForm


def given(worker: WorkerForm, name: str) -> Argument | None:
    """Returns an argument of a worker; None if it is absent or ``config`` cannot be read.

    Another rule reports why it cannot be read. A stored object may have such an old fault.
    """
    if not worker.config:
        return None
    try:
        found = arguments(worker)
        return found.get(name) if name in found else None
    except ValueError:  # SpecError, or a number that is too large to print
        return None


def value_of(worker: WorkerForm, *names: str) -> Argument | None:
    """Returns the first of some arguments that has a value; ``null`` and ``""`` are none."""
    for name in names:
        found = given(worker, name)
        if found is not None and found.value not in (None, ""):
            return found
    return None


def switch_of(worker: WorkerForm, name: str) -> tuple[Argument, bool] | None:
    """Returns a switch and whether it is on; None if it is left out, or is no switch here.

    ``""`` and ``true`` turn it on, also as text.
    """
    found = given(worker, name)
    if found is None:
        return None
    value = found.value.lower() if isinstance(found.value, str) else found.value
    if value in ("", "true", True):
        return found, True
    return (found, False) if value in ("false", False) else None


def whole(worker: WorkerForm, *names: str) -> int | None:
    """Returns the first of some arguments that is a whole number, as text or as number."""
    found = value_of(worker, *names)
    text = found.text if found else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
