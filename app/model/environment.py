"""The environment variables of a backend."""

from __future__ import annotations

from app.model.forms import BackendForm, cached_fact
from app.values.meta import Object


@cached_fact
def variables(backend: BackendForm) -> dict[str, Object]:
    """Returns the entries of ``env`` by name; no two have the same."""
    return {entry["name"]: entry for entry in backend.env}


@cached_fact
def unusual_variables(backend: BackendForm) -> list[tuple[int, Object]]:
    """Returns the entries of ``env`` that are more, or less, than a name and a value; by position.

    Of the others, which are nearly all, there is nothing to check or to convert.
    """
    return [
        (position, entry)
        for position, entry in enumerate(backend.env)
        if "valueFrom" in entry or "value" not in entry or not entry["value"]
    ]


def env_value(backend: BackendForm, name: str, default: str) -> str:
    """Returns what ``env`` says literally; ``""`` if the value comes from elsewhere."""
    entry = variables(backend).get(name)
    return default if entry is None else str(entry.get("value") or "")
