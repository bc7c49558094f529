"""Injects random faults for a given time and reports a verdict: ``make soak``.

    python -m tests.soak [--minutes 30] [--seed N] [--report FILE] [--folder DIR]

The same seed gives the same faults and changes; their timing depends on the machine. Without a
folder, the logs are deleted if the soak passes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    """Runs one and shows the report; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--report", type=Path, help="where to write it as Markdown")
    parser.add_argument("--folder", type=Path, help="where logs go, and stay")
    chosen = parser.parse_args()
    seed = int(time.time()) % 10**6 if chosen.seed is None else chosen.seed
    folder = (chosen.folder or Path(tempfile.mkdtemp(prefix="soak."))) / f"seed-{seed}"
    print(f"soak of {chosen.minutes:g} min, seed {seed}; logs in {folder}", flush=True)
    report = soak(chosen.minutes, seed, folder)
    print("\n".join(report.lines()))
    if chosen.report:
        report.write(chosen.report)
    if report.faults:
        print(f"FAILED; logs in {folder}", file=sys.stderr)
    elif not chosen.folder:
        shutil.rmtree(folder.parent, ignore_errors=True)
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
