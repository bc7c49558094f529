"""Bad weather: the API server goes away, specs change faster than anybody can follow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.values.meta import Object, uid_of
from controller.reconcile.conflict_state import ConflictTiming
from tests import audit
from tests.builders import backend, booster_object
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    asked,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.world import Admin, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def fragile() -> Iterator[ControlPlane]:
    """A control plane of the test's own, to be broken."""
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        yield plane


@pytest.mark.slow
@pytest.mark.fault("F01")
async def test_controller_recovers_after_an_api_server_outage(
    fragile: ControlPlane, tmp_path: Path
) -> None:
    world = World(Admin(fragile.api, "default"))
    kubeconfig = fragile.kubeconfig_for(fragile.token, tmp_path / "kubeconfig")
    async with running(kubeconfig, "default") as controller:
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await world.put(MODEL_BOOSTER, booster_object("quiet"))
        await world.until(MODEL_BOOSTER, "quiet", is_in(DEPLOYING))
        await until_idle(controller)

        await asyncio.to_thread(fragile.stop_apiserver)
        await asyncio.sleep(10)  # how long it is away is what this is about
        await asyncio.to_thread(fragile.start_apiserver)
        begun = audit.now(fragile)
        await world.put(MODEL_BOOSTER, booster_object("m", name="qwen"))
        await world.delete(MODEL_SERVING, "m-b1")

        await world.until(MODEL_ROUTE, "m", lambda o: o["spec"]["modelName"] == "qwen", seconds=60)
        await world.until(MODEL_SERVING, "m-b1", seconds=60)
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
        requests = asked(fragile, "default", begun)
        assert [line for line in requests if "quiet" in line] == []
        listed = Counter(line for line in requests if " list " in line)
        assert all(count == 1 for count in listed.values()), listed


@pytest.mark.slow
@pytest.mark.fault("F01")
async def test_controller_starts_without_an_api_server(
    fragile: ControlPlane, tmp_path: Path
) -> None:
    world = World(Admin(fragile.api, "default"))
    kubeconfig = fragile.kubeconfig_for(fragile.token, tmp_path / "kubeconfig")
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await asyncio.to_thread(fragile.stop_apiserver)
    async with running(kubeconfig, "default"):
        await asyncio.sleep(10)  # how long it is away is what this is about
        await asyncio.to_thread(fragile.start_apiserver)

        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING), seconds=60)


@pytest.mark.fault("F43")
async def test_last_of_many_edits_is_applied(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    edits = 200
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        serving = await world.until(MODEL_SERVING, "m-b1")
        begun = audit.now(plane)

        def edit_all() -> None:
            for i in range(1, edits + 1):
                spec = {
                    "spec": {"backends": [backend(routeWeight=1 + i % 99, schedulerName=f"s{i}")]}
                }
                world.admin.patch(MODEL_BOOSTER, "m", spec)

        await asyncio.to_thread(edit_all)
        last = await world.until(
            MODEL_SERVING, "m-b1", lambda o: o["spec"]["schedulerName"] == f"s{edits}"
        )
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, edits + 1))
        seconds = (audit.now(plane) - begun).total_seconds()
        await until_idle(controller)

    assert uid_of(last) == uid_of(serving)
    reports = [line for line in written(plane, world.namespace, begun) if "status" in line]
    assert len(reports) <= seconds + 3  # one a second, and some for a start


async def test_flapping_status_is_not_copied_each_time(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        begun = audit.now(plane)

        def flap() -> None:
            for i in range(60):
                world.admin.serve(MODEL_SERVING, "m-b1", "Available" if i % 2 else "Progressing")

        await asyncio.to_thread(flap)
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
        seconds = (audit.now(plane) - begun).total_seconds()

    writes: list[str] = written(plane, world.namespace, begun)
    assert set(writes) <= {"200 patch modelboosters/m/status", "409 patch modelboosters/m/status"}
    assert len(writes) <= seconds + 3


async def test_write_loop_over_a_child_is_stopped_and_reported(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    quick = ConflictTiming(probe_seconds=2, quiet_seconds=0.5, max_pause_seconds=2)
    async with running(kubeconfig, world.namespace, conflict_timing=quick):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        begun = audit.now(plane)

        def fight() -> None:
            for _ in range(6):
                world.admin.until(MODEL_ROUTE, "m", lambda o: len(o["spec"]["rules"]) == 1)
                world.admin.patch(MODEL_ROUTE, "m", {"spec": {"rules": []}})

        await asyncio.to_thread(fight)

        booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ConflictingController")))
        message = condition(booster, "Failed")["message"]
        assert message.startswith('ModelRoute "m" is changed back by field manager "tests"')
        writes = [line for line in written(plane, world.namespace, begun) if "modelroutes" in line]
        assert 5 <= len(writes) <= 7
        # When the other one rests, it is put right, and all is well again.
        await world.until(MODEL_ROUTE, "m", lambda o: len(o["spec"]["rules"]) == 1)
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.fault("F45")
async def test_absurd_serving_status_is_ignored(world: World, kubeconfig: Path) -> None:
    absurd: Object = {
        "observedGeneration": 10**9,
        "replicas": 5,
        "availableReplicas": 2**31 - 1,
        "conditions": [
            {
                "type": "Odd",
                "status": "True",
                "reason": "Odd",
                "message": "x" * 30_000,
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
        ],
    }
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))

        await world.patch(MODEL_SERVING, "m-b1", {"status": absurd}, subresource="status")

        await world.until(MODEL_BOOSTER, "m", is_in(("TUF", "StatusUnknown")))
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
