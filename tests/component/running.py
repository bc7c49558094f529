"""Runs a controller in the event loop of a test, and returns its requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from app.kube import connect
from app.values.meta import Object
from controller.config import ControllerConfig
from controller.controller import Controller
from tests import audit
from tests.controlplane.plane import ControlPlane
from tests.world import PATIENCE_SECONDS

AGENT = "model-booster/"


@asynccontextmanager
async def running(
    kubeconfig: Path, namespace: str, *also: str, **scope: object
) -> AsyncIterator[Controller]:
    """Runs a controller for some namespaces, as a leader would, until the block ends."""
    async with connect(str(kubeconfig)) as kube:
        config = ControllerConfig(namespaces=(namespace, *also), **scope)  # type: ignore[arg-type]
        controller = Controller(kube, config)
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


async def until_idle(controller: Controller) -> None:
    """Waits until a controller is synced and its queue is empty."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not controller.is_idle:  # noqa: ASYNC110 - polls as ``World.until`` does
            await asyncio.sleep(0.02)


def condition(booster: Object, kind: str) -> Object:
    """Returns a condition of a ModelBooster; KeyError if it is not there yet."""
    found: Object = {c["type"]: c for c in booster["status"]["conditions"]}[kind]
    return found


def state(booster: Object) -> tuple[str, str]:
    """Initialized, Active and Failed in one letter each, and the reason of Active."""
    kinds = ("Initialized", "Active", "Failed")
    letters = "".join(condition(booster, kind)["status"][0] for kind in kinds)
    return letters, condition(booster, "Active")["reason"]


DEPLOYING = ("TFF", "ModelProcessing")
ACTIVE = ("TTF", "ModelAvailable")


def is_in(wanted: tuple[str, str], generation: int | None = None) -> Callable[[Object], bool]:
    """Returns a predicate: the ModelBooster has this state, of this generation if given."""
    return lambda booster: (
        state(booster) == wanted
        and generation in (None, condition(booster, "Active")["observedGeneration"])
    )


def asked(plane: ControlPlane, namespace: str, since: datetime | None = None) -> list[str]:
    """Returns a controller's requests in a namespace, without Events."""
    return [
        str(request)
        for request in audit.requests(plane, namespace=namespace, since=since)
        if request.agent.startswith(AGENT) and request.resource != "events"
    ]


def written(plane: ControlPlane, namespace: str, since: datetime | None = None) -> list[str]:
    """Returns the writes among these requests."""
    return [
        str(request)
        for request in audit.requests(plane, namespace=namespace, since=since)
        if request.agent.startswith(AGENT) and request.is_write and request.resource != "events"
    ]
