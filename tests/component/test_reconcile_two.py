"""Controllers that are interrupted at any moment, and two controllers at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
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
from app.errors import LeadershipLost
from app.kube import connect
from controller.config import ControllerConfig
from controller.controller import Controller
from controller.reconcile.events import EVENT
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.component.running import ACTIVE, DEPLOYING, is_in, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.proxy import CarriedOut, Delay, Proxy, ResetAfterCommit, ResetBeforeCommit, Rule
from tests.soak.churn import Churn
from tests.soak.verdict import until_right
from tests.world import PATIENCE_SECONDS, World

pytestmark = pytest.mark.anyio

SCALED = backend(minReplicas=1, maxReplicas=2, autoscalingPolicy=policy())
WRITES = 7
"""Writes from creation to Active: five children and two status updates."""

STEPS, ROUNDS = 10_000, 4
"""Of two concurrent controllers."""


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(plane, tmp_path) as proxy:
        yield proxy


@pytest.mark.fault("F26")
@pytest.mark.parametrize("end", [ResetBeforeCommit(), ResetAfterCommit()], ids=["before", "after"])
@pytest.mark.parametrize(
    "writes", [0, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 4, 5, 6))]
)
async def test_successor_finishes_an_interrupted_pass(
    writes: int,
    end: ResetBeforeCommit | ResetAfterCommit,
    proxy: Proxy,
    kubeconfig: Path,
    world: World,
    plane: ControlPlane,
) -> None:
    """The first controller loses its connection after a number of writes."""
    # Requests of one pass are concurrent. The server processes these last ones, whether or not
    # their sender still waits for the response.
    proxy.add(Rule(CarriedOut(), verb="patch", times=writes))
    last = proxy.add(Rule(end, verb="patch"))
    proxy.add(Rule(ResetBeforeCommit(), verb="patch", times=None))
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
    assert len(made) == len(set(made)) == 5
    assert not [e for e in await world.list(EVENT) if e["type"] == "Warning"]


async def test_former_leader_stops_writing(
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
        controller = Controller(kube, ControllerConfig(namespaces=(world.namespace,)))
        following = asyncio.create_task(controller.follow())
        with pytest.raises(LeadershipLost, match="run out"):
            await controller.work()
        following.cancel()

    assert len(written(plane, world.namespace)) <= 2


@pytest.mark.fault("F22")
@pytest.mark.timeout(400)
@pytest.mark.slow
async def test_two_concurrent_controllers_converge(
    plane: ControlPlane, world: World, tmp_path: Path
) -> None:
    """Both believe that they lead: this costs conflicts, but no change is lost or undone.

    A step is a request of either controller or of a simulated user. Random delays decide how they
    interleave. After each round the stored objects must match the pure conversion of the specs,
    and no further write may follow.
    """
    seed = random.SystemRandom().randrange(10**6)
    with Proxy(plane, tmp_path, seed) as proxy:
        for seconds, chance in ((0.3, 0.02), (0.1, 0.1), (0.02, 0.5)):
            proxy.add(Rule(Delay(seconds), times=None, chance=chance))
        churn = Churn(
            world,
            random.Random(seed),
            asyncio.Lock(),
            changes_per_second=20,
            hands_per_second=5,
        )

        def steps() -> int:
            return proxy.count() + sum(churn.done.values())

        async with (
            running(proxy.kubeconfig, world.namespace) as one,
            running(proxy.kubeconfig, world.namespace) as other,
        ):
            serving = asyncio.create_task(churn.serving())
            for number in range(1, ROUNDS + 1):
                works = (churn.users, churn.users, churn.users, churn.hands)
                meddling = [asyncio.create_task(work()) for work in works]
                async with asyncio.timeout(300):
                    while steps() < STEPS * number / ROUNDS:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                for task in meddling:
                    task.cancel()
                await asyncio.wait(meddling)
                churn.flaps = False
                seconds, wrong = await until_right(world, 120)
                assert wrong == [], f"seed {seed}, round {number}, after {seconds:.0f} s"
                await until_idle(one)
                await until_idle(other)
                churn.flaps = True
            churn.flaps = False
            seconds, wrong = await until_right(world, 60)
            assert wrong == [], f"seed {seed}, after {seconds:.0f} s"
            # Status details are batched for up to ten seconds, and a store that missed an event is
            # compared with the API server once a minute.
            for _ in range(8):
                begun = audit.now(plane)
                await asyncio.sleep(12)
                late = written(plane, world.namespace, begun)
                if not late:
                    break
            assert late == [], f"seed {seed}"
            serving.cancel()
            await churn.settle()
        codes = Counter(count.code for count in proxy.counts.elements())
        print(f"{steps()} steps, seed {seed}; answers {dict(codes)}; changes {dict(churn.done)}")
