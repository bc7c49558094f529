"""How the controller's work ends, on a real API server: no error and no Event is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.errors import LeadershipLost
from app.kube import Kube, connect
from app.values.meta import Key
from controller.controller import Controller, Scope
from controller.election.leader import lead
from controller.election.leadership import Leadership
from controller.election.lease import Term
from controller.reconcile.events import EVENT, Recorder
from tests.builders import booster_object
from tests.proxy import Delay, Proxy, ResetBeforeCommit, Rule
from tests.world import World

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def beside(controller: Controller) -> AsyncIterator[None]:
    """Lets a controller follow the cluster until the block ends."""
    following = asyncio.create_task(controller.follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


async def test_lost_leadership_during_many_writes_stops_the_work(
    kubeconfig: Path, world: World, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    await world.create(MODEL_BOOSTER, booster_object("m"))

    def forbid() -> float | None:
        raise LeadershipLost("another replica leads")

    async with connect(str(kubeconfig), guard=forbid) as kube:
        controller = Controller(kube, Scope(namespaces=(namespace,)))
        async with beside(controller), asyncio.timeout(30):
            with pytest.raises(LeadershipLost, match="another replica leads"):
                await controller.work()
    assert "a bug" not in caplog.text


async def test_error_during_the_initial_list_stops_the_work(
    kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise ValueError("the fault")

    async with connect(str(kubeconfig)) as kube:
        controller = Controller(kube, Scope(namespaces=(namespace,)))
        monkeypatch.setattr(controller._informers, "pods_synced", broken)  # the fault itself
        async with beside(controller), asyncio.timeout(30):
            with pytest.raises(ValueError, match="the fault"):
                await controller.work()


async def test_error_at_the_loss_of_leadership_is_logged(
    proxy: Proxy, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        proxy.add(Rule(ResetBeforeCommit(), times=None))
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while it was cancelled")

    term = Term(lease_seconds=3, renew_seconds=2, retry_seconds=0.2)
    leadership = Leadership(Key(namespace, "lease"), "one", term)
    async with connect(str(proxy.kubeconfig), guard=leadership.guard) as kube:
        with pytest.raises(LeadershipLost, match="was not renewed"):
            await lead(kube, leadership, work)
    assert "while it was cancelled" in caplog.text


async def test_pending_events_are_sent_at_shutdown(
    proxy: Proxy, world: World, namespace: str
) -> None:
    proxy.add(Rule(Delay(0.2), resource="events", verb="create", times=None))
    names = {f"m{number}" for number in range(10)}
    for name in names:
        await world.create(MODEL_BOOSTER, booster_object(name))
    async with connect(str(proxy.kubeconfig)) as kube:
        controller = Controller(kube, Scope(namespaces=(namespace,)))
        async with beside(controller), asyncio.timeout(60):
            work = asyncio.create_task(controller.work())
            await world.until_listed(EVENT, lambda events: len(events) > 0)
            controller.stop()
            await work
    told = {event["regarding"]["name"] for event in await world.list(EVENT)}
    statuses = {
        booster["metadata"]["name"]
        for booster in await world.list(MODEL_BOOSTER)
        if "status" in booster
    }
    assert statuses <= told


@asynccontextmanager
async def recorder(proxy: Proxy) -> AsyncIterator[tuple[Kube, Recorder]]:
    async with connect(str(proxy.kubeconfig)) as kube:
        made = Recorder(kube, "one")
        running = asyncio.create_task(made.run())
        yield kube, made
        running.cancel()
        await asyncio.wait([running])


async def test_unsendable_events_delay_shutdown_by_one_second_at_most(
    proxy: Proxy, world: World
) -> None:
    booster = await world.create(MODEL_BOOSTER, booster_object("m"))
    proxy.add(Rule(Delay(60), resource="events", verb="create", times=None))
    async with recorder(proxy) as (_, made), asyncio.timeout(8):
        for number in range(100):
            made.record(booster, "Normal", "Test", f"{number}")
        await made.flush()
