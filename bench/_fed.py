"""A whole controller that reads files instead of an API server, for ``bench.memory``.

    python -m bench._fed FOLDER SIZE

The folder holds the objects as the server sent them, one line of a watch each, ``<plural>.jsonl``,
and the discovery documents, ``documents.json``. Prints the memory of the process when everything is
listed and each of SIZE ModelBoosters has had its pass, its peak memory, and the number of attempted
writes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from itertools import islice
from pathlib import Path
from typing import Any

from app.errors import NotFound
from app.kube import ApiDocument, Event, Kube
from app.kube.access import Credentials
from app.kube.connections.connection import Response
from app.kube.objects import event_from_line
from app.kube.transport import Transport
from app.metrics import Metrics
from app.values.meta import Object, Resource
from controller.config import ControllerConfig
from controller.controller import CLEANUP_SECONDS, Controller
from controller.reconcile.desired_cache import IDLE_SECONDS

LINES_AT_ONCE = 50
"""Number of lines that a nearby server sends in one chunk."""


class Fed(Kube):
    """Reports the objects of a folder once, and then no changes.

    Args:
        folder: with the files.
        size: number of lines of each file.
    """

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(Transport(Credentials(), "bench"))
        self._folder = folder
        self._size = size
        self._documents: dict[str, Object] = json.loads((folder / "documents.json").read_text())
        self.writes = 0
        self.told: Counter[str] = Counter()

    async def read(self, path: str, *, etag: str | None = None) -> ApiDocument:
        """Returns the server's document for this path."""
        if path not in self._documents:
            raise NotFound(404, "NotFound", path)
        return ApiDocument(True, "", self._documents[path])

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Returns no single object: the release of kthena is not known."""
        raise NotFound(404, "NotFound", f"{resource} {name}")

    async def watch(
        self, resource: Resource, *, label_selector: str = "", **options: Any
    ) -> AsyncGenerator[Event, None]:
        """Yields the objects of a kind like a streaming list."""
        selected = "selected" if label_selector else "all"
        path = self._folder / f"{resource.plural}.{selected}.jsonl"
        if path.exists():
            with path.open("rb") as lines:
                for i, line in enumerate(islice(lines, self._size)):
                    if i % LINES_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    self.told[resource.kind] += 1
                    yield event_from_line(resource, self._transport.own_writes, line)
        metadata = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
        yield Event("BOOKMARK", {"kind": resource.kind, "metadata": metadata})
        await asyncio.Event().wait()

    async def each(
        self, resource: Resource, take: Callable[[Object], object], **options: Any
    ) -> str:
        """Yields nothing, because every child has our label."""
        return "1"

    async def _send(self, method: str, path: str, *rest: Any) -> Response:
        self.writes += 1
        raise NotFound(404, "NotFound", f"{method} {path}: nothing is written here")


def mib(field: str) -> float:
    """Returns the kernel's figures about this process's memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


async def fed(folder: Path, size: int) -> dict[str, float]:
    """Runs a controller until it is idle."""
    metrics = Metrics()
    kube = Fed(folder, size)
    controller = Controller(kube, ControllerConfig(), metrics)
    following = asyncio.create_task(controller.follow())
    working = asyncio.create_task(controller.work())

    def passes() -> float:
        name, labels = "controller_runtime_reconcile_total", {"controller": "modelbooster"}
        values = (
            metrics.registry.get_sample_value(name, {**labels, "result": result})
            for result in ("success", "requeue_after", "requeue", "error")
        )
        return sum(value or 0 for value in values)

    while not controller.is_idle or passes() < size:  # noqa: ASYNC110 - nothing tells of its end
        await asyncio.sleep(0.05)
    await asyncio.sleep(IDLE_SECONDS + CLEANUP_SECONDS + 1)  # idle objects are not kept for long
    gc.collect()
    found = {"MiB": mib("VmRSS"), "peak MiB": mib("VmHWM"), "passes": passes()}
    for task in (working, following):
        task.cancel()
    await asyncio.wait([working, following])
    return {**found, "writes": kube.writes, "pods": kube.told["Pod"]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fed(Path(sys.argv[1]), int(sys.argv[2])))))
