"""Measures a fleet of 10,000 ModelBoosters, with 30,000 children, their pods and as many others.

A real API server and etcd; the controller and the webhook run as in a pod of the chart. The fleet
is as the controller would have left it: copies, in etcd, of a ModelBooster that it has served
(``bench._copies``). It grows from step to step, so that every size is measured in one cluster.
Requests are counted in the audit log. The steps, and their limits:

* S5: the controller's start until it is ready, with the whole fleet and with a tenth of it: at most
  12 times as long. Nothing is written. ``/livez`` is asked every 20 ms from the start until all
  passes are over: no answer takes more than 250 ms. Peak memory is at most 1.3 of that afterwards.
* S6: memory of each process with the whole fleet, less that of the empty process, by ModelBooster.
* S7: users edit 51 ModelBoosters a second. From the arrival of an edit to the answer for the child
  that it changes, p99, at most 1.5 of that with 100 ModelBoosters.
* S8: CPU time of the controller from its start until all passes are over, less that of the empty
  process. The slope over the sizes from 250 on, of the logarithms, is at most 1.03.
* S10: the API server is away for 60 s. Each informer lists at most twice, both processes are ready
  and follow all kinds again within 1.5 of a cold start beside an API server that has just started,
  too, and only what was changed meanwhile is written. The changes are made when the API server is
  back and before the processes go on: they are frozen until then.

    python -m bench.large_fleet [--size 10000] [--steps S5 S6 S7 S8 S10] [--checkout DIR]
        [--json FILE]

Takes some 15 minutes on two free cores, and 16 GB of memory, most of it for the API server. Ends
with 1 if a limit is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench._conclusion import Limit, concluded
from bench._edits import measure_edits
from bench._large_cluster import CALM_SECONDS, Cluster, cluster, make_sample, members, say, show
from bench._livez import asked
from bench._outage import CHANGED, counts, measure_outage, writes
from bench.reconcile import slope
from controller.controller import CLEANUP_SECONDS
from controller.reconcile.desired_cache import IDLE_SECONDS
from tests import audit

HERE = Path(__file__).parents[1]
STEPS = ("S5", "S6", "S7", "S8", "S10")
SMALL = 100
"""ModelBoosters with which the p99 of S7 is compared."""

FIRST = 250
"""The smallest fleet of S8."""

STARTS = 3
"""Starts of a fleet of fewer than ``FEW``; S5 takes their median. A larger fleet starts once."""

FEW = 2000


def measure_empty(cluster: Cluster) -> dict[str, float]:
    """Measures both processes without anything to do, and makes the sample."""
    controller, webhook = members(cluster)
    found: dict[str, float] = {}
    try:
        for member in (controller, webhook):
            spent = []
            for _ in range(STARTS):
                member.stop()
                member.start()
                spent.append(member.wait_until_idle())
            found[f"{member.component} cpu s"] = min(spent)
            time.sleep(CALM_SECONDS)
            found[f"{member.component} KiB"] = member.resident_kib
        cluster.sample = asyncio.run(make_sample(cluster.plane))
    finally:
        controller.stop()
        webhook.stop()
    show("empty", found)
    return found


def measure_start(cluster: Cluster, *, is_probed: bool) -> dict[str, Any]:
    """S5, S6 and S8: starts of the controller, until all passes are over.

    The CPU time is that of a start without questions, which cost some of it.

    Args:
        cluster: the cluster.
        is_probed: whether another start is made, with questions whether the process lives, until it
            has the memory that it has in the end.
    """
    plane, (controller, _) = cluster.plane, members(cluster)
    begun = audit.now(plane)
    ready, cpu = [], []
    for _ in range(STARTS if cluster.size < FEW else 1):
        ready.append(controller.start())
        until_ready = controller.cpu_seconds
        cpu.append(controller.wait_until_idle())
        passes = controller.passes
        controller.stop()
    found: dict[str, Any] = {
        "size": cluster.size,
        "ready s": statistics.median(ready),
        "cpu s until ready": until_ready,
        "cpu s": min(cpu),
        "passes": passes,
    }
    if is_probed:
        with asked(controller.probe_port) as livez:
            controller.start()
            controller.wait_until_idle()
        time.sleep(IDLE_SECONDS + CLEANUP_SECONDS + CALM_SECONDS)
        found |= {
            "livez ms": livez.longest_ms,
            "livez answers": livez.count,
            "KiB": controller.resident_kib,
            "peak": controller.peak_kib / controller.resident_kib,
        }
        controller.stop()
    found["writes"] = counts(writes(plane, begun))
    show("start", found)
    return found


def measure_webhook(cluster: Cluster) -> dict[str, float]:
    """S6: the webhook, when it knows the whole fleet."""
    _, webhook = members(cluster)
    ready = webhook.start()
    webhook.wait_until_idle()
    time.sleep(CALM_SECONDS)
    found = {"ready s": ready, "KiB": webhook.resident_kib, "cpu s": webhook.cpu_seconds}
    webhook.stop()
    show("webhook", found)
    return found


def measure(checkout: Path, size: int, steps: Sequence[str]) -> dict[str, Any]:
    """Returns all figures."""
    found: dict[str, Any] = {"starts": [], "S7": []}
    sizes = sorted({n for n in (FIRST, size // 10, size // 4) if n < size} | {size})
    with cluster(checkout) as there:
        found["empty"] = measure_empty(there)
        if "S7" in steps:
            there.grow(SMALL)
            found["S7"].append(measure_edits(there))
        for each in sizes:
            is_probed = each == size
            if each == size or "S8" in steps or (each == size // 10 and "S5" in steps):
                there.grow(max(each, there.size))
                if {"S5", "S6", "S8"} & set(steps):
                    found["starts"].append(measure_start(there, is_probed=is_probed))
        if "S6" in steps:
            found["webhook"] = measure_webhook(there)
        if "S7" in steps:
            found["S7"].append(measure_edits(there))
        if "S10" in steps:
            found["S10"] = measure_outage(there)
    return found


def verdicts(found: dict[str, Any], size: int, steps: Sequence[str]) -> Iterator[Limit]:
    """Yields what came of each limit."""
    starts = {start["size"]: start for start in found["starts"]}
    empty, last = found["empty"], starts.get(size, {})
    if "S5" in steps:
        tenth = starts[size // 10]
        yield Limit("S5 start, of that with a tenth", last["ready s"] / tenth["ready s"], 12.0)
        yield Limit("S5 writes", sum(sum(start["writes"].values()) for start in found["starts"]), 0)
        yield Limit("S5 longest answer of /livez, ms", last["livez ms"], 250)
        yield Limit("S5 peak memory, of that at rest", last["peak"], 1.3)
    if "S6" in steps:
        grown = last["KiB"] - empty["controller KiB"]
        yield Limit("S6 controller, KiB each", grown / size, 8.0)
        grown = found["webhook"]["KiB"] - empty["webhook KiB"]
        yield Limit("S6 webhook, KiB each", grown / size, 2.5)
    if "S7" in steps:
        few, many = (edits["p99 ms"] for edits in found["S7"])
        yield Limit(f"S7 p99 of an edit, of that with {SMALL}", many / few, 1.5)
        missing = sum(edits["edits"] - edits["answered"] for edits in found["S7"])
        yield Limit("S7 edits without an answer", missing, 0)
    if "S8" in steps:
        spent = [
            {"size": n, "cpu": (start["cpu s"] - empty["controller cpu s"]) / n}
            for n, start in starts.items()
            if n >= FIRST
        ]
        yield Limit("S8 slope of CPU time", slope(spent, "cpu"), 1.03)
    if "S10" in steps:
        outage = found["S10"]
        yield Limit("S10 lists of an informer", outage["most lists"], 2)
        for name in ("controller", "webhook"):
            ratio = outage[f"{name} back s"] / outage[f"{name} cold s"]
            yield Limit(f"S10 {name} ready again, of a cold start", ratio, 1.5)
        # A route and a status for each edit, a route for each that was deleted, and an Event.
        written = ("patch modelroutes", "patch modelboosters/status", "create events")
        allowed = dict.fromkeys(written, 2 * CHANGED)
        more = Counter(outage["writes"]) - Counter(allowed)
        yield Limit("S10 writes for what did not change", sum(more.values()), 0)


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--checkout", type=Path, default=HERE, help="another build to measure")
    parser.add_argument("--json", type=Path, help="file for all figures")
    chosen = parser.parse_args()
    began = time.monotonic()
    found = measure(chosen.checkout.absolute(), chosen.size, chosen.steps)
    found["verdicts"] = [*verdicts(found, chosen.size, chosen.steps)]
    for verdict in found["verdicts"]:
        say(str(verdict))
    say(f"{os.cpu_count()} cores, {platform.machine()}; {time.monotonic() - began:.0f} s")
    return concluded(
        found, [str(each) for each in found["verdicts"] if each.is_broken], chosen.json
    )


if __name__ == "__main__":
    sys.exit(main())
