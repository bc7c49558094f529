"""What kthena's own controller made keeps its pods until somebody says that they may restart."""

from __future__ import annotations

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
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW, HOLD
from controller.reconcile.events import EVENT
from tests import audit
from tests.builders import backend as backend_of
from tests.builders import booster_object, worker
from tests.component.running import ACTIVE, condition, running, state, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.upstream import RESOURCES, as_kthena_made
from tests.world import World

pytestmark = pytest.mark.anyio

NAMES = ("a", "b", "c")


@pytest.fixture
async def made(world: World) -> list[Object]:
    """Three ModelBoosters with what kthena's controller made of them: all are served."""
    children: list[Object] = []
    for name in NAMES:
        booster = await world.put(MODEL_BOOSTER, booster_object(name))
        for child in as_kthena_made(booster):
            children.append(await world.create(RESOURCES[child["kind"]], child))
        await world.serve(MODEL_SERVING, f"{name}-b1")
        status = {"observedGeneration": booster["metadata"]["generation"]}
        await world.patch(MODEL_BOOSTER, name, {"status": status}, subresource="status")
    return children


def is_held(booster: Object) -> bool:
    return bool(condition(booster, "Initialized")["reason"] == "RolloutHeld")


def is_ours(child: Object) -> bool:
    return REGISTRY_MANAGED_BY in child["metadata"]["labels"]


async def handed_over(world: World) -> list[str]:
    """The ModelServings that are ours by now."""
    return [o["metadata"]["name"] for o in await world.list(MODEL_SERVING) if is_ours(o)]


async def specs(world: World) -> dict[str, Object]:
    """The spec of every child."""
    return {
        f"{o['kind']}/{o['metadata']['name']}": o["spec"]
        for resource in RESOURCES.values()
        for o in await world.list(resource)
    }


async def annotate(world: World, name: str, value: str) -> None:
    await world.patch(MODEL_BOOSTER, name, {"metadata": {"annotations": {ROLLOUT: value}}})


@pytest.mark.usefixtures("made")
@pytest.mark.slow
async def test_takeover_restarts_nothing_without_request(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    before, begun = await specs(world), audit.now(plane)

    for _ in range(2):  # a restart forgets nothing
        async with running(kubeconfig, world.namespace) as controller:
            boosters = [await world.until(MODEL_BOOSTER, name, is_held) for name in NAMES]
            await until_idle(controller)

    assert await specs(world) == before
    lines = written(plane, world.namespace, begun)
    assert sorted(lines) == [f"200 patch modelboosters/{name}/status" for name in NAMES]
    assert [state(booster) for booster in boosters] == [ACTIVE] * 3
    message = condition(boosters[0], "Initialized")["message"]
    assert message == (
        'ModelServing "a-b1" was made by another controller. To take it over restarts its pods, '
        "so its objects stay as they are until you allow it: "
        "kubectl annotate modelbooster a workload.serving.volcano.sh/rollout=allow"
    )
    events = await world.until_listed(EVENT, lambda found: len(found) >= 3)
    assert {event["reason"] for event in events} == {"RolloutHeld"}


@pytest.mark.usefixtures("made")
async def test_only_an_annotated_model_booster_is_taken_over(
    world: World, kubeconfig: Path
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        for name in NAMES:
            await world.until(MODEL_BOOSTER, name, is_held)

        await annotate(world, "b", ALLOW)

        for resource, name in ((MODEL_SERVING, "b-b1"), (MODEL_SERVER, "b-b1"), (MODEL_ROUTE, "b")):
            await world.until(resource, name, is_ours)
        await world.serve(MODEL_SERVING, "b-b1")
        booster = await world.until(MODEL_BOOSTER, "b", lambda o: state(o) == ACTIVE)
        await until_idle(controller)
    assert condition(booster, "Initialized")["reason"] == "ModelCreating"
    assert await handed_over(world) == ["b-b1"]


@pytest.mark.usefixtures("made")
async def test_spec_edit_starts_the_takeover(world: World, kubeconfig: Path) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.until(MODEL_BOOSTER, "a", is_held)

        edited = booster_object("a", backend_of(workers=[worker(image="other:1")]))
        await world.put(MODEL_BOOSTER, edited)

        await world.until(MODEL_SERVING, "a-b1", is_ours)
        await until_idle(controller)
    assert await handed_over(world) == ["a-b1"]


@pytest.mark.usefixtures("made")
async def test_takeover_waits_for_the_previous_wave(world: World, kubeconfig: Path) -> None:
    await annotate(world, "b", HOLD)
    order: list[str] = []
    for _ in range(2):
        # A new process for each wave: who is at it follows from the cluster.
        async with running(kubeconfig, world.namespace, rollout_wave_size=1) as controller:
            servings = await world.until_listed(
                MODEL_SERVING, lambda found: sum(map(is_ours, found)) > len(order)
            )
            (new,) = {o["metadata"]["name"] for o in servings if is_ours(o)} - set(order)
            order.append(new)
            await until_idle(controller)
        async with running(kubeconfig, world.namespace, rollout_wave_size=1) as controller:
            await until_idle(controller)
            assert await handed_over(world) == sorted(order)
            waiting = next(iter({"a-b1", "c-b1"} - set(order)), None)
            if waiting:
                booster = await world.until(MODEL_BOOSTER, waiting[0], is_held)
                message = condition(booster, "Initialized")["message"]
                assert f"until {world.namespace}/{new[0]} is available again" in message
            await world.serve(MODEL_SERVING, new)
            if waiting:
                await world.until(MODEL_SERVING, waiting, is_ours)

    assert sorted(order) == ["a-b1", "c-b1"]
    held = await world.until(MODEL_BOOSTER, "b", is_held)
    assert "as the annotation" in condition(held, "Initialized")["message"]


@pytest.mark.usefixtures("made")
async def test_child_deleted_during_takeover_is_recreated(world: World, kubeconfig: Path) -> None:
    async with running(kubeconfig, world.namespace):
        await world.until(MODEL_BOOSTER, "a", is_held)

        await world.delete(MODEL_SERVER, "a-b1")

        await world.until(MODEL_SERVER, "a-b1", is_ours)
    assert await handed_over(world) == []
