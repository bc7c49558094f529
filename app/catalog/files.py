"""Reads the files of the catalogue, and makes the index of them that the program reads.

The index holds the same content as JSON: parsing 60 files of YAML takes a second, and the webhook
must not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.catalog.schema import ModelFacts
from app.errors import OperatorError

FOLDER = Path(__file__).parent / "models"
"""The files, a folder for each vendor."""

INDEX = Path(__file__).parent / "index.json"
"""The index, made by ``make generate``."""


class CatalogError(OperatorError):
    """A file of the catalogue is wrong; the text names the file, each field and what is wrong."""


def read_model(path: Path) -> ModelFacts:
    """Returns what one file says.

    Raises:
        CatalogError: the file is no YAML, breaks the schema, or does not have the model's name.
    """
    try:
        content: Any = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as exc:
        raise CatalogError(f"{path}: {exc}") from None
    try:
        # As JSON, because lists are tuples there even in strict mode.
        model = ModelFacts.model_validate_json(json.dumps(content, default=str))
    except ValidationError as exc:
        raise CatalogError("\n".join(_faults(path, exc))) from None
    place = f"{path.parent.name}/{path.stem}"
    if model.name != place:
        raise CatalogError(f'{path}: name: "{model.name}" must be "{place}", as folder and file')
    return model


def _faults(path: Path, exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False):
        field = ".".join(map(str, error["loc"])) or "file"
        given = error["input"]
        value = f" (is {given!r})" if isinstance(given, str | int | float) else ""
        yield f"{path}: {field}: {error['msg'].removeprefix('Value error, ')}{value}"


def read_models(folder: Path = FOLDER) -> list[ModelFacts]:
    """Returns what all files say, in byte order of vendor and model.

    Raises:
        CatalogError: a file is wrong; the text names all faults of all files.
    """
    found, faults = [], []
    for path in sorted(folder.glob("*/*.yaml")):
        try:
            found.append(read_model(path))
        except CatalogError as exc:
            faults.append(str(exc))
    if faults:
        raise CatalogError("\n".join(faults))
    return sorted(found, key=lambda model: model.name.encode())


def index_of(models: list[ModelFacts]) -> str:
    """Returns the index: one line for each model, so that a diff shows which one changed."""
    lines = [
        f"{json.dumps(m.name)}: "
        + json.dumps(m.model_dump(mode="json", exclude_defaults=True, by_alias=True))
        for m in models
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Writes the index."""
    INDEX.write_text(index_of(read_models()))


if __name__ == "__main__":
    main()
