"""An upgrade of the operator keeps the pods, on the real API server.

The children are those that the version before the engine tables made of the golden inputs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.convert.options import Options
from app.values.meta import Object
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE, ROLLOUT
from controller.plan.rollout import ALLOW
from controller.reconcile.events import EVENT
from tests import audit
from tests.component.running import condition, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.upgrade import earlier
from tests.world import World

pytestmark = pytest.mark.anyio

NEW = Options(runtime_image="runtime:new", downloader_image="downloader:new")
NEWER = Options(runtime_image="runtime:newer", downloader_image="downloader:new")


async def install(world: World, cases: Iterable[str]) -> list[str]:
    """Creates ModelBoosters as the earlier version leaves them; returns their names."""
    names = []
    for case in cases:
        names.append(await asyncio.to_thread(earlier.install, world.admin, case))
    return names


def is_held(booster: Object) -> bool:
    return bool(condition(booster, "Initialized")["reason"] == "RolloutHeld")


def message_of(booster: Object) -> str:
    return str(condition(booster, "Initialized")["message"])


async def templates(world: World) -> dict[str, tuple[Object, int]]:
    """Template and generation of each ModelServing: kthena restarts pods for nothing else."""
    return {
        o["metadata"]["name"]: (o["spec"]["template"], o["metadata"]["generation"])
        for o in await world.list(MODEL_SERVING)
    }


async def kept(world: World, before: Iterable[str]) -> dict[str, tuple[Object, int]]:
    """The same for those that were there before; the earlier version did not serve SGLang."""
    return {name: found for name, found in (await templates(world)).items() if name in before}


async def images(world: World, name: str) -> set[str]:
    """Images of the runtime in the ModelServings of a ModelBooster."""
    return {
        container["image"]
        for obj in await world.list(MODEL_SERVING)
        if obj["metadata"]["name"].startswith(f"{name}-")
        for role in obj["spec"]["template"]["roles"]
        for container in role["entryTemplate"]["spec"]["containers"]
        if container["name"] == "runtime"
    }


async def annotate(world: World, name: str, value: str | None) -> None:
    await world.patch(MODEL_BOOSTER, name, {"metadata": {"annotations": {ROLLOUT: value}}})


async def edit_backend(world: World, name: str, number: int, **fields: Any) -> None:
    booster = await world.until(MODEL_BOOSTER, name)
    booster["spec"]["backends"][number] |= fields
    await world.put(MODEL_BOOSTER, booster)


@pytest.mark.slow
async def test_upgrade_changes_no_template_of_any_golden_case(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    names = await install(world, earlier.cases())
    before = await templates(world)

    async with running(kubeconfig, world.namespace) as controller:  # with the same settings
        await until_idle(controller)
    assert await kept(world, before) == before

    async with running(kubeconfig, world.namespace, options=NEW) as controller:
        for name in names:
            await world.until(MODEL_BOOSTER, name, is_held)
        await until_idle(controller)

    assert await kept(world, before) == before
    for obj in await world.list(MODEL_SERVING):
        assert obj["metadata"]["annotations"].keys() == {POD_INPUTS, POD_TEMPLATE}
    events = await world.until_listed(EVENT, bool)
    assert "RolloutHeld" in {event["reason"] for event in events}

    begun = audit.now(plane)  # a restart, or another leader, finds nothing to do
    for options in (NEW, NEW):
        async with running(kubeconfig, world.namespace, options=options) as controller:
            await until_idle(controller)
    assert written(plane, world.namespace, begun) == []

    async with running(kubeconfig, world.namespace, options=NEWER) as controller:
        await until_idle(controller)
    assert await kept(world, before) == before
    lines = written(plane, world.namespace, begun)
    assert {line.partition("/")[0] for line in lines} <= {"200 patch modelboosters"}


async def test_edits_after_an_upgrade(world: World, kubeconfig: Path) -> None:
    (name,) = await install(world, ["canary"])
    before = await templates(world)
    old = await images(world, name)
    async with running(kubeconfig, world.namespace, options=NEW) as controller:
        await world.until(MODEL_BOOSTER, name, is_held)

        await edit_backend(world, name, 0, routeWeight=50, replicas=5)

        await world.until(
            MODEL_ROUTE,
            name,
            lambda o: o["spec"]["rules"][0]["targetModels"][0]["weight"] == 50,
        )
        await world.until(MODEL_SERVING, f"{name}-stable", lambda o: o["spec"]["replicas"] == 5)
        await until_idle(controller)
        after = await templates(world)
        assert {n: t for n, (t, _) in after.items()} == {n: t for n, (t, _) in before.items()}

        await edit_backend(world, name, 1, workers=[{"image": "engine:3"}])

        await world.until(
            MODEL_SERVING, f"{name}-next", lambda o: "runtime:new" in str(o["spec"]["template"])
        )
        await until_idle(controller)
        assert (await templates(world))[f"{name}-stable"] == after[f"{name}-stable"]
        booster = await world.until(
            MODEL_BOOSTER, name, lambda o: f'"{name}-next"' not in message_of(o)
        )
        assert f'"{name}-stable"' in message_of(booster)

        await annotate(world, name, ALLOW)

        await world.until(
            MODEL_SERVING, f"{name}-stable", lambda o: "runtime:new" in str(o["spec"]["template"])
        )
        await world.until(MODEL_BOOSTER, name, lambda o: not is_held(o))
    assert old != await images(world, name) == {"runtime:new"}


async def test_edit_by_hand_after_an_upgrade_is_undone(world: World, kubeconfig: Path) -> None:
    (name,) = await install(world, ["least"])
    async with running(kubeconfig, world.namespace, options=NEW) as controller:
        await world.until(MODEL_BOOSTER, name, is_held)
        await until_idle(controller)
        (serving,) = await world.list(MODEL_SERVING)

        # kthena's autoscaler writes the whole object back. That is no edit.
        await world.put(MODEL_SERVING, serving)
        await until_idle(controller)
        assert await world.list(MODEL_SERVING) == [serving]

        role = serving["spec"]["template"]["roles"][0]
        role["entryTemplate"]["spec"]["containers"][0]["image"] = "mine"
        await world.put(MODEL_SERVING, serving)
        await world.until(
            MODEL_SERVING,
            serving["metadata"]["name"],
            lambda o: "mine" not in str(o["spec"]) and "runtime:new" in str(o["spec"]),
        )
        await world.until(MODEL_BOOSTER, name, lambda o: not is_held(o))

        await world.delete(MODEL_SERVING, serving["metadata"]["name"])
        uid = serving["metadata"]["uid"]
        await world.until(
            MODEL_SERVING, serving["metadata"]["name"], lambda o: o["metadata"]["uid"] != uid
        )


def rolled_out(servings: Iterable[Object]) -> set[str]:
    return {o["metadata"]["name"] for o in servings if "runtime:new" in str(o["spec"])}


async def test_upgrade_in_waves(world: World, kubeconfig: Path) -> None:
    names = await install(world, ["least", "amounts", "markers"])
    wave = {"options": NEW, "rollout_wave_size": 1}
    for size in range(1, len(names) + 1):
        async with running(kubeconfig, world.namespace, **wave) as controller:
            await world.until_listed(MODEL_SERVING, lambda found: len(rolled_out(found)) >= size)  # noqa: B023  # called now
            await until_idle(controller)
        # Nobody else begins while its pods are not available, also after a restart.
        async with running(kubeconfig, world.namespace, **wave) as controller:
            await until_idle(controller)
            now = rolled_out(await world.list(MODEL_SERVING))
            assert len(now) == size
        for new in now:
            await world.serve(MODEL_SERVING, new)
    async with running(kubeconfig, world.namespace, **wave) as controller:
        for name in names:
            await world.until(MODEL_BOOSTER, name, lambda o: not is_held(o))
