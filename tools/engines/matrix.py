"""Runs the command lines of golden cases, reported cases and examples through real parsers.

``make engine-matrix`` runs it. It installs one engine release after the other from PyPI, lets its
own parser read every command line that the release gets, and compares each value with what the
ModelBooster says. The result is a row of the matrix in docs/engines.md for each release.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.engines.names import LABELS
from app.engines.release import release
from app.engines.table import releases
from tools.engines.environment import Failed, make
from tools.engines.lines import Line, command_lines

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
BEGIN, END = "<!-- matrix: make engine-matrix -->\n", "<!-- end of matrix -->\n"
HEAD = (
    "| engine | release | run on | command lines | by image | accepted | values | read back "
    "| exceptions |\n|---|---|---|---|---|---|---|---|---|\n"
)
_ROW = re.compile(r"^\| (\w+) \| (\S+) \|.*\n", re.MULTILINE)


def main() -> None:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(prog="python -m tools.engines.matrix", description=__doc__)
    parser.add_argument("releases", nargs="*", help="as vllm-0.16.0; every table's if left out")
    parser.add_argument("--python", default="python3.12", help="an interpreter that they support")
    parser.add_argument("--folder", type=Path, default=Path("build/engines"))
    parser.add_argument("--keep", action="store_true", help="keep what was installed")
    given = parser.parse_args()
    known = [f"{name}-{one}" for name in LABELS for one in releases(name)]
    failed = False
    for name in given.releases or known:
        try:
            failed |= not _run(name, given.python, given.folder.absolute(), keep=given.keep)
        except Failed as exc:
            sys.exit(f"Error: {exc}")
    if failed:
        sys.exit("Error: an engine refuses a command line or reads another value; see above")


def _run(name: str, python: str, folder: Path, *, keep: bool) -> bool:
    """Writes the row of one release; returns whether there is no exception."""
    engine, _, text = name.partition("-")
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    inside = make(python, engine, text, own)
    lines = list(command_lines(engine, text))
    read = _read(engine, inside, own, lines)
    wrong = [list(differences(line, got)) for line, got in zip(lines, read, strict=True)]
    accepted = sum("refused" not in got for got in read)
    # The model is a value of each.
    values = sum(len(line.want) + 1 for line in lines)
    same = values - sum(map(len, wrong))
    day = datetime.now(UTC).date().isoformat()
    by_image = sum(line.by_image for line in lines)
    total = values - same
    row = (
        f"| {LABELS[engine]} | {text} | {day} | {len(lines)} | {by_image} | {accepted} "
        f"| {values} | {same} | {total or 'none'} |\n"
    )
    print(row, end="")
    for line, found in zip(lines, wrong, strict=True):
        for one in found:
            print(f"  {line.source}: {one}")
    PAGE.write_text(with_row(PAGE.read_text(), row))
    if not keep:
        shutil.rmtree(own)
    return not total


def _read(engine: str, inside: Path, folder: Path, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Returns what the parser of each command line's program reads."""
    probe = Path(__file__).parent / "probe.py"
    found: list[dict[str, Any]] = [{}] * len(lines)
    for program in ("serve", "server"):
        positions = [
            at
            for at, line in enumerate(lines)
            if (line.words[1] == "serve") == (program == "serve")
        ]
        if not positions:
            continue
        # ``python3 -m MODULE`` and ``vllm`` are no arguments; ``serve`` is one.
        begin = 1 if program == "serve" else 3
        asked = folder / f"{program}.json"
        asked.write_text(
            json.dumps([(lines[at].words[begin:], list(lines[at].want)) for at in positions])
        )
        command = [str(word) for word in (inside, probe, engine, asked, program)]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise Failed(f"the parser of {folder.name} cannot be asked")
        for at, got in zip(positions, json.loads(done.stdout), strict=True):
            found[at] = got
    return found


def differences(line: Line, got: dict[str, Any]) -> Iterator[str]:
    """Yields what a parser read differently, one text for each value that is not as wanted."""
    position = 2 if line.words[1] == "serve" else 4
    want = {**line.want, "model": line.words[position]}
    if "refused" in got:
        yield from [f"refused: {got['refused']}"] * len(want)
        return
    for flag, value in want.items():
        read = got.get(flag)
        if flag == "lora-paths":
            read = _adapters(read)
        if not _holds(read, value):
            yield f"{flag}: {value!r} is read as {read!r}"


def _adapters(read: Any) -> list[Any]:
    """Returns SGLang's adapters with their names: a list of ``name=path``, or paths by name."""
    texts = list(read) if isinstance(read, dict) else read or []
    return [{"name": one.partition("=")[0]} if isinstance(one, str) else one for one in texts]


def _holds(got: Any, want: Any) -> bool:
    """Whether a value that was read is the wanted one; an object may hold more."""
    if isinstance(want, dict) and isinstance(got, dict):
        return all(
            # vLLM reads "kv_port": "20001" as the number that it wants there.
            key in got and (_holds(got[key], value) or str(got[key]) == value)
            for key, value in want.items()
        )
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(_holds, got, want))
    if isinstance(want, int | float) and isinstance(got, int | float):
        return math.isclose(got, want, rel_tol=1e-12)
    return bool(got == want)


def with_row(page: str, row: str) -> str:
    """Returns the page with a row added to its matrix, or replaced there."""
    before, _, rest = page.partition(BEGIN)
    inside, _, after = rest.partition(END)
    rows = {match.group(1, 2): match[0] for match in _ROW.finditer(inside) if match[1] != "engine"}
    for match in _ROW.finditer(row):
        rows[match.group(1, 2)] = match[0]
    order = sorted(rows, key=lambda key: (key[0] != "vLLM", release(key[1])))
    return before + BEGIN + HEAD + "".join(rows[key] for key in order) + END + after


if __name__ == "__main__":
    main()
