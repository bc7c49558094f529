"""What was found in each document, with the place in its file, for the reports of CI systems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelbooster.offline.answers import Answer
from modelbooster.offline.documents import STDIN_NAME, Origin
from modelbooster.offline.input_error import InputError
from modelbooster.offline.reports.positions import Position, position_of

_FIELD = re.compile(r'(?:unknown field ")?((?:spec|metadata|status)(?:\.[A-Za-z]\w*|\[[^]]*\])*)\b')
"""The field that a warning begins with."""

INPUT_FAULT = "UnreadableInput"
"""Reason of input that is not YAML, or no Kubernetes object."""

WARNING = "Warning"
"""Reason of warnings."""


class Level(StrEnum):
    """Whether a finding refuses the document; the names are those of GitHub and SARIF."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault or a warning.

    Args:
        level: whether it refuses the document.
        reason: its kind, such as ``FieldValueInvalid``.
        message: the text, with the field in front.
        file: path from the root of the repository; ``""`` for standard input.
        position: line and column of the field, or of the next one above it that is written.
        subject: the object, such as ``ModelBooster "chat"``; ``""`` if the input cannot be read.
        field: path of the field; ``""`` if none is at fault.
    """

    level: Level
    reason: str
    message: str
    file: str
    position: Position
    subject: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """One document and what was found in it.

    Args:
        name: namespace, name and place of the object, for people.
        file: as in a finding.
        line: first line of the document.
        findings: faults first.
    """

    name: str
    file: str
    line: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the document."""
        return [found for found in self.findings if found.level is Level.ERROR]


def checked(answers: Iterable[Answer], root: Path) -> list[Checked]:
    """Returns the findings of each answer.

    Args:
        answers: the answers.
        root: the root of the repository; files below it are named from there.
    """
    return [_checked(answer, root) for answer in answers]


def unreadable(error: InputError, root: Path) -> Checked:
    """Returns input that cannot be read as a document with one finding."""
    file = "" if error.file == STDIN_NAME else file_name(error.file, root)
    position = Position(error.line, error.column)
    found = Finding(Level.ERROR, INPUT_FAULT, error.why, file, position)
    return Checked(error.file, file, error.line, (found,))


def repository_root() -> Path:
    """Returns the folder that paths in reports start from.

    GitHub and GitLab say where the repository is; elsewhere it is the current folder.
    """
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        if folder := os.environ.get(name):
            return Path(folder)
    return Path.cwd()


def file_name(file: str, root: Path) -> str:
    """Returns a file's path from the root, with ``/``; as given if it is elsewhere."""
    if not file:
        return ""
    path = Path(os.path.abspath(file))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _checked(answer: Answer, root: Path) -> Checked:
    origin, subject = answer.document.origin, str(answer.document)
    file = file_name(origin.file, root)
    found = [
        Finding(
            Level.ERROR, str(fault.cause), str(fault), file,
            position_of(origin, str(fault.path)), subject, str(fault.path),
        )
        for fault in answer.faults
    ]  # fmt: skip
    found += [_warning(text, file, origin, subject) for text in answer.warnings]
    name = f"{answer.key.namespace}/{answer.key.name} ({answer.document.source})"
    return Checked(name, file, origin.line, tuple(found))


def _warning(text: str, file: str, origin: Origin, subject: str) -> Finding:
    match = _FIELD.match(text)
    field = match[1] if match else ""
    position = position_of(origin, field)
    return Finding(Level.WARNING, WARNING, text, file, position, subject, field)
