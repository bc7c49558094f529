"""The engine's arguments, from a worker's ``config``.

A key becomes a flag with dashes, so ``max_model_len`` and ``max-model-len`` are the same argument.
The table of the engine's release decides how a value is written (``app.engines.words``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.engines.fault import Fault
from app.engines.text import argument_text
from app.engines.words import command_line
from app.model.engine import engine
from app.model.forms import WorkerForm, cached_fact
from app.values.fields import Path, SpecError, duplicate, invalid


class Argument(NamedTuple):
    """One entry of a worker's ``config``.

    Args:
        worker_path: the path of the worker.
        key: the key in ``config``, as the user wrote it.
        value: the value in ``config``.
        text: the value as one word.
    """

    worker_path: Path
    key: str
    value: Any
    text: str

    @property
    def path(self) -> Path:
        """The path of the entry."""
        return self.worker_path.child("config", self.key)


class Arguments:
    """A worker's arguments by the first name of their flags (``max-model-len``).

    A worker keeps this as a fact. So this does not keep the worker: only a garbage collection would
    free the two, with all that the user wrote.

    Args:
        worker_path: the path of the worker.
        config: its ``config``.
        first_names: the first name of a flag by each of its other names.
        keys: the key in ``config`` of each flag; of a flag whose parts are set one by one, the
            first of them.
        words: the command line that the engine gets.
        faults: what is wrong with the entries, in the order of their keys.
    """

    __slots__ = ("_config", "_first_names", "_keys", "_worker_path", "faults", "words")

    def __init__(
        self,
        worker_path: Path,
        config: Mapping[str, Any],
        first_names: Mapping[str, str],
        keys: Mapping[str, str],
        words: list[str],
        faults: list[Fault],
    ) -> None:
        self._worker_path = worker_path
        self._config = config
        self._keys = keys
        self._first_names = first_names
        self.words = words
        self.faults = faults

    def __contains__(self, name: str) -> bool:
        """Whether ``config`` has an entry for a flag; ``null`` is one as well."""
        keys = self._keys
        return name in keys or (name in self._first_names and self._first_names[name] in keys)

    def has_any(self, first_names: frozenset[str]) -> bool:
        """Whether ``config`` has an entry for one of some flags, given by their first names."""
        return not first_names.isdisjoint(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def get(self, name: str) -> Argument | None:
        """Returns the argument with this name; None if there is none, or if it is ``null``."""
        key = self._keys.get(name) or self._key(name)
        if key is None or "." in key:
            return None
        value = self._config[key]
        return None if value is None else self._argument(key, value)

    def parts(self, name: str) -> dict[str, Argument]:
        """Returns the arguments that set parts of a flag's value, by the names of the parts.

        ``kv-transfer-config.kv_role`` sets the part ``kv_role`` of ``kv-transfer-config``.
        """
        if "." not in (self._key(name) or ""):
            return {}
        found = {}
        for key, value in self._config.items():
            flag, dot, part = key.partition(".")
            if dot and flag.replace("_", "-") == name and value is not None:
                found[part] = self._argument(key, value)
        return found

    def _argument(self, key: str, value: Any) -> Argument:
        return Argument(self._worker_path, key, value, argument_text(value))

    def _key(self, name: str) -> str | None:
        """Returns the key of a flag, whichever of its names is given: they differ by release."""
        keys = self._keys
        key = keys.get(name)
        if key is None and keys and name in self._first_names:
            return keys.get(self._first_names[name])
        return key


@cached_fact
def arguments(worker: WorkerForm) -> Arguments:
    """Returns a worker's arguments.

    Raises:
        SpecError: an argument appears in both spellings, or its value cannot be passed on.
    """
    config = worker.config
    try:
        of = engine(worker)
        words, keys, faults = command_line(of, config)
    except RecursionError:
        raise _first_fault(worker) from None
    text = "".join(config)
    if "_" in text and len({key.replace("_", "-") for key in config}) < len(config):
        raise _first_fault(worker)
    if "\0" in text or "\0" in "".join(words):
        raise _first_fault(worker)
    return Arguments(worker.path, config, of.table.first_names, keys, words, faults)


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
