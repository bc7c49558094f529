"""Row F14: what belongs together is told in the wrong order; each kind has a watch of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy

import pytest

from app.apis.kinds import (
    CHILDREN,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
)
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Object, Resource, uid_of
from controller.controller import Controller
from controller.reconcile.events import EVENT
from tests.builders import backend, booster_object, model
from tests.component.running import DEPLOYING, is_in, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.following import eventually
from tests.proxy import Answer, Delay, ErrorEvent, Proxy, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

LATE_SECONDS = 2.0


@pytest.fixture
async def controller(proxy: Proxy, namespace: str) -> AsyncIterator[Controller]:
    async with running(proxy.kubeconfig, namespace) as controller:
        yield controller


async def warnings(world: World) -> list[str]:
    return [e["note"] for e in await world.list(EVENT) if e["type"] == "Warning"]


async def late(proxy: Proxy, resource: str) -> Rule:
    """Cuts all watches and delays the next watch of one kind."""
    rule = proxy.add(Rule(Delay(LATE_SECONDS), verb="watch", resource=resource))
    proxy.hang_up()
    await eventually(lambda: rule.acted)
    return rule


def children_of(booster: Object) -> list[Object]:
    """The children of a ModelBooster as another controller would have made them by now."""
    metadata = {key: booster["metadata"][key] for key in ("uid", "namespace")}
    meaning = model(booster["metadata"]["name"], backend(), metadata=metadata)
    return [deepcopy(d.object) for d in desired_children(meaning, Profile.B, Options())]


@pytest.mark.fault("F14")
@pytest.mark.slow
async def test_children_arrive_before_their_model_booster(
    controller: Controller, proxy: Proxy, world: World, plane: ControlPlane
) -> None:
    await until_idle(controller)
    await late(proxy, MODEL_BOOSTER.plural)

    booster = await world.put(MODEL_BOOSTER, booster_object("m"))
    resources = {resource.kind: resource for resource in CHILDREN}
    made = [await world.create(resources[child["kind"]], child) for child in children_of(booster)]

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await until_idle(controller)
    for child in made:
        resource = resources[child["kind"]]
        assert [uid_of(live) for live in await world.list(resource)] == [uid_of(child)]
    assert not [line for line in written(plane, world.namespace) if line.startswith("201")]
    assert await warnings(world) == []


@pytest.mark.fault("F14")
@pytest.mark.parametrize(
    ("resource", "relists"),
    [
        pytest.param(MODEL_SERVING, False, id="ModelServing, told late"),
        pytest.param(MODEL_ROUTE, False, id="ModelRoute, told late"),
        pytest.param(MODEL_ROUTE, True, id="ModelRoute, never told"),
    ],
)
async def test_child_deleted_before_its_creation_is_seen(
    resource: Resource, relists: bool, controller: Controller, proxy: Proxy, world: World
) -> None:
    await until_idle(controller)
    gone = proxy.add(Rule(Answer(503), verb="watch", resource=resource.plural, times=None))
    proxy.hang_up()
    await eventually(lambda: gone.acted)
    name = "m" if resource is MODEL_ROUTE else "m-b1"
    await world.put(MODEL_BOOSTER, booster_object("m"))
    first = await world.until(resource, name)

    await world.delete(resource, name)
    proxy.clear()
    if relists:  # the list shows neither its coming nor its going
        proxy.add(Rule(ErrorEvent(), verb="watch", resource=resource.plural))

    await world.until(resource, name, lambda o: uid_of(o) != uid_of(first))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await until_idle(controller)
    assert len(await world.list(resource)) == 1
    assert await warnings(world) == []


@pytest.mark.fault("F14")
async def test_child_loses_its_label_before_its_creation_is_seen(
    controller: Controller, proxy: Proxy, world: World
) -> None:
    await until_idle(controller)
    at = MODEL_SERVER.plural
    blind = proxy.add(Rule(Answer(503), verb="watch", resource=at, times=None))
    proxy.hang_up()
    await eventually(lambda: blind.acted)
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
    made = await world.until(MODEL_SERVER, "m-b")
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    # Nothing is deleted while something that is wanted cannot be made.
    theirs = {key: made[key] for key in ("apiVersion", "kind", "spec")}
    await world.put(MODEL_SERVER, {**theirs, "metadata": {"name": "m-c"}})
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("c")))
    await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildNameConflict")))

    await world.patch(MODEL_SERVER, "m-b", {"metadata": {"labels": None}})
    proxy.clear()
    relists = proxy.add(Rule(ErrorEvent(), verb="watch", resource=at))
    await eventually(lambda: relists.acted)
    await until_idle(controller)
    await world.delete(MODEL_SERVER, "m-c")

    await world.until_gone(MODEL_SERVER, "m-b")
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))


@pytest.mark.fault("F14")
@pytest.mark.slow
async def test_model_booster_deleted_before_its_children_are_seen(
    controller: Controller, proxy: Proxy, world: World, plane: ControlPlane
) -> None:
    await until_idle(controller)
    await late(proxy, MODEL_SERVING.plural)
    before = proxy.count(verb="watch", code=200, resource=MODEL_SERVING.plural)
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_SERVING, "m-b1")

    await world.delete(MODEL_BOOSTER, "m")

    await world.until_gone(MODEL_SERVING, "m-b1")
    # The resumed watch reports the deleted children.
    await eventually(
        lambda: proxy.count(verb="watch", code=200, resource=MODEL_SERVING.plural) > before
    )
    await until_idle(controller)
    made = [line for line in written(plane, world.namespace) if line.startswith("201")]
    assert len(made) == len(set(made))
    assert await world.list(MODEL_SERVING) == []
    assert await warnings(world) == []
