"""Whether the real parser of a release reads what we write as the value that was meant."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from app.engines.engine import Engine
from app.engines.release import release
from app.engines.table import Flag, Kind, Type, table
from app.engines.words import command_line
from tests.engine_values import meant, values_of

VALUES_OF_EACH = 10
CHECKED_BEYOND_JSON = frozenset({Type.OBJECT, Type.LITERAL})
"""Types of which the engine checks the keys as well; values made up by us are no configuration."""


def read_back(name: str, python: Path, folder: Path) -> tuple[int, list[str]]:
    """Asks the parser of a release about values of all its flags.

    Args:
        name: engine and release, as ``vllm-0.16.0``; there is a table of it.
        python: the interpreter of the environment that has the release.
        folder: where the command lines are written.

    Returns:
        How many values were tried, and what was read differently, one line each.
    """
    engine, _, number = name.partition("-")
    rules = table(engine, release(number))
    # A file is read at once, and ours do not exist.
    flags = [flag for flag in rules if flag.type not in CHECKED_BEYOND_JSON]
    flags = [flag for flag in flags if flag.name != "config"]
    cases = [(flag, value) for flag in flags for value in _values(flag)]
    lines = [
        command_line(Engine(engine, rules.release, rules), {flag.name: value}, owned={}).words
        for flag, value in cases
    ]
    asked = folder / "cases.json"
    asked.write_text(
        json.dumps([(case[0].name, line) for case, line in zip(cases, lines, strict=True)])
    )
    probe = Path(__file__).parent / "probe.py"
    done = subprocess.run(
        [python, probe, engine, asked], cwd=folder, stdout=subprocess.PIPE, check=True
    )
    read = json.loads(done.stdout)
    differences = [
        f"{flag.name}: {value!r} as {line} is read as {got}"
        for (flag, value), line, got in zip(cases, lines, read, strict=True)
        if not _agrees(flag, meant(flag, value), got)
    ]
    return len(cases), differences


def _values(flag: Flag) -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=VALUES_OF_EACH,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(values_of(flag))
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def _agrees(flag: Flag, want: Any, got: dict[str, Any]) -> bool:
    if "refused" in got:
        return False
    if want is None and flag.kind is not Kind.VALUE:
        return bool(got["value"] == got["default"])
    if isinstance(want, int | float) and isinstance(got["value"], int | float):
        return math.isclose(got["value"], want, rel_tol=1e-12)
    return bool(got["value"] == want)
