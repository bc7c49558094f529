"""Row F09: what happens to an object while the answer to our own write of it is on its way.

The watch shows it before anybody can tell what of it is our own doing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING
from app.values.meta import Resource, uid_of
from controller.controller import Controller
from tests.builders import backend, booster_object
from tests.component.running import DEPLOYING, is_in, running, until_idle
from tests.following import eventually
from tests.proxy import Answer, CarriedOut, Proxy, ResetAfterCommit, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

LATE = CarriedOut(after_seconds=2)


@pytest.fixture
async def controller(proxy: Proxy, namespace: str) -> AsyncIterator[Controller]:
    async with running(proxy.kubeconfig, namespace) as controller:
        await until_idle(controller)
        yield controller


def late_status(proxy: Proxy, fault: CarriedOut = LATE) -> Rule:
    return proxy.add(Rule(fault, verb="patch", resource=MODEL_BOOSTER.plural, subresource="status"))


@pytest.mark.fault("F09")
@pytest.mark.usefixtures("controller")
async def test_edit_before_a_late_status_response_is_applied(world: World, proxy: Proxy) -> None:
    late_status(proxy)
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 1))

    await world.put(MODEL_BOOSTER, booster_object("m", backend(schedulerName="other")))

    await world.until(MODEL_SERVING, "m-b1", lambda o: o["spec"]["schedulerName"] == "other")
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))


@pytest.mark.fault("F09")
@pytest.mark.usefixtures("controller")
async def test_recreated_before_a_late_status_response_gets_children(
    world: World, proxy: Proxy
) -> None:
    late_status(proxy)
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))

    await world.delete(MODEL_BOOSTER, "m")
    again = await world.put(MODEL_BOOSTER, booster_object("m"))

    await has_children(world, uid_of(again))


@pytest.mark.fault("F09")
@pytest.mark.usefixtures("controller")
async def test_recreated_before_its_deletion_is_seen_gets_children(
    world: World, proxy: Proxy
) -> None:
    rule = late_status(proxy, CarriedOut(before_seconds=2, after_seconds=2))
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await eventually(lambda: rule.acted)
    await world.delete(MODEL_BOOSTER, "m")
    await eventually(lambda: proxy.count(verb="patch", subresource="status", code=404))

    again = await world.put(MODEL_BOOSTER, booster_object("m"))

    await has_children(world, uid_of(again))


@pytest.mark.fault("F09")
@pytest.mark.parametrize("resource", [MODEL_SERVER, MODEL_ROUTE], ids=lambda r: r.kind)
async def test_child_deleted_before_a_late_create_response_is_recreated(
    resource: Resource, controller: Controller, world: World, proxy: Proxy
) -> None:
    proxy.add(Rule(LATE, verb="patch", resource=resource.plural))
    await world.put(MODEL_BOOSTER, booster_object("m"))
    name = "m" if resource is MODEL_ROUTE else "m-b1"
    first = await world.until(resource, name)

    await world.delete(resource, name)

    await world.until(resource, name, lambda o: uid_of(o) != uid_of(first))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await until_idle(controller)
    assert len(await world.list(resource)) == 1


@pytest.mark.fault("F09")
@pytest.mark.slow
async def test_edit_before_a_late_read_response_is_reverted(
    controller: Controller, world: World, proxy: Proxy
) -> None:
    at = MODEL_SERVER.plural
    blind = proxy.add(Rule(Answer(503), verb="watch", times=None, resource=at))
    proxy.hang_up()
    await eventually(lambda: blind.acted)
    # The answer is lost, and the watch shows nothing: so it is sent again, and then looked for.
    proxy.add(Rule(ResetAfterCommit(), verb="patch", resource=at))
    proxy.add(Rule(CarriedOut(after_seconds=6), verb="get", resource=at))
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await eventually(lambda: proxy.count(verb="get", code=200, resource=at))
    before = proxy.count(verb="watch", code=200, resource=at)
    proxy.clear()
    await eventually(lambda: proxy.count(verb="watch", code=200, resource=at) > before)

    await world.patch(MODEL_SERVER, "m-b1", {"spec": {"inferenceEngine": "SGLang"}})

    await world.until(MODEL_SERVER, "m-b1", lambda o: o["metadata"]["generation"] > 2)
    await world.until(MODEL_SERVER, "m-b1", lambda o: o["spec"]["inferenceEngine"] == "vLLM")
    await until_idle(controller)


async def has_children(world: World, uid: str) -> None:
    for resource, name in ((MODEL_SERVING, "m-b1"), (MODEL_SERVER, "m-b1"), (MODEL_ROUTE, "m")):
        await world.until(
            resource, name, lambda o: o["metadata"]["ownerReferences"][0]["uid"] == uid
        )
    await world.until(MODEL_BOOSTER, "m", lambda o: uid_of(o) == uid and is_in(DEPLOYING)(o))
