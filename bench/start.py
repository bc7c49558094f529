"""Measures how long short commands take, as whole processes: CPU time, minimum of several runs.

Prints ``--help`` and ``validate`` of one, 100 and 1,000 documents. 1,000 documents may cost at most
twice as much as 100 plus a start. With the checkout of another build, runs of both alternate, and
the ratios to that build are printed too. Ends with 1 if a limit is broken.

    python -m bench.start [--runs 15] [--base CHECKOUT]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from bench._conclusion import concluded
from tests.builders import backend, booster_object, lora, worker

ROOT = Path(__file__).parents[1]
HELP, EXAMPLES = "--help", "validate examples/"


def documents(count: int) -> str:
    """Returns ModelBoosters of two shapes, each with its own names."""
    found = []
    for number in range(count):
        one = backend("b", workers=[worker(config={"max-model-len": 8192})])
        if number % 2:
            one["loraAdapters"] = [lora(f"adapter-{number}")]
        found.append(booster_object(f"m{number}", one, name=f"owner/model-{number}"))
    return yaml.safe_dump_all(found, explicit_start=True, sort_keys=False)


def spent_ms(checkout: Path, arguments: str) -> float:
    """Returns the CPU time of one run of the program of a checkout, in milliseconds."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [str(checkout / ".venv/bin/python"), "-m", "modelbooster", *arguments.split()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> int:
    """Measures every command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--base", type=Path, help="checkout of another build, with its .venv")
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    checkouts = [ROOT, *([given.base] if given.base else [])]
    least: dict[tuple[Path, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        sizes = {count: f"validate {folder}/{count}.yaml" for count in (1, 100, 1000)}
        for count in sizes:
            Path(folder, f"{count}.yaml").write_text(documents(count))
        commands = [HELP, EXAMPLES, *sizes.values()]
        for _ in range(given.runs + 1):
            for key in ((checkout, command) for command in commands for checkout in checkouts):
                least[key] = min(spent_ms(*key), least.get(key, float("inf")))
    ours = {command: least[ROOT, command] for command in commands}
    print(f"{'':<24}{'ms':>8}{'of base':>10}")
    for command in commands:
        ratio = f"{ours[command] / least[given.base, command]:.2f}" if given.base else ""
        print(f"{command.replace(folder + '/', ''):<24}{ours[command]:>8.1f}{ratio:>10}")
    faults = []
    one, hundred, thousand = (ours[command] for command in sizes.values())
    if thousand > 2 * hundred + one:
        faults.append(f"1,000 documents take {thousand:.0f} ms, 100 {hundred:.0f}, one {one:.0f}")
    return concluded({c: ours[c] for c in commands}, faults, given.json)


if __name__ == "__main__":
    sys.exit(main())
