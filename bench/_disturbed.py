"""Measures the cost of a restart, a change of leader, and a storm of events."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.errors import ApiError
from app.kube import Kube
from app.values.meta import Object, key_of
from bench._fleet import NAMESPACE, PARALLEL, PORT, Fleet, Process, counted
from tests import audit
from tests.builders import booster_object
from tests.controlplane.plane import ControlPlane

SETTLE_SECONDS = 5.0
"""How long to wait for writes that should not happen."""

FLAPPING = 4
"""Writers to the same object. With more, the API server is busy with their conflicts."""


async def restart(plane: ControlPlane, process: Process, kube: Kube) -> dict[str, float]:
    """B12: the cost of a restart."""
    before = await _conditions(kube)
    process.stop()
    begun = await asyncio.to_thread(audit.now, plane)
    ready = await asyncio.to_thread(process.start)
    cpu = process.cpu_seconds
    longest = await asyncio.to_thread(process.longest_answer, SETTLE_SECONDS)
    counts = await asyncio.to_thread(counted, plane, begun)
    after = await _conditions(kube)
    return {
        "fleet": len(before),
        "writes": counts["writes"],
        "condition changes": sum(before[name] != after.get(name) for name in before),
        "ready s": ready,
        "cpu s until ready": cpu,
        "cpu s": process.cpu_seconds,
        "longest /livez ms": 1000 * longest,
    }


async def _conditions(kube: Kube) -> dict[str, Any]:
    listed = await kube.list(MODEL_BOOSTER, namespace=NAMESPACE)
    return {key_of(o).name: (o.get("status") or {}).get("conditions") for o in listed.items}


async def failover(
    kubeconfig: Path, log: Path, fleet: Fleet, leader: Process
) -> tuple[list[dict[str, Any]], Process]:
    """B16: from the end of the leader to the next ModelBooster that the standby serves.

    Returns:
        The seconds by signal, and the process that leads now.
    """
    rows: list[dict[str, Any]] = []
    for port, number, target in ((1, signal.SIGTERM, 3.0), (2, signal.SIGKILL, 18.0)):
        standby = Process(kubeconfig, log, PORT + port)
        await asyncio.to_thread(standby.start)
        name = f"after-{number.name.lower()}"
        leader.send(number)
        began = time.monotonic()
        await fleet.make([booster_object(name)])
        await fleet.until_active([name])
        seconds = time.monotonic() - began
        rows.append({"signal": number.name, "seconds": seconds, "target s": target})
        leader.stop()
        leader = standby
    return rows, leader


async def storm(
    plane: ControlPlane, process: Process, fleet: Fleet, kube: Kube, seconds: float
) -> dict[str, float]:
    """B20: the ModelServing of one ModelBooster changes as often as the API server allows."""
    await fleet.make([booster_object("storm")])
    await fleet.until_active(["storm"])
    listed = await kube.list(MODEL_SERVING, namespace=NAMESPACE)
    serving = next(
        o for o in listed.items if o["metadata"]["ownerReferences"][0]["name"] == "storm"
    )
    begun = await asyncio.to_thread(audit.now, plane)
    cpu, sent = process.cpu_seconds, 0

    async def flap(first: bool) -> None:
        nonlocal sent
        is_up = first
        while True:
            is_up = not is_up
            with suppress(ApiError):  # too many at once for the API server
                await _say(kube, serving, is_up)
                sent += 1

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number in range(FLAPPING):
                group.create_task(flap(number % 2 == 0))
    await _say(kube, serving, True)
    await fleet.until_active(["storm"])
    counts = await asyncio.to_thread(counted, plane, begun)
    return {
        "events/s": sent / seconds,
        "writes": counts["writes"],
        "allowed": int(2 * seconds) + 2,
        "cpu ms per event": 1000 * (process.cpu_seconds - cpu) / max(sent, 1),
    }


async def _say(kube: Kube, serving: Object, is_up: bool) -> None:
    status = {
        "observedGeneration": serving["metadata"]["generation"],
        "replicas": 1,
        "availableReplicas": int(is_up),
        "conditions": [
            {
                "type": "Available" if is_up else "Progressing",
                "status": "True",
                "reason": "AllGroupsReady" if is_up else "SomeGroupsNotReady",
                "message": f"at {time.monotonic_ns()}",
                "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
        ],
    }
    key = key_of(serving)
    await kube.merge_patch(
        MODEL_SERVING, key.namespace, key.name, {"status": status}, subresource="status"
    )


async def touched(plane: ControlPlane, process: Process, kube: Kube) -> dict[str, float]:
    """B20: every ModelBooster gets a label, so that each has another pass."""
    names = list(await _conditions(kube))
    begun = await asyncio.to_thread(audit.now, plane)
    cpu = process.cpu_seconds
    patch = {"metadata": {"labels": {"touched": "yes"}}}

    async def one(slots: asyncio.Semaphore, name: str) -> None:
        async with slots:
            await kube.merge_patch(MODEL_BOOSTER, NAMESPACE, name, patch)

    slots = asyncio.Semaphore(PARALLEL)
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(slots, name))
    await asyncio.sleep(SETTLE_SECONDS)
    counts = await asyncio.to_thread(counted, plane, begun)
    return {
        "fleet": len(names),
        "writes": counts["writes"],
        "cpu ms each": 1000 * (process.cpu_seconds - cpu) / max(len(names), 1),
    }


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[list[Process]]:
    """Starts a process; at the end, ends every process in the list, to which callers may add."""
    await asyncio.to_thread(process.start)
    processes = [process]
    try:
        yield processes
    finally:
        for each in processes:
            each.stop()
