"""The engine's arguments, as the user's ``config`` gives them.

A key becomes a flag with dashes, so ``max_model_len`` and ``max-model-len`` are the same one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from app.model.forms import WorkerForm, cached_fact
from app.values.fields import Path, SpecError, duplicate, invalid


class Argument(NamedTuple):
    """One entry of a worker's ``config``; ``text`` is what the engine gets."""

    worker: WorkerForm
    key: str
    text: str

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self.worker.path.child("config", self.key)

    @property
    def value(self) -> Any:
        """What the user wrote."""
        return self.worker.config[self.key]


class Arguments:
    """A worker's arguments by name (``max-model-len``), sorted as the user wrote them.

    Only a few are ever asked for by name, so each is looked at when it is.

    Args:
        worker: whose they are.
        keys: as what each name stands in ``config``, in order.
        texts: what the engine gets, in the same order.
    """

    __slots__ = ("_keys", "_texts", "_worker")

    def __init__(self, worker: WorkerForm, keys: dict[str, str], texts: list[str]) -> None:
        self._worker = worker
        self._keys = keys
        self._texts = texts

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def get(self, name: str) -> Argument | None:
        """Returns the argument of a name, or None."""
        key = self._keys.get(name)
        if key is None:
            return None
        return Argument(self._worker, key, argument_text(self._worker.config[key]))

    def words(self) -> list[str]:
        """Returns every flag, each with its value unless that is empty.

        ``trust-remote-code: ""`` is a switch.
        """
        flags = [f"--{name}" for name in self._keys]
        if not all(self._texts):
            pairs = zip(flags, self._texts, strict=True)
            return [word for pair in pairs for word in pair if word]
        words = flags + flags
        words[::2], words[1::2] = flags, self._texts
        return words


@cached_fact
def arguments(worker: WorkerForm) -> Arguments:
    """Returns a worker's arguments.

    Raises:
        SpecError: one stands there in both spellings, or holds what no program can get.
    """
    config = worker.config
    keys = sorted(config)
    try:
        texts = [
            value if type(value := config[key]) is str else argument_text(value) for key in keys
        ]
    except RecursionError:
        raise _first_fault(worker) from None
    words = "".join(keys)
    names = [key.replace("_", "-") for key in keys] if "_" in words else keys
    by_name = dict(zip(names, keys, strict=True))
    if len(by_name) < len(keys) or "\0" in words or "\0" in "".join(texts):
        raise _first_fault(worker)
    return Arguments(worker, by_name, texts)


def _first_fault(worker: WorkerForm) -> SpecError:
    """Returns what is wrong with the first argument that cannot be used."""
    found: dict[str, Path] = {}
    for key in sorted(worker.config):
        path = worker.path.child("config", key)
        name, value = key.replace("_", "-"), worker.config[key]
        if name in found:
            return SpecError(duplicate(path, key, f"it means the same as {found[name]}"))
        try:
            text = argument_text(value)
        except RecursionError:
            return SpecError(invalid(path, key, "is nested too deeply"))
        if "\0" in key or "\0" in text:
            return SpecError(invalid(path, value, "must not hold the character NUL"))
        found[name] = path
    # The bottom was out of reach by a level or two, from where it was first looked for.
    return SpecError(invalid(worker.path.child("config"), "...", "is nested too deeply"))


def argument_text(value: Any) -> str:
    """Returns a value of ``config`` as one argument.

    Numbers are written in full, lists and objects as compact JSON with sorted keys, because that
    is how the API server keeps them.
    """
    kind = type(value)
    if kind is str or kind is int:
        return str(value)
    if kind is float:
        return _decimal(value)
    return json.dumps(_numbers(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _decimal(value: float) -> str:
    """Returns a number in full and without ``.0``: the API server drops that."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
