"""The engine's arguments, from a worker's ``config``.

A key becomes a flag with dashes, so ``max_model_len`` and ``max-model-len`` are the same argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from app.engines.text import argument_text
from app.model.forms import WorkerForm, cached_fact
from app.values.fields import Path, SpecError, duplicate, invalid


class Argument(NamedTuple):
    """One entry of a worker's ``config``.

    Args:
        worker: the worker.
        key: the key in ``config``, as the user wrote it.
        text: the value that the engine gets.
    """

    worker: WorkerForm
    key: str
    text: str

    @property
    def path(self) -> Path:
        """The path of the entry."""
        return self.worker.path.child("config", self.key)

    @property
    def value(self) -> Any:
        """The value in ``config``."""
        return self.worker.config[self.key]


class Arguments:
    """A worker's arguments by name (``max-model-len``), sorted by their keys in ``config``.

    Args:
        worker: the worker.
        keys: the key in ``config`` of each name.
        texts: the values that the engine gets, in the same order.
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

    @property
    def values(self) -> list[str]:
        """The values that the engine gets, sorted by their keys in ``config``."""
        return self._texts

    def get(self, name: str) -> Argument | None:
        """Returns the argument with this name, or None."""
        key = self._keys.get(name)
        if key is None:
            return None
        return Argument(self._worker, key, argument_text(self._worker.config[key]))

    def words(self) -> list[str]:
        """Returns the command line: every flag, followed by its value if that is not empty.

        ``trust-remote-code: ""`` is a switch without a value.
        """
        pairs = zip(self._keys, self._texts, strict=True)
        return [word for name, text in pairs for word in (f"--{name}", text) if word]


@cached_fact
def arguments(worker: WorkerForm) -> Arguments:
    """Returns a worker's arguments.

    Raises:
        SpecError: an argument appears in both spellings, or its value cannot be passed on.
    """
    config = worker.config
    keys = sorted(config)
    try:
        values = [config[key] for key in keys]
        texts = [value if type(value) is str else argument_text(value) for value in values]
    except RecursionError:
        raise _first_fault(worker) from None
    words = "".join(keys)
    names = [key.replace("_", "-") for key in keys] if "_" in words else keys
    by_name = dict(zip(names, keys, strict=True))
    if len(by_name) < len(keys) or "\0" in words or "\0" in "".join(texts):
        raise _first_fault(worker)
    return Arguments(worker, by_name, texts)


def _first_fault(worker: WorkerForm) -> SpecError:
    """Returns the fault of the first argument that cannot be used."""
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
    # The first attempt ran deeper in the call stack and hit the recursion limit earlier.
    return SpecError(invalid(worker.path.child("config"), "...", "is nested too deeply"))
