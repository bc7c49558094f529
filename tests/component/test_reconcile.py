"""The way from a ModelBooster to a model that serves, on the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.apis.children import MODEL_BOOSTER, MODEL_SERVING
from app.apis.meta import Object
from controller.controller import Controller
from tests.builders import booster_object
from tests.component.running import asked, running, written
from tests.controlplane.plane import ControlPlane
from tests.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def controller(kubeconfig: Path, namespace: str) -> AsyncIterator[Controller]:
    async with running(kubeconfig, namespace) as controller:
        yield controller


def triple(booster: Object) -> tuple[str, ...]:
    """Initialized, Active and Failed in one letter each, and the reason of Active."""
    found = {c["type"]: c for c in booster["status"]["conditions"]}
    kinds = ("Initialized", "Active", "Failed")
    return (*(found[kind]["status"][0] for kind in kinds), found["Active"]["reason"])


DEPLOYING = ("T", "F", "F", "ModelProcessing")
ACTIVE = ("T", "T", "F", "ModelAvailable")


@pytest.mark.usefixtures("controller")
async def test_a_new_model_is_deployed_and_becomes_active_in_five_writes(
    world: World, plane: ControlPlane
) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", lambda o: triple(o) == DEPLOYING)
    await world.serve(MODEL_SERVING, "m-b1", "Progressing")
    await world.serve(MODEL_SERVING, "m-b1")

    booster = await world.until(MODEL_BOOSTER, "m", lambda o: triple(o) == ACTIVE)

    assert booster["status"]["observedGeneration"] == 1
    assert [c["type"] for c in booster["status"]["conditions"]] == [
        *("Initialized", "Active", "Failed", "Ready"),
    ]
    assert sorted(written(plane, world.namespace)) == [
        "200 patch modelboosters/m/status",
        "200 patch modelboosters/m/status",
        "201 patch modelroutes/m",
        "201 patch modelservers/m-b1",
        "201 patch modelservings/m-b1",
    ]
    reads = [line for line in asked(plane, world.namespace) if " get " in line]
    assert reads == []
