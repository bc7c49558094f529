"""What the controller asks of the API server, how long it takes, and what it costs.

A real API server, the real process (``model-booster controller``), and a loop that plays kthena's
serving controller by reporting every ModelServing Available. Requests are counted in the server's
audit log, by user; processor time and memory are those of the controller's process.

    python -m bench.reconcile [--fleet 500 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from app.apis.children import CHILDREN, MODEL_BOOSTER, MODEL_SERVING
from app.apis.meta import Object, key_of
from app.errors import ApiError, Unreachable
from app.kube import Kube, connect
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane, User

US = User("controller", ("system:masters",), "bench-controller-token")
PORT = 18999
TICK = os.sysconf("SC_CLK_TCK")
PARALLEL = 16
NAMESPACE = "default"
PATIENCE_SECONDS = 900


class Process:
    """The controller's process."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it; returns the seconds until it is ready."""
        began = time.monotonic()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MODELBOOSTER_")},
            "KUBECONFIG": str(self._kubeconfig),
            "MODELBOOSTER_PROBE_PORT": str(PORT),
            "MODELBOOSTER_PROBE_HOST": "127.0.0.1",
            "MODELBOOSTER_LOG_LEVEL": "warning",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "controller"],
            env=environment,
            stderr=self._log.open("ab"),
        )
        while not self._is_ready():
            if self._process.poll() is not None:
                raise SystemExit(f"the controller ended: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)
        return time.monotonic() - began

    def _is_ready(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{PORT}/readyz") as answer:
            return bool(answer.status == 200)
        return False

    def stop(self) -> None:
        """Ends it as the kubelet would."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far, in user and system mode."""
        assert self._process
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @property
    def resident_mib(self) -> float:
        """Memory in use."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@contextmanager
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(users=[US]) as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        yield plane


@asynccontextmanager
async def player(kube: Kube) -> AsyncIterator[None]:
    """Reports every ModelServing Available, for the generation that it has."""

    async def play() -> None:
        queue: asyncio.Queue[Object] = asyncio.Queue()

        async def report() -> None:
            while True:
                await served(kube, await queue.get())

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(report())
            while True:
                with suppress(ApiError, Unreachable):
                    async for event in kube.watch(
                        MODEL_SERVING, resource_version="", initial_events=True, timeout_seconds=300
                    ):
                        if event.type in ("ADDED", "MODIFIED"):
                            queue.put_nowait(event.object)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def served(kube: Kube, serving: Object) -> None:
    generation = serving["metadata"]["generation"]
    if serving.get("status", {}).get("observedGeneration", 0) >= generation:
        return
    replicas = serving["spec"]["replicas"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    status = {
        "observedGeneration": generation,
        "replicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            {
                "type": "Available",
                "status": "True",
                "reason": "AllGroupsReady",
                "message": "All Serving groups are ready",
                "lastTransitionTime": now,
            }
        ],
    }
    key = key_of(serving)
    with suppress(ApiError):  # deleted meanwhile
        await kube.merge_patch(
            MODEL_SERVING, key.namespace, key.name, {"status": status}, subresource="status"
        )


class Fleet:
    """Makes ModelBoosters and waits for them."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._active: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        while True:
            with suppress(ApiError, Unreachable):
                async for event in self._kube.watch(
                    MODEL_BOOSTER, resource_version="", initial_events=True, timeout_seconds=300
                ):
                    self._take(event.object, event.type)

    def _take(self, booster: Object, kind: str) -> None:
        if kind == "BOOKMARK":
            return
        name = booster["metadata"]["name"]
        if kind == "DELETED":
            self._active.pop(name, None)
        for condition in booster.get("status", {}).get("conditions", ()):
            if condition["type"] == "Active" and condition["status"] == "True":
                self._active[name] = condition["observedGeneration"]
        self._changed.set()

    async def make(self, boosters: list[Object]) -> None:
        async def one(slots: asyncio.Semaphore, booster: Object) -> None:
            async with slots:
                booster["metadata"]["namespace"] = NAMESPACE
                await self._kube.create(MODEL_BOOSTER, booster)

        slots = asyncio.Semaphore(PARALLEL)
        async with asyncio.TaskGroup() as group:
            for booster in boosters:
                group.create_task(one(slots, booster))

    async def until_active(self, names: list[str], generation: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(self._active.get(name, 0) < generation for name in names):
                self._changed.clear()
                await self._changed.wait()

    async def clear(self, names: list[str]) -> None:
        """Deletes ModelBoosters and what they own: there is no garbage collector here."""
        for name in names:
            await self._kube.delete(MODEL_BOOSTER, NAMESPACE, name)
        for resource in CHILDREN:
            listed = await self._kube.list(resource, namespace=NAMESPACE)
            for child in listed.items:
                if child["metadata"]["ownerReferences"][0]["name"] in names:
                    await self._kube.delete(resource, NAMESPACE, child["metadata"]["name"])


def counted(plane: ControlPlane, since: datetime) -> dict[str, int]:
    """Returns the controller's requests since a moment; Events and the Lease are left out."""
    ours = [
        r
        for r in audit.requests(plane, user=US.name, since=since)
        if r.resource not in ("events", "leases")
    ]
    return {
        "writes": sum(r.is_write for r in ours),
        "reads": sum(r.verb in ("get", "list") and bool(r.resource) for r in ours),
        "conflicts": sum(r.code == 409 for r in ours),
        "others": sum(r.verb == "get" and not r.resource for r in ours),
    }


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


async def requests_to_active(plane: ControlPlane, fleet: Fleet) -> Iterator[dict[str, Any]]:
    """B6: what one new ModelBooster costs, by shape."""
    rows = []
    for shape, (booster, children) in SHAPES.items():
        begun = audit.now(plane)
        name = booster["metadata"]["name"]
        await fleet.make([booster])
        await fleet.until_active([name])
        await asyncio.sleep(1)  # whatever comes late counts too
        counts = counted(plane, begun)
        rows.append({"shape": shape, "C": children, "allowed": children + 2, **counts})
        await fleet.clear([name])
    return iter(rows)


async def time_to_children(plane: ControlPlane, fleet: Fleet, rounds: int = 30) -> dict[str, float]:
    """B7: from the request that creates a ModelBooster to the answer about its last child."""
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
    return {name: (ended[name] - begun[name]).total_seconds() for name in names}


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")


async def fleet_cost(
    plane: ControlPlane, process: Process, fleet: Fleet, size: int
) -> dict[str, float]:
    """B10: processor time per ModelBooster from create to Active, and the time of all."""
    names = [f"f{size}x{i}" for i in range(size)]
    begun, cpu, began = audit.now(plane), process.cpu_seconds, time.monotonic()
    await fleet.make([booster_object(name) for name in names])
    await fleet.until_active(names)
    seconds = time.monotonic() - began
    await asyncio.sleep(2)
    counts = counted(plane, begun)
    return {
        "size": size,
        "seconds": seconds,
        "cpu ms each": 1000 * (process.cpu_seconds - cpu) / size,
        "writes each": counts["writes"] / size,
        "reads": counts["reads"],
        "conflicts": counts["conflicts"],
        "MiB": process.resident_mib,
    }


async def steady(plane: ControlPlane, process: Process, seconds: float = 30) -> dict[str, float]:
    """B11: requests and processor time while nothing happens."""
    begun, cpu = audit.now(plane), process.cpu_seconds
    await asyncio.sleep(seconds)
    counts = counted(plane, begun)
    requests = counts["writes"] + counts["reads"] + counts["others"]
    return {
        "writes": counts["writes"],
        "requests/s": requests / seconds,
        "cpu %": 100 * (process.cpu_seconds - cpu) / seconds,
    }


async def restart(plane: ControlPlane, process: Process) -> dict[str, float]:
    """B12: what a restart costs."""
    process.stop()
    begun = audit.now(plane)
    ready = await asyncio.to_thread(process.start)
    await asyncio.sleep(10)
    counts = counted(plane, begun)
    return {"writes": counts["writes"], "ready s": ready, "cpu s": process.cpu_seconds}


async def edit_one(plane: ControlPlane, fleet: Fleet, kube: Kube, name: str) -> dict[str, float]:
    """B13: one edit among many."""
    begun, began = audit.now(plane), time.monotonic()
    patch = {"spec": {"backends": [backend("b1", schedulerName="other")]}}
    edited = await kube.merge_patch(MODEL_BOOSTER, NAMESPACE, name, patch)
    await fleet.until_active([name], edited["metadata"]["generation"])
    seconds = time.monotonic() - began
    return {**counted(plane, begun), "seconds": seconds}


async def measure(plane: ControlPlane, sizes: list[int]) -> dict[str, Any]:
    kubeconfig = plane.kubeconfig_for(US.token, plane.folder / "bench.kubeconfig")
    process = Process(kubeconfig, plane.folder / "controller.log")
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    async with connect(str(plane.kubeconfig)) as kube, player(kube):
        fleet = Fleet(kube)
        following = asyncio.create_task(fleet.follow())
        try:
            found["B15 start s"] = await asyncio.to_thread(process.start)
            found["B14 base MiB"] = process.resident_mib
            found["B6 requests to Active"] = list(await requests_to_active(plane, fleet))
            found["B7 time to children"] = await time_to_children(plane, fleet)
            found["B10 cost"] = [await fleet_cost(plane, process, fleet, n) for n in sizes]
            if sizes:
                found["B13 edit one"] = await edit_one(plane, fleet, kube, f"f{sizes[-1]}x0")
                found["B11 steady"] = await steady(plane, process)
                found["B12 restart"] = await restart(plane, process)
                grown = process.resident_mib - found["B14 base MiB"]
                found["B14 KiB each, after restart"] = 1024 * grown / sum(sizes)
            codes = Counter(str(r.code) for r in audit.requests(plane, user=US.name))
            found["codes"] = dict(codes)
        finally:
            following.cancel()
            process.stop()
            log = (plane.folder / "controller.log").read_text()
            found["warnings"] = log.count('"warning"') + log.count('"error"')
            found["last warning"] = log.splitlines()[-1][:400] if log else ""
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
    """Returns the limits on counts that were not kept; those hold on every machine."""
    faults = [
        ", ".join(f"{row[what]} {what}" for what in ("shape", "writes", "reads", "conflicts"))
        for row in found["B6 requests to Active"]
        if row["writes"] > row["allowed"] or row["reads"] or row["conflicts"]
    ]
    for title in ("B11 steady", "B12 restart"):
        if title in found and found[title]["writes"]:
            faults.append(f"{title}: {found[title]['writes']} writes")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fleet", type=int, nargs="*", default=[500])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with cluster() as plane:
        found = asyncio.run(measure(plane, chosen.fleet))
    show(found)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))
    faults = broken(found)
    for fault in faults:
        print(f"LIMIT BROKEN: {fault}", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
