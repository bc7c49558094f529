"""Children that are made again: what the router of kthena v0.1.0 needs to notice them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.apis.kinds import (
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    POD_SERVER,
    KthenaRelease,
)
from app.convert.options import Options
from app.values.meta import Object, Resource, annotations_of, uid_of
from controller.status.forgotten_pods import DELAY_SECONDS
from controller.status.pod_records import POD
from tests import audit
from tests.builders import backend, booster_object
from tests.component.running import DEPLOYING, condition, is_in, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.world import World

pytestmark = pytest.mark.anyio

SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")

KEPT: Object = {"metadata": {"finalizers": ["example.com/keep"]}}
RELEASED: Object = {"metadata": {"finalizers": None}}


async def started(world: World, serving: str) -> str:
    """Makes the pod of a ModelServing, as the serving controller does; returns its name."""
    await world.until(SERVICE_ACCOUNT, "default")
    role = (await world.until(MODEL_SERVING, serving))["spec"]["template"]["roles"][0]
    template = role["entryTemplate"]
    metadata = {"name": serving, "labels": template["metadata"]["labels"]}
    await world.create(
        POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    )
    return serving


def patched_pods(plane: ControlPlane, namespace: str, since: datetime) -> list[str]:
    return [line for line in written(plane, namespace, since) if " pods/" in line]


async def made_anew(world: World, server: str) -> Object:
    """Deletes a ModelServer whose pod is older by more than a second; returns the new one."""
    old = await world.until(MODEL_SERVER, server)
    made = datetime.fromisoformat((await world.until(POD, server))["metadata"]["creationTimestamp"])
    younger = made + timedelta(seconds=1.1)  # timestamps are whole seconds
    await asyncio.sleep(max(0, (younger - datetime.now(UTC)).total_seconds()))
    await world.delete(MODEL_SERVER, server)
    return await world.until(MODEL_SERVER, server, lambda o: uid_of(o) != uid_of(old))


@pytest.mark.parametrize(
    ("touch", "release", "is_touched"),
    [
        (True, None, True),
        (True, KthenaRelease(0, 2, 0), True),
        (True, KthenaRelease(0, 3, 0), False),
        (False, None, False),
    ],
)
@pytest.mark.slow
async def test_pods_are_touched_once_after_their_server_was_made_anew(
    touch: bool,
    release: KthenaRelease | None,
    is_touched: bool,
    kubeconfig: Path,
    world: World,
    plane: ControlPlane,
) -> None:
    begun = audit.now(plane)
    config = {"touch_pods": touch, "options": Options(kthena_release=release)}
    async with running(kubeconfig, world.namespace, **config) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        pods = [await started(world, name) for name in ("m-a", "m-b")]
        await until_idle(controller)
        assert patched_pods(plane, world.namespace, begun) == []
        new = await made_anew(world, "m-a")
        if is_touched:
            await world.until(
                POD, "m-a", lambda o: annotations_of(o).get(POD_SERVER) == uid_of(new)
            )
        await until_idle(controller)
    async with running(kubeconfig, world.namespace, **config) as controller:
        await until_idle(controller)
        await asyncio.sleep(DELAY_SECONDS + 0.5)
        await until_idle(controller)
        booster = await world.until(MODEL_BOOSTER, "m")
        assert "404" not in condition(booster, "Active")["message"]
    want = ["200 patch pods/m-a"] if is_touched else []
    assert patched_pods(plane, world.namespace, begun) == want
    assert POD_SERVER not in annotations_of(await world.until(POD, pods[1]))


@pytest.mark.slow
async def test_forgotten_pods_are_reported(
    kubeconfig: Path, world: World, plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    """The installed release needs it, and the setting is off; the user can do it by hand."""
    options = Options(kthena_release=KthenaRelease(0, 2, 0))
    begun = audit.now(plane)
    async with running(kubeconfig, world.namespace, options=options):
        await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        for name in ("m-a", "m-b"):
            await started(world, name)
        new = await made_anew(world, "m-a")
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda o: "404" in condition(o, "Active")["message"]
        )
        assert condition(booster, "Active")["message"].endswith(
            'requests to backend a may fail with 404: ModelServer "m-a" was created again, and the '
            "router of the installed kthena forgets the pods that are older; set "
            "controller.touchPods of the chart, or replace these pods"
        )
        await world.patch(POD, "m-a", {"metadata": {"annotations": {POD_SERVER: uid_of(new)}}})
        await world.until(
            MODEL_BOOSTER, "m", lambda o: "404" not in condition(o, "Active")["message"]
        )
    assert patched_pods(plane, world.namespace, begun) == []
    assert "does not find pods again" in caplog.text


async def test_name_is_free_when_the_old_route_is_gone(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("old", name="qwen"))
        await world.until(MODEL_BOOSTER, "old", is_in(DEPLOYING))
        await world.patch(MODEL_ROUTE, "old", KEPT)
        await world.delete(MODEL_BOOSTER, "old")
        await world.until_gone(MODEL_BOOSTER, "old")

        await world.put(MODEL_BOOSTER, booster_object("new", name="qwen"))
        booster = await world.until(MODEL_BOOSTER, "new", is_in(("UUU", "StatusUnknown")))
        assert condition(booster, "Initialized")["message"] == (
            'waiting for ModelRoute "old", being deleted, to go'
        )
        await world.until(MODEL_SERVING, "new-b1")  # its pods need not wait
        await until_idle(controller)
        assert await world.get(MODEL_ROUTE, "new") is None

        await world.patch(MODEL_ROUTE, "old", RELEASED)
        await world.until(MODEL_ROUTE, "new")
        await world.until(MODEL_BOOSTER, "new", is_in(DEPLOYING))


async def test_name_passes_to_another_model_when_the_renamed_route_is_gone(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("alpha", name="qwen"))
        await world.until(MODEL_BOOSTER, "alpha", is_in(DEPLOYING))
        await world.put(MODEL_BOOSTER, booster_object("beta", name="qwen"))
        await world.until(MODEL_BOOSTER, "beta", is_in(("FFT", "ValidationFailed")))
        begun = audit.now(plane)

        await world.put(MODEL_BOOSTER, booster_object("alpha", name="qwen2"))

        await world.until(MODEL_ROUTE, "beta", lambda o: o["spec"]["modelName"] == "qwen")
        await world.until(MODEL_BOOSTER, "beta", is_in(DEPLOYING))
    routes = [line for line in written(plane, world.namespace, begun) if "modelroutes" in line]
    assert routes.index("200 delete modelroutes/alpha") < routes.index("201 patch modelroutes/beta")
