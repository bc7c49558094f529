"""Makes a table of an engine release out of its wheel on PyPI, or lists the releases without one.

``make engines RELEASE=vllm-0.16.0`` runs it. It installs the release with most of what it needs
(some gigabytes), asks its argument parser for every flag, and writes ``app/engines/data``. Then it
lets that parser read what we would write for values of every flag.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.engines.environment import Failed, make
from tools.engines.table import table_text

DATA = Path(__file__).parents[2] / "app" / "engines" / "data"
ENGINES = ("vllm", "sglang")
_FINAL = re.compile(r"\d+\.\d+\.\d+(\.post\d+)?")


def main() -> None:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(prog="python -m tools.engines", description=__doc__)
    parser.add_argument("release", nargs="?", help="engine and release, as vllm-0.16.0")
    parser.add_argument("--newest", action="store_true", help="print newest releases without table")
    parser.add_argument("--python", default="python3.12", help="an interpreter that it supports")
    parser.add_argument("--folder", type=Path, default=Path("build/engines"))
    parser.add_argument("--keep", action="store_true", help="keep what was installed")
    given = parser.parse_args()
    try:
        if given.newest:
            for engine in ENGINES:
                print(*_without_table(engine, given.python), sep="\n", end="")
        elif given.release:
            _make(given.release, given.python, given.folder.absolute(), keep=given.keep)
        else:
            parser.error("name a release, as vllm-0.16.0")
    except Failed as exc:
        sys.exit(f"Error: {exc}")


def _make(name: str, python: str, folder: Path, *, keep: bool) -> None:
    engine, _, release = name.partition("-")
    if engine not in ENGINES or not release:
        raise Failed(f'"{name}" is no release; write it as vllm-0.16.0')
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    inside = make(python, engine, release, own)
    probe = Path(__file__).parent / "probe.py"
    done = subprocess.run([inside, probe, engine], cwd=own, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"the parser of {name} cannot be asked")
    text = table_text(json.loads(done.stdout))
    path = DATA / f"{name}.json"
    before = path.read_text() if path.exists() else None
    path.write_text(text)
    change = "new" if before is None else "unchanged" if before == text else "changed"
    print(f"{path}: {text.count(chr(10)) - 2} flags, {change}")
    # Needs the packages of the development environment; listing releases does not.
    from tools.engines.readback import read_back

    tried, differences = read_back(name, inside, own)
    print(f"{tried} values written and read back by its parser, {len(differences)} differently")
    print(*differences, sep="\n", end="\n" if differences else "")
    if not keep:
        shutil.rmtree(own)
    if differences:
        raise Failed("the engine reads some values differently; see above")


def _without_table(engine: str, python: str) -> list[str]:
    """Returns the newest release of an engine on PyPI, if there is no table of it."""
    command = [python, "-m", "pip", "index", "versions", engine, "--disable-pip-version-check"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"PyPI does not say which releases of {engine} there are")
    match = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    final = [one for one in (match[1].split(", ") if match else ()) if _FINAL.fullmatch(one)]
    newest = f"{engine}-{final[0]}" if final else ""
    return [newest + "\n"] if newest and not (DATA / f"{newest}.json").exists() else []


if __name__ == "__main__":
    main()
