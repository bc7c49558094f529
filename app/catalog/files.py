"""Reads the files of the catalogue, and makes the index of them that the program reads.

A file has the fields of ``ModelFacts`` in camelCase. Reading is strict: unknown fields, missing
fields and wrong types are errors. The index holds the same content as JSON: parsing 60 files of
YAML takes a second, and the webhook must not wait for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from app.catalog.checks import problems
from app.catalog.index import PATH
from app.catalog.schema import ModelFacts
from app.errors import OperatorError

FOLDER = Path(__file__).parent / "models"
"""The files, a folder for each vendor."""

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B)", re.ASCII)
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([MBT])", re.ASCII)
_POWERS = {"K": 1, "M": 2, "G": 3, "B": 3, "T": 4}
_AMOUNTS = frozenset({"bytes", "memory", "index_bytes"})
_COUNTS = frozenset({"parameters", "active_parameters"})


_READER = TypeAdapter(ModelFacts)


class CatalogError(OperatorError):
    """A file of the catalogue is wrong; the text names the file, each field and what is wrong."""


def read_model(path: Path) -> ModelFacts:
    """Returns what one file says.

    Raises:
        CatalogError: the file is no YAML, breaks the schema, or does not have the model's name.
    """
    try:
        content: Any = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as exc:
        raise CatalogError(f"{path}: {exc}") from None
    try:
        # As JSON, because lists are tuples there even in strict mode.
        model = _READER.validate_json(json.dumps(_fields(content), default=str))
    except ValidationError as exc:
        raise CatalogError("\n".join(_faults(path, exc))) from None
    found = problems(model)
    place = f"{path.parent.name}/{path.stem}"
    if model.name != place:
        found.append(f'name: "{model.name}" must be "{place}", as folder and file')
    if found:
        raise CatalogError("\n".join(f"{path}: {each}" for each in found))
    return model


def _fields(content: Any) -> Any:
    """Returns content with the names that the types have, and with amounts as numbers."""
    if isinstance(content, list):
        return [_fields(each) for each in content]
    if not isinstance(content, dict):
        return content
    found = {}
    for key, value in content.items():
        # A name with an underscore is none of ours; it stays, and is refused.
        name = to_snake(key) if isinstance(key, str) and "_" not in key else f"{key}!"
        if name == "arguments":
            found[name] = value
        elif name in _AMOUNTS:
            found[name] = _bytes(value)
        else:
            found[name] = _count(value) if name in _COUNTS else _fields(value)
    return found


def _bytes(value: Any) -> Any:
    """Returns the bytes that a text with a unit means; other values as they are."""
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    base = 1024 if "i" in match[2] else 1000
    return int(Decimal(match[1]) * base ** _POWERS[match[2][0]])


def _count(value: Any) -> Any:
    """Returns the number that a text as ``32.8B`` means; other values as they are."""
    match = _COUNT.fullmatch(value) if isinstance(value, str) else None
    return value if match is None else int(Decimal(match[1]) * 1000 ** _POWERS[match[2]])


def _faults(path: Path, exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False):
        parts = [str(part) for part in error["loc"]]
        field = ".".join(p.rstrip("!") if p.endswith("!") else to_camel(p) for p in parts) or "file"
        given = error["input"]
        value = f" (is {given!r})" if isinstance(given, str | int | float) else ""
        yield f"{path}: {field}: {error['msg']}{value}"


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
        + json.dumps(_READER.dump_python(m, mode="json", exclude_defaults=True))
        for m in models
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Writes the index."""
    PATH.write_text(index_of(read_models()))


if __name__ == "__main__":
    main()
