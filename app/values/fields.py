"""Where a fault stands in an object, and how it is said: in the API server's own words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.values.text import shortened
from app.values.value import value


@value
class Path:
    """Names a field: ``spec.backends[0].workers[1].image``."""

    text: str = ""

    def __hash__(self) -> int:
        return hash(self.text)

    def child(self, *names: str) -> Path:
        """Returns the path of a field below this one."""
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
    """The API server's words for kinds of fault (``causes[].reason``)."""

    INVALID = "FieldValueInvalid"
    REQUIRED = "FieldValueRequired"
    FORBIDDEN = "FieldValueForbidden"
    DUPLICATE = "FieldValueDuplicate"
    NOT_SUPPORTED = "FieldValueNotSupported"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault: where, of which kind, and the sentence about it without the path."""

    path: Path
    cause: Cause
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def shown(value: Any) -> str:
    """Returns a value as the API server prints it: strings quoted, the rest as JSON.

    Long values are cut at 200 characters: a refusal must fit on a screen. Of values that are
    nested beyond measure nothing is printed.
    """
    if isinstance(value, str):
        value = value[:200]  # with its quotes that is cut below; all of it may be megabytes
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return "..."
    return shortened(text, 200)


def invalid(path: Path, value: Any, detail: str) -> FieldError:
    """The value is of the right type and still cannot be used."""
    return FieldError(path, Cause.INVALID, f"Invalid value: {shown(value)}: {detail}")


def required(path: Path, detail: str = "") -> FieldError:
    """The field must be set."""
    return FieldError(
        path, Cause.REQUIRED, f"Required value: {detail}" if detail else "Required value"
    )


def forbidden(path: Path, detail: str) -> FieldError:
    """The field must not be set."""
    return FieldError(path, Cause.FORBIDDEN, f"Forbidden: {detail}")


def duplicate(path: Path, value: Any, detail: str = "") -> FieldError:
    """The value is taken already."""
    text = f"Duplicate value: {shown(value)}"
    return FieldError(path, Cause.DUPLICATE, f"{text}: {detail}" if detail else text)


def not_supported(path: Path, value: Any, supported: list[str]) -> FieldError:
    """The value is not one of those that exist."""
    names = ", ".join(shown(name) for name in supported)
    return FieldError(
        path, Cause.NOT_SUPPORTED, f"Unsupported value: {shown(value)}: supported values: {names}"
    )


def too_long(path: Path, limit: int) -> FieldError:
    """The string has more than ``limit`` bytes."""
    return FieldError(path, Cause.TOO_LONG, f"Too long: may not be more than {limit} bytes")


def too_many(path: Path, count: int, limit: int, of: str = "items") -> FieldError:
    """The list has more than ``limit`` items, or more of something else."""
    return FieldError(path, Cause.TOO_MANY, f"Too many: {count}: must have at most {limit} {of}")


class SpecError(ValueError):
    """A spec from which something cannot be worked out; the fault says where and why."""

    def __init__(self, fault: FieldError) -> None:
        super().__init__(str(fault))
        self.fault = fault
