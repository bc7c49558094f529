"""In which order children reach the API server: what kthena's router needs is stored first."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from app.values.meta import Resource
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.component.running import DEPLOYING, condition, is_in, running
from tests.controlplane.plane import ControlPlane
from tests.proxy import Answer, Delay, Proxy, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

SCALED = {"minReplicas": 1, "maxReplicas": 2, "autoscalingPolicy": policy()}
BACKENDS = [backend(name, **SCALED) for name in ("a", "b", "c")]

PAIRS = [
    (MODEL_SERVER, MODEL_SERVING),
    (MODEL_SERVING, MODEL_ROUTE),
    (AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING),
    (MODEL_SERVING, AUTOSCALING_POLICY_BINDING),
]


def assert_in_order(plane: ControlPlane, namespace: str, since: datetime | None = None) -> None:
    """Each kind was answered for all backends before the next one was first asked for."""
    made = [
        request
        for request in audit.requests(plane, namespace=namespace, since=since)
        if request.agent.startswith("model-booster/") and request.code == 201
    ]

    def of(resource: Resource) -> list[audit.Request]:
        return [request for request in made if request.resource == resource.plural]

    for first, then in PAIRS:
        assert of(first)
        assert of(then)
        answered = max(request.answered_at for request in of(first))
        asked = min(request.at for request in of(then))
        assert answered <= asked, f"{then.kind} did not wait for {first.kind}"


async def test_new_children_are_written_in_dependency_order(
    plane: ControlPlane, world: World, proxy: Proxy
) -> None:
    # A slow answer must be waited for, whatever else there is to do.
    slow = proxy.add(Rule(Delay(0.3), verb="patch", resource=MODEL_SERVER.plural))
    async with running(proxy.kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", *BACKENDS))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert slow.acted
    assert_in_order(plane, world.namespace)


@pytest.mark.slow
async def test_deleted_children_are_recreated_in_dependency_order(
    plane: ControlPlane, world: World, kubeconfig: Path
) -> None:
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", *BACKENDS))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    for resource in (MODEL_ROUTE, AUTOSCALING_POLICY_BINDING, AUTOSCALING_POLICY):
        for obj in await world.list(resource):
            await world.delete(resource, obj["metadata"]["name"])
    for name in ("m-a", "m-c"):
        for resource in (MODEL_SERVER, MODEL_SERVING):
            await world.delete(resource, name)
            await world.until_gone(resource, name)
    begun = audit.now(plane)
    async with running(kubeconfig, world.namespace):
        await world.until(MODEL_ROUTE, "m")
        for name in ("m-a", "m-c"):
            await world.until(AUTOSCALING_POLICY_BINDING, name)
    assert_in_order(plane, world.namespace, begun)


@pytest.mark.parametrize("fault", [Answer(503), Answer(409)], ids=["503", "409"])
@pytest.mark.slow
async def test_serving_waits_for_a_server_with_a_failed_write(
    plane: ControlPlane, world: World, proxy: Proxy, fault: Answer
) -> None:
    failed = proxy.add(Rule(fault, verb="patch", resource=MODEL_SERVER.plural, name="m-a"))
    async with running(proxy.kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", *BACKENDS))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert failed.acted
    made = {
        (request.resource, request.name): request
        for request in audit.requests(plane, namespace=world.namespace)
        if request.code == 201
    }
    server, serving = (made[kind.plural, "m-a"] for kind in (MODEL_SERVER, MODEL_SERVING))
    assert server.answered_at <= serving.at


async def test_rejected_server_does_not_block_pods(world: World, proxy: Proxy) -> None:
    proxy.add(Rule(Answer(422), verb="patch", resource=MODEL_SERVER.plural, times=None))
    async with running(proxy.kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildApplyFailed")))
        await world.until(MODEL_SERVING, "m-b1")
        await world.until(MODEL_ROUTE, "m")
    assert 'ModelServer "m-b1"' in condition(booster, "Failed")["message"]
