"""Reads a worker's ``config`` for warnings, whatever is wrong with it."""

from __future__ import annotations

from app.model.arguments import Argument, Arguments, arguments
from app.model.forms import WorkerForm, cached_fact
from app.validation.inputs import RuleInputs


def given(worker: WorkerForm, name: str) -> Argument | None:
    """Returns an argument of a worker; None if it is absent or ``config`` cannot be read.

    Another rule reports why it cannot be read. A stored object may have such an old fault.
    """
    config = _readable(worker)
    if config is None or name not in config:
        return None
    try:
        return config.get(name)
    except ValueError:  # a number that is too large to print
        return None


@cached_fact
def _readable(worker: WorkerForm) -> Arguments | None:
    """Returns the arguments of a worker; None if it has none, or if they cannot be read."""
    try:
        return arguments(worker) if worker.config else None
    except ValueError:  # SpecError, or a number that is too large to print
        return None


def served_arguments(inputs: RuleInputs) -> list[tuple[WorkerForm, Arguments]]:
    """Returns the served workers whose arguments can be read, each with them."""
    if len(inputs.arguments) == len(inputs.served_workers):
        return inputs.arguments
    workers = [worker for _, worker in inputs.served_workers]
    return [(worker, config) for worker in workers if (config := _readable(worker)) is not None]


def value_of(worker: WorkerForm, *names: str) -> Argument | None:
    """Returns the first of some arguments that has a value; ``null`` and ``""`` are none."""
    config = _readable(worker)
    if config is None:
        return None
    for name in names:
        found = given(worker, name) if name in config else None
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
    if found is None:
        return None
    text = found.text
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
