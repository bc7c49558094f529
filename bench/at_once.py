"""Measures what many ModelBoosters at once cost, side by side with another checkout.

Each run starts the webhook and the controller of one checkout on a real API server, with both
webhooks registered, creates a fleet at once, and plays kthena's serving controller. The two
checkouts take turns, and each is first in every other pair. Printed are medians (least-most), and
the median of the ratios of the pairs:

* S1: CPU time of the controller per ModelBooster, from create to Active.
* S2: time from the first create to the answer for the last child, by the audit log. Meanwhile:
  ``busy``, the share of that time in which a thread of the API server ran or waited for a
  processor; ``servers``, which share of the processors the API server and etcd had.
* S4: CPU time of the webhook per creation: both webhooks, and its informers.

    python -m bench.at_once --base CHECKOUT [--bare] [--pairs 5] [--fleet 500] [--json FILE]

CHECKOUT has its own environment in .venv. Without one, only this checkout is measured. With
``--bare`` each pair has a third run: both processes without their logic. Its S1 and S4 are the
least that the same requests and events cost. Ends with 1 if a ratio is above its target.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from app.kube import connect
from app.values.meta import Object
from bench._conclusion import concluded
from bench._fleet import NAMESPACE, US, Fleet, cluster, counted, player
from bench._processes import Busy, cpu_seconds, free_port, is_ready
from bench.ready import environment
from bench.reconcile import children_times
from tests import audit, chart
from tests.builders import booster_object
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane

HERE = Path(__file__).parents[1]
TARGETS = {"S1": 0.55, "S2": 0.75, "S4": 0.6}
BUSY = 0.9
"""S2 also holds if the API server works in this share of the time."""

PATIENCE_SECONDS = 120
WARM = 20
"""ModelBoosters before those that are measured."""

CALM_SECONDS = 2.0
"""After the last one is Active, what is late counts too."""

Run = dict[str, float]


class Side(NamedTuple):
    """What takes turns: a checkout, and the program that is its webhook and controller."""

    name: str
    checkout: Path
    program: str = "modelbooster"


class Part:
    """The webhook or the controller of a checkout."""

    def __init__(self, plane: ControlPlane, side: Side, name: str, webhook_port: int) -> None:
        self._probe_port = free_port()
        variables = environment(plane, name, self._probe_port)
        if name == "webhook":
            variables["MODELBOOSTER_WEBHOOK_PORT"] = str(webhook_port)
            variables["MODELBOOSTER_WEBHOOK_URL_HOST"] = "127.0.0.1"
        variables["MODELBOOSTER_LOG_LEVEL"] = "warning"
        variables["KUBECONFIG"] = str(
            plane.kubeconfig_for(US.token, plane.folder / "bench.kubeconfig")
        )
        for pod in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
            del variables[pod]
        self._log = plane.folder / f"{name}.log"
        self._process = subprocess.Popen(
            [side.checkout / ".venv/bin/python", "-m", side.program, name],
            cwd=side.checkout,
            env=variables,
            stderr=self._log.open("wb"),
        )

    def wait(self) -> None:
        """Waits until it is ready."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_ready(self._probe_port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"not ready: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def servers(plane: ControlPlane) -> list[int]:
    """Returns the process ids of the API server and of etcd."""
    return [plane.process_id(name) for name in ("kube-apiserver", "etcd")]


def register(plane: ControlPlane, port: int) -> None:
    """Registers both webhooks of the chart, at an address instead of a Service."""
    plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": chart.NAMESPACE}})
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for given in chart.of_kind(chart.rendered(), kind):
            webhooks = []
            for webhook in given["webhooks"]:
                path = webhook["clientConfig"]["service"]["path"]
                url = {"url": f"https://127.0.0.1:{port}{path}"}
                webhooks.append({**webhook, "clientConfig": url})
            path = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s"
            plane.api.request("POST", path, {**given, "webhooks": webhooks})


@contextmanager
def running(plane: ControlPlane, side: Side, port: int) -> Iterator[tuple[Part, Part]]:
    parts = [Part(plane, side, name, port) for name in ("webhook", "controller")]
    try:
        for part in parts:
            part.wait()
        yield parts[0], parts[1]
    finally:
        for part in parts:
            part.stop()


async def until_served(fleet: Fleet, boosters: list[Object]) -> None:
    await fleet.make(boosters)
    await fleet.until_active([booster["metadata"]["name"] for booster in boosters])


async def measured(
    plane: ControlPlane, fleet: Fleet, size: int, prefix: str, parts: tuple[Part, Part]
) -> Run:
    """Creates a fleet with the running parts, and returns what it cost."""
    webhook, controller = parts
    await asyncio.sleep(CALM_SECONDS)
    await until_served(fleet, [booster_object(f"{prefix}w{n}") for n in range(WARM)])
    await asyncio.sleep(CALM_SECONDS)
    names = [f"{prefix}f{n}" for n in range(size)]
    begun = await asyncio.to_thread(audit.now, plane)
    servers_before = sum(cpu_seconds(pid) for pid in servers(plane))
    before = controller.cpu_seconds, webhook.cpu_seconds
    began = time.monotonic()
    with Busy(plane.process_id("kube-apiserver")) as api_server:
        await until_served(fleet, [booster_object(name) for name in names])
    seconds = time.monotonic() - began
    servers_seconds = sum(cpu_seconds(pid) for pid in servers(plane)) - servers_before
    await asyncio.sleep(CALM_SECONDS)
    after = controller.cpu_seconds, webhook.cpu_seconds
    counts = await asyncio.to_thread(counted, plane, begun)
    first, last = await asyncio.to_thread(time_to_children, plane, set(names))
    return {
        "S1": 1000 * (after[0] - before[0]) / size,
        "S2": last - first,
        "S4": 1000 * (after[1] - before[1]) / size,
        "busy": api_server.share(first, last),
        "seconds": seconds,
        "servers": servers_seconds / seconds / (os.cpu_count() or 1),
        "writes": counts["writes"] / size,
        "reads": counts["reads"],
    }


def time_to_children(plane: ControlPlane, names: set[str]) -> tuple[float, float]:
    """Returns when the first create arrived and the last child was answered, since 1970."""
    begun, ended = children_times(plane, names)
    return min(begun.values()).timestamp(), max(ended.values()).timestamp()


def clear(plane: ControlPlane) -> None:
    """Deletes everything: there is no garbage collector here."""
    for resource in (MODEL_BOOSTER, *CHILDREN):
        with suppress(Refused):
            plane.api.request("DELETE", resource.path(NAMESPACE))


async def measure(sides: list[Side], pairs: int, size: int) -> list[list[Run]]:
    """Returns the figures of each run, by pair and side."""
    found: list[list[Run]] = []
    with cluster() as plane:
        port = free_port()
        register(plane, port)
        for turn in range(pairs):
            found.append([{} for _ in sides])
            turns = [*enumerate(sides)]
            for number, side in turns[:: -1 if turn % 2 else 1]:
                clear(plane)
                with running(plane, side, port) as parts:
                    async with connect(str(plane.kubeconfig)) as kube, player(kube):
                        fleet = Fleet(kube)
                        following = asyncio.create_task(fleet.follow())
                        run = await measured(plane, fleet, size, f"r{turn}s{number}", parts)
                        found[-1][number] = run
                        following.cancel()
                    print(side.name, {k: round(v, 2) for k, v in run.items()}, flush=True)
    return found


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base", type=Path, help="the other checkout")
    parser.add_argument("--bare", action="store_true", help="both processes without logic, too")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--fleet", type=int, default=500)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    sides = [Side("this", HERE)]
    if chosen.base:
        sides.insert(0, Side(str(chosen.base), chosen.base.absolute()))
    if chosen.bare:
        sides.append(Side("bare", HERE, "bench._bare"))
    found = asyncio.run(measure(sides, chosen.pairs, chosen.fleet))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'':8} {'  '.join(side.name for side in sides)}")
    faults = []
    for what in ("S1", "S2", "S4", "busy", "seconds", "servers", "writes", "reads"):
        line = "  ".join(shown([pair[n][what] for pair in found]) for n, _ in enumerate(sides))
        if chosen.base and what in TARGETS:
            ratios = [pair[1][what] / pair[0][what] for pair in found]
            line += f"  ratio {shown(ratios)}, target {TARGETS[what]}"
            is_busy = statistics.median(pair[1]["busy"] for pair in found) >= BUSY
            if statistics.median(ratios) > TARGETS[what] and not (what == "S2" and is_busy):
                faults.append(f"{what}: {statistics.median(ratios):.2f} of {chosen.base}")
        print(f"{what:8} {line}")
    results: dict[str, Any] = {"sides": [side.name for side in sides], "pairs": found}
    return concluded(results, faults, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
