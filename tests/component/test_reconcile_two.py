"""Controllers that die at any moment, and two that work at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.apis.children import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from app.apis.meta import Object, uid_of
from app.errors import LeadershipLost
from app.kube import connect
from controller.controller import Controller, Scope
from controller.events import EVENT
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.component.running import ACTIVE, DEPLOYING, is_in, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.proxy import Proxy, ResetAfterCommit, ResetBeforeCommit, Rule
from tests.world import PATIENCE_SECONDS, World

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SCALED = backend(minReplicas=1, maxReplicas=2, autoscalingPolicy=policy())
WRITES = 7
"""What it takes from nothing to Active: five children and two reports."""


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(plane, tmp_path) as proxy:
        yield proxy


@pytest.mark.parametrize("end", [ResetBeforeCommit(), ResetAfterCommit()], ids=["before", "after"])
@pytest.mark.parametrize("writes", range(WRITES))
async def test_whoever_follows_one_that_died_does_the_rest(
    writes: int,
    end: ResetBeforeCommit | ResetAfterCommit,
    proxy: Proxy,
    kubeconfig: Path,
    world: World,
    plane: ControlPlane,
) -> None:
    """The first controller reaches nobody any more once it has written so many times."""
    last = Rule(end, verb="patch", skip=writes, times=1)
    proxy.add(last)
    proxy.add(Rule(ResetBeforeCommit(), verb="patch", skip=writes, times=None))
    await world.put(MODEL_BOOSTER, booster_object("m", SCALED))
    async with running(proxy.kubeconfig, world.namespace):
        if writes >= WRITES - 1:
            await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
            await world.serve(MODEL_SERVING, "m-b1")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not last.acted:  # noqa: ASYNC110 - polls as ``World.until`` does
                await asyncio.sleep(0.02)

    async with running(kubeconfig, world.namespace):
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))

    children = (MODEL_SERVING, MODEL_SERVER, MODEL_ROUTE)
    for resource in (*children, AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING):
        assert len(await world.list(resource)) == 1
    made = [line for line in written(plane, world.namespace) if line.startswith("201")]
    # Nothing is made twice. Of a request that the death cut off the log may not tell how it ended.
    assert len(made) == len(set(made)) <= 5
    assert not [e for e in await world.list(EVENT) if e["type"] == "Warning"]


async def test_who_leads_no_more_writes_no_more(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    left = 2

    def guard() -> None:
        nonlocal left
        if left == 0:
            raise LeadershipLost("the lease has run out")
        left -= 1

    await world.put(MODEL_BOOSTER, booster_object("m"))
    async with connect(str(kubeconfig), guard=guard) as kube:
        controller = Controller(kube, Scope(namespaces=(world.namespace,)))
        following = asyncio.create_task(controller.follow())
        with pytest.raises(LeadershipLost, match="run out"):
            await controller.work()
        following.cancel()

    assert len(written(plane, world.namespace)) <= 2


def scenes(seed: int) -> Iterator[Object]:
    """Specs of one ModelBooster, one after another, by chance."""
    chance = random.Random(seed)
    while True:
        names = chance.sample(["a", "b", "c"], k=chance.randint(1, 3))
        backends = [
            backend(name, schedulerName=chance.choice(["x", "y"]), routeWeight=chance.randint(1, 9))
            for name in sorted(names)
        ]
        yield booster_object("m", *backends, name=chance.choice([None, "qwen", "llama"]))


@pytest.mark.parametrize("seed", range(2))
async def test_two_at_once_come_to_the_same(
    seed: int, kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    """Both believe that they lead: it costs conflicts, nothing is lost, nothing goes to and fro."""
    specs = scenes(seed)
    async with (
        running(kubeconfig, world.namespace) as one,
        running(kubeconfig, world.namespace) as other,
    ):
        for _ in range(12):
            spec = next(specs)
            stored = await world.put(MODEL_BOOSTER, spec)
        generation = stored["metadata"]["generation"]
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, generation))
        names = sorted(f"m-{b['name']}" for b in spec["spec"]["backends"])

        def are_they(objects: list[Object]) -> bool:
            return sorted(o["metadata"]["name"] for o in objects) == names

        servings = await world.until_listed(MODEL_SERVING, are_they)
        await world.until_listed(MODEL_SERVER, are_they)
        clients_say = spec["spec"].get("name", "m")
        route = await world.until(MODEL_ROUTE, "m", lambda o: o["spec"]["modelName"] == clients_say)
        weights = {
            t["modelServerName"]: t["weight"] for t in route["spec"]["rules"][0]["targetModels"]
        }
        assert weights == {f"m-{b['name']}": b["routeWeight"] for b in spec["spec"]["backends"]}
        await until_idle(one)
        await until_idle(other)

        begun = audit.now(plane)
        await world.patch(MODEL_BOOSTER, "m", {"metadata": {"labels": {"wake": "up"}}})
        await world.put(MODEL_BOOSTER, booster_object("after"))
        await world.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
        await until_idle(one)
        await until_idle(other)

    lines = written(plane, world.namespace, begun)
    assert [line for line in lines if "after" not in line and line.startswith("2")] == []
    again = await world.list(MODEL_SERVING, "workload.serving.volcano.sh/model-name=m")
    assert sorted(map(uid_of, again)) == sorted(map(uid_of, servings))
