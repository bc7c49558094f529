"""The index of the catalogue: the content of its files, read once, and only when it is needed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "index.json"
"""The index, made by ``make generate``."""


@cache
def index() -> dict[str, dict[str, Any]]:
    """Returns the entry of each model by its name."""
    return json.loads(PATH.read_bytes())  # type: ignore[no-any-return]


@cache
def _names() -> dict[str, str]:
    return {entry["repository"].lower(): name for name, entry in index().items()}


def model_name(repository: str) -> str | None:
    """Returns the name of the model of a repository of Hugging Face, whatever its case.

    None if the catalogue does not know it; that costs one look into a dict.
    """
    return _names().get(repository.lower())


def is_gated(repository: str) -> bool | None:
    """Returns whether a repository of Hugging Face needs a token; None if it is not known."""
    name = model_name(repository)
    return None if name is None else bool(index()[name]["gated"])
