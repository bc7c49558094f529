"""Runs every benchmark of this folder, one after the other: ``make bench``.

Ends with 1 if one of them ends with anything but 0, because a limit is broken or it cannot run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Runs them; returns the exit code."""
    failed = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        print(f"== bench.{path.stem}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{path.stem}"], check=False).returncode:
            failed.append(path.stem)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
