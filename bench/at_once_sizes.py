"""Measures how the cost of one ModelBooster grows with the number that are created at once.

Both processes of this checkout work as in ``bench.at_once``. Each size gets new processes. Small
sizes come before and after the large one, as many of them as asked for, because the speed of a
machine changes within the minutes that this takes. The slope of S8 is that of the logarithms of the
CPU time of all ModelBoosters, from create to Active: 1 means in proportion.

    python -m bench.at_once_sizes [--sizes 250 10000] [--times 4] [--json FILE]

Ends with 1 if the controller's slope is above 1.03.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
from pathlib import Path

from bench._conclusion import Limit, concluded
from bench.at_once import HERE, Run, Side, measure, shown
from bench.reconcile import slope

MOST = 1.03


def in_turn(small: int, large: int, times: int) -> list[int]:
    """Returns the sizes in the order in which they are measured."""
    return [*[small] * times, large, *[small] * times]


async def measured(sizes: list[int]) -> list[Run]:
    """Returns the figures of each run."""
    found = []
    for size in sizes:
        [[run]] = await measure([Side(f"{size}", HERE)], 1, size)
        found.append(run)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs=2, default=[250, 10_000])
    parser.add_argument("--times", type=int, default=4, help="the small one, before and after")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    small, large = chosen.sizes
    sizes = in_turn(small, large, chosen.times)
    runs = asyncio.run(measured(sizes))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    rows = []
    for size in chosen.sizes:
        each = [run for at, run in zip(sizes, runs, strict=True) if at == size]
        of = {what: [run[what] for run in each] for what in ("S1", "S4")}
        rows.append({"size": size, **{k: statistics.median(v) for k, v in of.items()}})
        print(f"{size:6}  controller {shown(of['S1'])} ms each, webhook {shown(of['S4'])}")
    print(f"slope of the webhook {slope(rows, 'S4'):.3f}")
    limit = Limit("S8 slope of the controller, create to Active", slope(rows, "S1"), MOST)
    print(limit)
    faults = [str(limit)] if limit.is_broken else []
    return concluded({"sizes": sizes, "runs": runs}, faults, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
