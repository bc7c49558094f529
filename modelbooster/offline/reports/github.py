"""Annotations of GitHub Actions: the workflow commands ``::error`` and ``::warning``."""

from __future__ import annotations

from collections.abc import Iterable

from modelbooster.offline.reports.findings import Checked, Finding

_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_TEXT, ":": "%3A", ",": "%2C"}


def github(documents: Iterable[Checked]) -> str:
    """Returns one workflow command for each finding; GitHub shows it beside the line.

    GitHub reads each line of the output, so every text is escaped: no object can give a command.
    """
    return "".join(_command(found) for document in documents for found in document.findings)


def _command(found: Finding) -> str:
    place = {"line": found.position.line, "col": found.position.column} if found.file else {}
    properties = {
        **({"file": found.file} if found.file else {}),
        **place,
        "title": found.subject or "model-booster validate",
    }
    written = ",".join(f"{key}={_escaped(str(v), _PROPERTY)}" for key, v in properties.items())
    return f"::{found.level} {written}::{_escaped(found.message, _TEXT)}\n"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)
