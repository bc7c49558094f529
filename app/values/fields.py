"""Field paths and field errors, worded as the API server words them.

Source: apimachinery, ``pkg/util/validation/field``.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from app.values.text import shortened
from app.values.value import hashable_value, value


@value
class Path:
    """The path of a field: ``spec.backends[0].workers[1].image``."""

    text: str = ""

    def __hash__(self) -> int:
        return hash(self.text)

    def child(self, *names: str) -> Path:
        """Returns the path of a nested field."""
        return Path(".".join([self.text, *names] if self.text else names))

    def index(self, position: int) -> Path:
        """Returns the path of an item of this list, counted from 0."""
        return Path(f"{self.text}[{position}]")

    def key(self, name: str) -> Path:
        """Returns the path of an entry of this map."""
        return Path(f"{self.text}[{name}]")

    def __str__(self) -> str:
        return self.text


class Cause(StrEnum):
    """The API server's types of field errors (``causes[].reason``)."""

    INVALID = "FieldValueInvalid"
    REQUIRED = "FieldValueRequired"
    FORBIDDEN = "FieldValueForbidden"
    DUPLICATE = "FieldValueDuplicate"
    NOT_SUPPORTED = "FieldValueNotSupported"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"


@hashable_value
class FieldError:
    """One fault of a field: its path, its type, and a message without the path."""

    path: Path
    cause: Cause
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def shown(value: Any) -> str:
    """Returns a value as the API server prints it: strings quoted, other values as JSON.

    The result has at most 200 characters, so that messages fit on a screen. A value that is nested
    too deeply is printed as ``...``.
    """
    if isinstance(value, str):
        value = value[:200]  # avoids encoding megabytes; the result is shortened below
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return "..."
    return shortened(text, 200)


def invalid(path: Path, value: Any, detail: str) -> FieldError:
    """Returns the fault of a value that has the right type but is not valid."""
    return FieldError(path, Cause.INVALID, f"Invalid value: {shown(value)}: {detail}")


def required(path: Path, detail: str = "") -> FieldError:
    """Returns the fault of a missing field."""
    return FieldError(
        path, Cause.REQUIRED, f"Required value: {detail}" if detail else "Required value"
    )


def forbidden(path: Path, detail: str) -> FieldError:
    """Returns the fault of a field that must not be set."""
    return FieldError(path, Cause.FORBIDDEN, f"Forbidden: {detail}")


def duplicate(path: Path, value: Any, detail: str = "") -> FieldError:
    """Returns the fault of a value that must be unique and is not."""
    text = f"Duplicate value: {shown(value)}"
    return FieldError(path, Cause.DUPLICATE, f"{text}: {detail}" if detail else text)


def not_supported(path: Path, value: Any, supported: list[str]) -> FieldError:
    """Returns the fault of a value that is not in the list of supported values."""
    names = ", ".join(shown(name) for name in supported)
    return FieldError(
        path, Cause.NOT_SUPPORTED, f"Unsupported value: {shown(value)}: supported values: {names}"
    )


def too_long(path: Path, limit: int) -> FieldError:
    """Returns the fault of a string with more than ``limit`` bytes."""
    return FieldError(path, Cause.TOO_LONG, f"Too long: may not be more than {limit} bytes")


def too_many(path: Path, count: int, limit: int, of: str = "items") -> FieldError:
    """Returns the fault of a list with more than ``limit`` items.

    Args:
        path: the list.
        count: how many items it has.
        limit: how many it may have.
        of: the word for the items.
    """
    return FieldError(path, Cause.TOO_MANY, f"Too many: {count}: must have at most {limit} {of}")


class SpecError(ValueError):
    """A value cannot be derived from a spec.

    Args:
        fault: the field at fault and the reason.
    """

    def __init__(self, fault: FieldError) -> None:
        super().__init__(str(fault))
        self.fault = fault
