"""The engine's arguments, as the user's ``config`` gives them.

A key becomes a flag with dashes, so ``max_model_len`` and ``max-model-len`` are the same one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.apis.canonical import WorkerForm, once
from app.apis.fields import Path, SpecError, duplicate, invalid


@dataclass(frozen=True, slots=True)
class Argument:
    """One entry of ``config``; ``path`` is where it stands and ``text`` what the engine gets."""

    path: Path
    flag: str
    value: Any
    text: str

    @property
    def words(self) -> list[str]:
        """The flag and, unless it is empty, its value: ``trust-remote-code: ""`` is a switch."""
        return [self.flag, self.text] if self.text else [self.flag]


@once
def arguments(worker: WorkerForm) -> dict[str, Argument]:
    """Returns a worker's arguments by name (``max-model-len``), sorted as the user wrote them.

    Raises:
        SpecError: one stands there in both spellings, or holds what no program can get.
    """
    found: dict[str, Argument] = {}
    for key in sorted(worker.config):
        path = worker.path.child("config", key)
        name, value = key.replace("_", "-"), worker.config[key]
        if name in found:
            raise SpecError(duplicate(path, key, f"it means the same as {found[name].path}"))
        try:
            text = argument_text(value)
        except RecursionError:
            raise SpecError(invalid(path, key, "is nested too deeply")) from None
        if "\0" in key or "\0" in text:
            raise SpecError(invalid(path, value, "must not hold the character NUL"))
        found[name] = Argument(path, f"--{name}", value, text)
    return found


def argument_text(value: Any) -> str:
    """Returns a value of ``config`` as one argument.

    Numbers are written in full, lists and objects as compact JSON with sorted keys, because that
    is how the API server keeps them.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(_number(value))
    return json.dumps(_numbers(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _number(value: float) -> Any:
    """Returns a number that prints in full and without ``.0``: the API server drops that."""
    if isinstance(value, int):
        return value
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
