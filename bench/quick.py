"""Guards what the large benchmarks have reached, in two minutes: ``make bench-quick``.

It needs no other build and holds on any machine: printed are counts, and ratios to the CPU time of
something that runs in the same minute and that a change of ours hardly touches. The limits are
generous; each is what a grave mistake would break, such as a third request for each child.

* S1: requests of the controller for each ModelBooster, from create to Active, and its CPU time as a
  share of what the API server and etcd need for the same ModelBoosters.
* S3: CPU time of the API server per creation, relative to kthena's definition.
* S9: CPU time of the webhook and of the controller until they are ready, relative to a Python
  process that imports the libraries that both need.

    python -m bench.quick [--json FILE]

Ends with 1 if a limit is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import at_once, creations
from bench._conclusion import Limit, concluded
from tests.controlplane import crds

FLEET = 60
CREATIONS, ROUNDS = 100, 3
STARTS = 3
LIBRARIES = "import cryptography.x509, httptools, orjson, prometheus_client, pydantic, uvloop"


def many_at_once() -> list[Limit]:
    """S1: what the controller asks and uses for each ModelBooster."""
    [[run]] = asyncio.run(at_once.measure([at_once.Side("this", at_once.HERE)], 1, FLEET))
    servers_ms = 1000 * run["servers"] * run["seconds"] * (os.cpu_count() or 1) / FLEET
    return [
        Limit("S1 writes of the controller per ModelBooster", run["writes"], 5.1),
        Limit("S1 reads of the controller", run["reads"], 0),
        Limit("S1 CPU of the controller, share of the servers'", run["S1"] / servers_ms, 0.3),
    ]


def definitions() -> list[Limit]:
    """S3: what our definition costs the API server."""
    both = {"ours": crds.model_booster(), "kthena": crds.kthena_booster("v0.1.0")}
    with creations.without_webhooks(both) as targets:
        rounds = asyncio.run(creations.alternating(targets, "small", ROUNDS, CREATIONS))
    column = creations.API_SERVER
    ratio = statistics.median(one["ours"][column] / one["kthena"][column] for one in rounds)
    return [Limit("S3 API server's CPU per creation, to kthena's definition", ratio, 1.6)]


def starts() -> list[Limit]:
    """S9: what a start costs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "starts.json")
        command = [sys.executable, "-m", "bench.ready", "--runs", str(STARTS), "--json", str(file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(file.read_text())["starts"]
    yardstick = min(import_seconds() for _ in range(STARTS))
    return [
        Limit(
            f"S9 CPU of {process} until ready, to an import of its libraries",
            min(cpu for _, cpu, _ in found[process][sys.prefix]) / yardstick,
            most,
        )
        for process, most in (("webhook --supervised", 6.0), ("controller", 5.0))
    ]


def import_seconds() -> float:
    """Returns the CPU seconds of a Python process that imports our libraries."""
    before = os.times()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    after = os.times()
    spent = after.children_user - before.children_user
    return spent + after.children_system - before.children_system


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    limits: list[Limit] = []
    for measured in (many_at_once, definitions, starts):
        began = time.monotonic()
        found = measured()
        print(*found, sep="\n", flush=True)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        limits += found
    faults = [str(limit) for limit in limits if limit.is_broken]
    return concluded({limit.name: limit.value for limit in limits}, faults, given.json)


if __name__ == "__main__":
    sys.exit(main())
