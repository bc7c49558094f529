"""Shared by the controller's benchmarks: its process, a fleet, and a serving controller."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_SERVING
from app.errors import ApiError, Unreachable
from app.kube import Kube
from app.values.meta import Object, key_of
from bench._processes import is_ready, whole_cpu_seconds
from tests import audit
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane, User

US = User("controller", ("system:masters",), "bench-controller-token")
PORT = 18999
PARALLEL = 16
NAMESPACE = "default"
PATIENCE_SECONDS = 900


class Process:
    """The controller's process.

    Args:
        kubeconfig: of the API server and the user.
        log: file for its log.
        port: of its probes; two processes need two ports.
    """

    def __init__(self, kubeconfig: Path, log: Path, port: int = PORT) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it; returns the seconds until it is ready."""
        began = time.monotonic()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MODELBOOSTER_")},
            "KUBECONFIG": str(self._kubeconfig),
            "MODELBOOSTER_PROBE_PORT": str(self._port),
            "MODELBOOSTER_PROBE_HOST": "127.0.0.1",
            "MODELBOOSTER_LOG_LEVEL": "warning",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modelbooster", "controller"],
            env=environment,
            stderr=self._log.open("ab"),
        )
        while not is_ready(self._port):
            if self._process.poll() is not None:
                raise SystemExit(f"the controller ended: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)
        return time.monotonic() - began

    def stop(self) -> None:
        """Stops it as the kubelet does."""
        self.send(signal.SIGTERM)
        if self._process:
            self._process.wait(30)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal without waiting for its effect."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def longest_answer(self, seconds: float) -> float:
        """Polls the liveness probe; returns the longest response time."""
        longest, until = 0.0, time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            with urlopen(f"http://127.0.0.1:{self._port}/livez") as answer:
                answer.read()
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.01)
        return longest

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far, in user and system mode."""
        assert self._process
        return whole_cpu_seconds(self._process.pid)

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
