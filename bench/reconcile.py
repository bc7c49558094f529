"""Measures the controller's requests to the API server, its latency, CPU time and memory.

It uses a real API server, the real process (``model-booster controller``), and a loop that plays
kthena's serving controller and reports every ModelServing Available. Requests are counted in the
server's audit log by user. The load runs on the same machine, so times depend on the machine more
than counts do.

    python -m bench.reconcile [--fleet 500 2000] [--quick] [--json FILE]

Ends with 1 if a limit on a count is broken; these limits hold on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from app.kube import Kube, connect
from app.values.meta import Object
from bench._conclusion import concluded
from bench._disturbed import failover, restart, running, storm, touched
from bench._fleet import NAMESPACE, US, Fleet, Process, cluster, counted, player
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.controlplane.plane import ControlPlane

EDITS = 10
START_SECONDS = 2
"""After these seconds a leader has searched for children without our label, its last start task."""


def many(name: str, count: int, **fields: Any) -> Object:
    return booster_object(name, *(backend(f"b{i}", **fields) for i in range(count)))


SCALED = {"minReplicas": 1, "maxReplicas": 3, "autoscalingPolicy": policy()}
SHAPES = {
    "1 backend": (many("s1", 1), 3),
    "3 backends": (many("s3", 3), 7),
    "10 backends": (many("s10", 10), 21),
    "1 backend, scaled": (many("a1", 1, **SCALED), 5),
    "3 backends, scaled": (many("a3", 3, **SCALED), 13),
    "10 backends, scaled": (many("a10", 10, **SCALED), 41),
}


async def requests_to_active(plane: ControlPlane, fleet: Fleet) -> list[dict[str, Any]]:
    """B6: the cost of one new ModelBooster, by shape."""
    rows = []
    await asyncio.sleep(START_SECONDS)
    for shape, (booster, children) in SHAPES.items():
        begun = audit.now(plane)
        name = booster["metadata"]["name"]
        await fleet.make([booster])
        await fleet.until_active([name])
        await asyncio.sleep(1)  # late requests count too
        counts = counted(plane, begun)
        rows.append({"shape": shape, "C": children, "allowed": children + 2, **counts})
        await fleet.clear([name])
    return rows


async def time_to_children(plane: ControlPlane, fleet: Fleet, rounds: int = 30) -> dict[str, float]:
    """B7: from the request that creates a ModelBooster to the response for its last child."""
    took = []
    names = [f"t{i}" for i in range(rounds)]
    for name in names:
        await fleet.make([booster_object(name)])
        await fleet.until_active([name])
    spans = children_spans(plane, set(names))
    took = sorted(1000 * span for span in spans.values())
    await fleet.clear(names)
    return {
        "p50 ms": statistics.median(took),
        "p90 ms": took[int(len(took) * 0.9)],
        "max ms": took[-1],
    }


def children_spans(plane: ControlPlane, names: set[str]) -> dict[str, float]:
    """Returns seconds from the arrival of the create to the end of the last child's, by name."""
    begun, ended = children_times(plane, names)
    return {name: (ended[name] - begun[name]).total_seconds() for name in names}


def children_times(
    plane: ControlPlane, names: set[str]
) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """Returns when the creates arrived, and when the last children were answered, by name.

    Args:
        plane: whose log to read.
        names: the ModelBoosters.
    """
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    plural = {resource.plural for resource in CHILDREN}
    for line in plane.audit_log.read_text().splitlines():
        event = json.loads(line)
        ref = event.get("objectRef", {})
        name = ref.get("name", "")
        if ref.get("resource") == "modelboosters" and event["verb"] == "create" and name in names:
            begun[name] = _time(event["requestReceivedTimestamp"])
        owner = name.partition("-")[0]
        is_first = event.get("responseStatus", {}).get("code") == 201
        if ref.get("resource") in plural and is_first and owner in names:
            at = _time(event["stageTimestamp"])
            ended[owner] = max(at, ended.get(owner, at))
    return begun, ended


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


async def fleet_cost(
    plane: ControlPlane, process: Process, fleet: Fleet, size: int
) -> dict[str, float]:
    """B10: processor time per ModelBooster from create to Active, and the time of all."""
    names = [f"f{size}x{i}" for i in range(size)]
    begun = await asyncio.to_thread(audit.now, plane)
    cpu, began = process.cpu_seconds, time.monotonic()
    await fleet.make([booster_object(name) for name in names])
    await fleet.until_active(names)
    seconds = time.monotonic() - began
    await asyncio.sleep(2)
    counts = await asyncio.to_thread(counted, plane, begun)
    return {
        "size": size,
        "seconds": seconds,
        "cpu ms each": 1000 * (process.cpu_seconds - cpu) / size,
        "writes each": counts["writes"] / size,
        "reads": counts["reads"],
        "conflicts": counts["conflicts"],
        "MiB": process.resident_mib,
    }


async def steady(plane: ControlPlane, process: Process, seconds: float) -> dict[str, float]:
    """B11: requests and processor time while nothing happens."""
    begun = await asyncio.to_thread(audit.now, plane)
    cpu = process.cpu_seconds
    await asyncio.sleep(seconds)
    counts = await asyncio.to_thread(counted, plane, begun)
    requests = counts["writes"] + counts["reads"] + counts["others"]
    return {
        "writes": counts["writes"],
        "requests/s": requests / seconds,
        "cpu %": 100 * (process.cpu_seconds - cpu) / seconds,
    }


def slope(rows: Sequence[dict[str, float]], what: str) -> float:
    """B19: growth with the fleet as a log-log slope; 1 means in proportion."""
    x = [math.log(row["size"]) for row in rows]
    y = [math.log(max(row[what] * row["size"], 1e-9)) for row in rows]
    return statistics.linear_regression(x, y).slope


def growth(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """B19: of processor time, writes and time, over the fleets of B10."""
    each = [{**row, "seconds each": row["seconds"] / row["size"]} for row in rows]
    kinds = {"cpu": "cpu ms each", "writes": "writes each", "time": "seconds each"}
    return {name: slope(each, what) for name, what in kinds.items()}


async def edits(plane: ControlPlane, fleet: Fleet, kube: Kube, name: str) -> dict[str, float]:
    """B13: edits of one ModelBooster that change one child; until the child is stored."""
    begun = await asyncio.to_thread(audit.now, plane)
    for number in range(EDITS):
        patch = {"spec": {"backends": [backend("b1", schedulerName=f"other-{number}")]}}
        edited = await kube.merge_patch(MODEL_BOOSTER, NAMESPACE, name, patch)
        await fleet.until_active([name], edited["metadata"]["generation"])
    counts = await asyncio.to_thread(counted, plane, begun)
    took = await asyncio.to_thread(edit_spans, plane, name, begun)
    return {
        "edits": EDITS,
        "writes each": counts["writes"] / EDITS,
        "allowed": 1 + 2,
        "reads": counts["reads"],
        "conflicts": counts["conflicts"],
        "p50 ms": 1000 * statistics.median(took),
    }


def edit_spans(plane: ControlPlane, name: str, since: datetime) -> list[float]:
    """Returns seconds from the arrival of each edit to the end of the write of its child."""
    edited: datetime | None = None
    spans = []
    for line in plane.audit_log.read_text().splitlines():
        event = json.loads(line)
        ref = event.get("objectRef", {})
        is_end = event["verb"] == "patch" and event["stage"] == "ResponseComplete"
        if not is_end or _time(event["requestReceivedTimestamp"]) <= since:
            continue
        is_ours = event["user"].get("username") == US.name
        if ref.get("resource") == "modelboosters" and ref["name"] == name and not is_ours:
            edited = _time(event["requestReceivedTimestamp"])
        elif ref.get("resource") == "modelservings" and is_ours and edited is not None:
            spans.append((_time(event["stageTimestamp"]) - edited).total_seconds())
            edited = None
    return spans


async def measure(plane: ControlPlane, sizes: list[int], quick: bool) -> dict[str, Any]:
    kubeconfig = plane.kubeconfig_for(US.token, plane.folder / "bench.kubeconfig")
    log = plane.folder / "controller.log"
    process = Process(kubeconfig, log)
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    async with connect(str(plane.kubeconfig)) as kube, player(kube):
        fleet = Fleet(kube)
        following = asyncio.create_task(fleet.follow())
        began = time.monotonic()
        try:
            async with running(process) as processes:
                found["B15 start s"] = time.monotonic() - began
                found["B14 base MiB"] = process.resident_mib
                found["B6 requests to Active"] = await requests_to_active(plane, fleet)
                found["B7 time to children"] = await time_to_children(plane, fleet)
                await fleet.make([booster_object("alone")])
                await fleet.until_active(["alone"])
                found["B13 edit one of 1"] = await edits(plane, fleet, kube, "alone")
                found["B10 cost"] = [await fleet_cost(plane, process, fleet, n) for n in sizes]
                if len(sizes) > 1:
                    found["B19 growth"] = growth(found["B10 cost"])
                found[f"B13 edit one of {sum(sizes) + 1}"] = await edits(
                    plane, fleet, kube, f"f{sizes[-1]}x0"
                )
                found["B11 steady"] = await steady(plane, process, 5 if quick else 30)
                found["B12 restart"] = await restart(plane, process, kube)
                grown = process.resident_mib - found["B14 base MiB"]
                found["B14 KiB each, after restart"] = 1024 * grown / sum(sizes)
                found["B20 storm"] = await storm(plane, process, fleet, kube, 5 if quick else 10)
                found["B20 all touched"] = await touched(plane, process, kube)
                found["B16 failover"], leader = await failover(kubeconfig, log, fleet, process)
                processes.append(leader)
            codes = Counter(str(r.code) for r in audit.requests(plane, user=US.name))
            found["codes"] = dict(codes)
        finally:
            following.cancel()
            lines = log.read_text().splitlines() if log.exists() else []
            bad = [line for line in lines if '"warning"' in line or '"error"' in line]
            found["warnings"] = len(bad)
            found["last warning"] = bad[-1][:400] if bad else ""
    return found


def show(found: dict[str, Any]) -> None:
    for title, value in found.items():
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            if isinstance(row, dict):
                cells = (
                    f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
                )
                print(f"{title}: {', '.join(cells)}")
            else:
                print(f"{title}: {row:.2f}" if isinstance(row, float) else f"{title}: {row}")


def broken(found: dict[str, Any]) -> list[str]:
    """Returns the limits on counts that are broken; they hold on every machine."""
    faults = [
        ", ".join(f"{row[what]} {what}" for what in ("shape", "writes", "reads", "conflicts"))
        for row in found["B6 requests to Active"]
        if row["writes"] > row["allowed"] or row["reads"] or row["conflicts"]
    ]
    for title, row in found.items():
        kind = title.partition(" ")[0]
        if kind == "B13" and (row["writes each"] > row["allowed"] or row["reads"]):
            faults.append(f"{title}: {row['writes each']:.1f} writes, {row['reads']} reads each")
        if kind in ("B11", "B12") and row["writes"]:
            faults.append(f"{title}: {row['writes']} writes")
        if kind == "B12" and row["condition changes"]:
            faults.append(f"{title}: {row['condition changes']} conditions changed")
        if kind == "B20" and row["writes"] > row.get("allowed", 0):
            faults.append(f"{title}: {row['writes']} writes")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fleet", type=int, nargs="+", help="default: 500 2000")
    parser.add_argument("--quick", action="store_true", help="100 ModelBoosters, shorter waits")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    sizes = chosen.fleet or ([100] if chosen.quick else [500, 2000])
    with cluster() as plane:
        found = asyncio.run(measure(plane, sizes, chosen.quick))
    show(found)
    return concluded(found, broken(found), chosen.json)


if __name__ == "__main__":
    sys.exit(main())
