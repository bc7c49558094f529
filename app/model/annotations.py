"""The annotations of a ModelBooster that conversion reads.

They hold one value for all backends (``0.16.0``), or a value for each of several backends
(``stable=0.16.0,canary=0.33.0``). A value without a name is for the backends that are not named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from app.apis.kinds import WORKLOAD
from app.engines.release import Release, read_release
from app.values.fields import FieldError, Path, invalid
from app.values.value import hashable_value

ENGINE_RELEASE = f"{WORKLOAD}/engine-release"
"""Annotation: the release of the engine in an image, where its reference does not tell it."""

_Value = TypeVar("_Value")


@hashable_value
class BackendAnnotation(Generic[_Value]):
    """An annotation that holds a value per backend.

    Args:
        name: its name.
        read: reads one value; returns None if the text is not valid.
        form: how to write a value, for the message of a fault.
    """

    name: str
    read: Callable[[str], _Value | None]
    form: str

    def values(self, annotations: Mapping[str, str]) -> dict[str, _Value]:
        """Returns the valid values by name of the backend; ``""`` for those that are not named."""
        text = annotations.get(self.name)
        if not text:
            return {}
        found: dict[str, _Value] = {}
        for backend, part in _parts(text):
            value = self.read(part)
            if value is not None:
                found.setdefault(backend, value)
        return found

    def fault(self, annotations: Mapping[str, str], backends: list[str]) -> FieldError | None:
        """Returns what is wrong with the annotation; None if it is absent or valid.

        Args:
            annotations: the annotations of a ModelBooster.
            backends: the names of its backends.
        """
        text = annotations.get(self.name)
        if text is None:
            return None
        seen = set()
        detail = ""
        for backend, part in _parts(text):
            if self.read(part) is None:
                detail = f'"{part}" is not valid; write {self.form}'
            elif backend in seen:
                of = f'backend "{backend}"' if backend else "all backends"
                detail = f"has two values for {of}"
            elif backend and backend not in backends:
                detail = f'there is no backend "{backend}"; there are: {", ".join(backends)}'
            if detail:
                return invalid(Path("metadata.annotations").key(self.name), text, detail)
            seen.add(backend)
        return None


def _parts(text: str) -> list[tuple[str, str]]:
    """Returns the parts of an annotation: name of the backend, or ``""``, and its value."""
    found = []
    for part in text.split(","):
        backend, _, value = part.strip().rpartition("=")
        found.append((backend.strip(), value.strip()))
    return found


RELEASES: BackendAnnotation[Release] = BackendAnnotation(
    ENGINE_RELEASE,
    read_release,
    "a release such as 0.16.0, or one for each backend: stable=0.16.0,canary=0.33.0",
)

MAX_STARTUP_SECONDS = 7 * 24 * 3600
"""More is a mistake: no model loads for a week."""


def _read_seconds(text: str) -> int | None:
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return seconds if 1 <= seconds <= MAX_STARTUP_SECONDS else None


STARTUP_SECONDS: BackendAnnotation[int] = BackendAnnotation(
    f"{WORKLOAD}/startup-seconds",
    _read_seconds,
    f"seconds from 1 to {MAX_STARTUP_SECONDS} such as 14400, or some for each backend: "
    "big=14400,small=600",
)
"""Annotation: how long an engine may load its model before Kubernetes restarts it."""

BACKEND_ANNOTATIONS: tuple[BackendAnnotation[Any], ...] = (RELEASES, STARTUP_SECONDS)
"""All annotations that change what conversion makes."""
