"""The environment variables of a backend."""

from __future__ import annotations

from operator import itemgetter

from app.model.forms import BackendForm, cached_fact
from app.values.meta import Object


@cached_fact
def variables(backend: BackendForm) -> dict[str, Object]:
    """Returns the entries of ``env`` by name; names are unique."""
    return {entry["name"]: entry for entry in backend.env}


_VALUE = itemgetter("value")


def literal_values(backend: BackendForm) -> list[str]:
    """Returns the values of ``env``; ``""`` for a variable that has none."""
    if unusual_variables(backend):
        return [entry.get("value") or "" for entry in backend.env]
    return list(map(_VALUE, backend.env))


@cached_fact
def unusual_variables(backend: BackendForm) -> list[tuple[int, Object]]:
    """Returns the entries of ``env`` that do not consist of a name and a non-empty value.

    The other entries need no checks and no conversion. Each entry comes with its index in ``env``.
    """
    return [
        (position, entry)
        for position, entry in enumerate(backend.env)
        if "valueFrom" in entry or "value" not in entry or not entry["value"]
    ]


def env_value(backend: BackendForm, name: str, default: str) -> str:
    """Returns the literal value of a variable in ``env``.

    It is ``default`` if the variable is absent, and ``""`` if it uses ``valueFrom``.
    """
    entry = variables(backend).get(name)
    return default if entry is None else str(entry.get("value") or "")
