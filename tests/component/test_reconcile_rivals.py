"""Another controller that changes children and status back, on the real API server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.apis.kinds import (
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    REGISTRY_MANAGED_BY,
)
from app.values.meta import Object
from controller.reconcile.booster_state import MAX_REPAIRS
from controller.reconcile.conflict_state import ConflictTiming
from controller.reconcile.events import EVENT
from tests import audit
from tests.builders import booster_object
from tests.component.running import DEPLOYING, condition, is_in, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.upstream import KTHENA_MANAGER, KthenaController
from tests.world import World

pytestmark = pytest.mark.anyio

CONFLICTING = ("FFT", "ConflictingController")
QUICK = ConflictTiming(probe_seconds=3, quiet_seconds=1, max_pause_seconds=3)
TURNED_OFF_BY = 'workload.controllerManager.controllers: "*,-modelbooster"'


async def warned(world: World, reason: str = "ConflictingController") -> list[Object]:
    """Waits for Warning Events of a reason."""

    def found(events: list[Object]) -> list[Object]:
        return [e for e in events if (e["type"], e["reason"]) == ("Warning", reason)]

    return found(await world.until_listed(EVENT, found))


@pytest.mark.slow
async def test_no_write_loop_with_kthenas_controller(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await until_idle(controller)
        begun = audit.now(plane)
        kthena = KthenaController(world.admin)
        kthena.start()
        try:
            events = await warned(world)
            await world.until(
                MODEL_SERVING, "m-b1", lambda o: REGISTRY_MANAGED_BY not in o["metadata"]["labels"]
            )
            # A change of the ModelBooster that is no edit wakes the controller; it writes nothing.
            await until_idle(controller)
            settled = audit.now(plane)
            for value in "abc":
                await world.patch(MODEL_BOOSTER, "m", {"metadata": {"labels": {"x": value}}})
            await until_idle(controller)
        finally:
            kthena.stop()

    assert written(plane, world.namespace, settled) == []
    writes = written(plane, world.namespace, begun)
    for resource in (MODEL_SERVING, MODEL_SERVER, MODEL_ROUTE):
        # Each time that another manager's fields are taken over is one write more.
        count = sum(f" {resource.plural}/" in f" {line.split()[-1]}" for line in writes)
        assert count <= 2 * MAX_REPAIRS + 2, writes
    statuses = [line for line in writes if line.endswith("modelboosters/m/status")]
    assert len(statuses) <= 4 * MAX_REPAIRS, writes
    assert any(f'field manager "{KTHENA_MANAGER}" (Update at 2' in e["note"] for e in events)
    assert all(TURNED_OFF_BY in event["note"] for event in events)


async def test_when_the_other_controller_is_gone_we_go_on(world: World, kubeconfig: Path) -> None:
    async with running(kubeconfig, world.namespace, conflict_timing=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        kthena = KthenaController(world.admin)
        kthena.start()
        await warned(world)
        kthena.stop()

        booster = await world.until(MODEL_BOOSTER, "m", is_in(CONFLICTING))
        message = condition(booster, "Failed")["message"]
        assert f'ModelServing "m-b1" is changed back by field manager "{KTHENA_MANAGER}"' in message
        assert TURNED_OFF_BY in message

        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        for resource, name in ((MODEL_SERVING, "m-b1"), (MODEL_SERVER, "m-b1"), (MODEL_ROUTE, "m")):
            live = await world.until(resource, name)
            assert REGISTRY_MANAGED_BY in live["metadata"]["labels"]


def is_newer_than(version: str) -> Callable[[Object], bool]:
    return lambda obj: obj["metadata"]["resourceVersion"] != version


async def test_only_a_label_is_probed_while_the_other_controller_runs(
    world: World, kubeconfig: Path
) -> None:
    """A probe must not restart pods: kthena's serving controller acts on a new generation."""
    async with running(kubeconfig, world.namespace, conflict_timing=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        kthena = KthenaController(world.admin)
        kthena.start()
        try:
            await warned(world)
            before = await world.until(
                MODEL_SERVING, "m-b1", lambda o: REGISTRY_MANAGED_BY not in o["metadata"]["labels"]
            )
            version = before["metadata"]["resourceVersion"]
            # Two probes, each set back at once: the object changes, its spec does not.
            for _ in range(2):
                probed = await world.until(MODEL_SERVING, "m-b1", is_newer_than(version))
                version = probed["metadata"]["resourceVersion"]
        finally:
            kthena.stop()

    assert probed["metadata"]["generation"] == before["metadata"]["generation"]


@pytest.mark.slow
async def test_reverted_status_is_abandoned_and_reported(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace, conflict_timing=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        begun = audit.now(plane)
        theirs = {"type": "Active", "status": "False", "reason": "Theirs", "message": ""}
        theirs["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        patch = {"status": {"conditions": [theirs]}}
        for _ in range(MAX_REPAIRS):
            await world.patch(MODEL_BOOSTER, "m", patch, subresource="status")
            await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await world.patch(MODEL_BOOSTER, "m", patch, subresource="status")

        (event,) = await warned(world)
        assert 'the status is changed back by field manager "tests" (Update at 2' in event["note"]
        assert len(written(plane, world.namespace, begun)) == MAX_REPAIRS
        # The other one has stopped.
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
