"""A controller that runs in a test's own loop, and what its requests were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from app.kube import connect
from controller.controller import Controller, Scope
from tests import audit
from tests.controlplane.plane import ControlPlane

AGENT = "model-booster/"


@asynccontextmanager
async def running(kubeconfig: Path, namespace: str, **scope: object) -> AsyncIterator[Controller]:
    """Runs a controller for one namespace, as a leader would, until the block ends."""
    async with connect(str(kubeconfig)) as kube:
        controller = Controller(kube, Scope(namespaces=(namespace,), **scope))  # type: ignore[arg-type]
        tasks = [asyncio.create_task(controller.follow()), asyncio.create_task(controller.work())]
        try:
            yield controller
        finally:
            controller.stop()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for result in ended:
                if isinstance(result, Exception):
                    raise result


def asked(plane: ControlPlane, namespace: str, since: datetime | None = None) -> list[str]:
    """Returns what a controller asked of the server in a namespace, Events left out."""
    return [
        str(request)
        for request in audit.requests(plane, namespace=namespace, since=since)
        if request.agent.startswith(AGENT) and request.resource != "events"
    ]


def written(plane: ControlPlane, namespace: str, since: datetime | None = None) -> list[str]:
    """Returns only the writes of that."""
    return [
        str(request)
        for request in audit.requests(plane, namespace=namespace, since=since)
        if request.agent.startswith(AGENT) and request.is_write and request.resource != "events"
    ]
