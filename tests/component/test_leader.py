"""Leader election on a real API server: which replica works, waits, or ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.errors import LeadershipLost, Unreachable
from app.kube import Kube, connect
from app.values.meta import Key, Object, Resource
from controller.election.elector import lead
from controller.election.leadership import Leadership
from controller.election.lease import LEASE, LeaseTiming
from tests.following import eventually
from tests.proxy import Answer, Delay, Proxy, ResetAfterCommit, ResetBeforeCommit, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
TIMING = LeaseTiming(lease_seconds=3, renew_seconds=2, retry_seconds=0.2)
CHART_TIMING = replace(TIMING, waits_if_absent=True)
"""Timing where the chart creates the lease."""

MARKS: Object = {"labels": {"app": "ours"}, "annotations": {"meta.helm.sh/release-name": "r"}}
"""Metadata that the chart gives its Lease."""

LONG_TIMING = LeaseTiming(lease_seconds=300, renew_seconds=200, retry_seconds=0.2)
"""Timing so long that the lease does not expire in a test."""


class Candidate:
    """One replica: a connection, a leadership, and work that shows that it is running."""

    def __init__(self, kube: Kube, leadership: Leadership) -> None:
        self.kube = kube
        self.leadership = leadership
        self.works = asyncio.Event()
        self.may_end = asyncio.Event()
        self.running: asyncio.Task[None]

    async def _work(self) -> None:
        self.works.set()
        try:
            await self.may_end.wait()
        finally:
            self.works.clear()

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> Candidate:
        self.running = asyncio.create_task(lead(self.kube, self.leadership, work or self._work))
        return self

    async def until_it_works(self) -> None:
        async with asyncio.timeout(60):
            await self.works.wait()

    async def until_it_ends(self) -> BaseException | None:
        await asyncio.wait([self.running], timeout=60)
        return self.running.exception()


@asynccontextmanager
async def candidate(
    kubeconfig: Path, namespace: str, me: str, timing: LeaseTiming = TIMING
) -> AsyncIterator[Candidate]:
    leadership = Leadership(Key(namespace, "lease"), me, timing, metadata=MARKS)
    async with connect(str(kubeconfig), guard=leadership.guard) as kube:
        one = Candidate(kube, leadership)
        one.start()
        yield one
        one.running.cancel()
        with suppress(asyncio.CancelledError, LeadershipLost):
            await one.running


async def holder(world: World) -> str:
    lease = await world.until(LEASE, "lease")
    return str(lease["spec"].get("holderIdentity", ""))


def _is_another_than(uid: str, lease: Object) -> bool:
    return bool(lease["metadata"]["uid"] != uid)


def _is_renewed_since(time: str, lease: Object) -> bool:
    return bool(lease["spec"]["renewTime"] > time)


def config_map(namespace: str, name: str = "written") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
    }


async def test_a_stopped_leader_hands_over_without_delay(
    kubeconfig: Path, world: World, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with candidate(kubeconfig, namespace, "one", LONG_TIMING) as one:
        await one.until_it_works()
        assert await holder(world) == "one"
        async with candidate(kubeconfig, namespace, "two", LONG_TIMING) as two:
            await eventually(lambda: "two waits: one leads" in caplog.text)
            assert not two.works.is_set()
            one.may_end.set()
            assert await one.until_it_ends() is None
            await two.until_it_works()
            lease = await world.until(LEASE, "lease")
            assert lease["spec"]["holderIdentity"] == "two"
            assert lease["spec"]["leaseTransitions"] == 1
            assert one.leadership.renewal_seconds_left() <= 0


async def test_an_empty_lease_of_the_chart_is_taken(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    await world.create(LEASE, {"metadata": {"name": "lease"}})
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        assert await holder(world) == "one"


async def test_lease_of_a_dead_leader_is_acquired_after_expiry(
    proxy: Proxy, world: World, namespace: str
) -> None:
    dead = {
        "holderIdentity": "dead",
        "leaseDurationSeconds": 2,
        "renewTime": "1999-01-01T00:00:00.000000Z",  # its clock may have been wrong
        "leaseTransitions": 7,
    }
    await world.create(LEASE, {"metadata": {"name": "lease"}, "spec": dead})
    async with candidate(proxy.kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        # An unchanged lease expires only after it was observed for its whole duration.
        assert proxy.count(verb="get", resource="leases") > 1
        lease = await world.until(LEASE, "lease")
        assert lease["spec"]["leaseTransitions"] == 8


async def test_only_one_of_many_replicas_leads(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async with (
        candidate(kubeconfig, namespace, "a") as a,
        candidate(kubeconfig, namespace, "b") as b,
        candidate(kubeconfig, namespace, "c") as c,
    ):
        everyone = {"a": a, "b": b, "c": c}
        while everyone:
            await eventually(lambda: any(one.works.is_set() for one in everyone.values()))
            working = [name for name, one in everyone.items() if one.works.is_set()]
            assert working == [await holder(world)]
            everyone[working[0]].may_end.set()
            assert await everyone.pop(working[0]).until_it_ends() is None


async def test_failed_work_raises_its_error_and_releases_the_lease(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async def fail() -> None:
        raise ValueError("a bug")

    leadership = Leadership(Key(namespace, "lease"), "one", TIMING)
    async with connect(str(kubeconfig)) as kube:
        with pytest.raises(ExceptionGroup) as caught:
            await lead(kube, leadership, fail)
    assert caught.value.subgroup(ValueError) is not None
    assert await holder(world) == ""


async def test_cancelled_work_releases_the_lease(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        one.running.cancel()
        await asyncio.wait([one.running])
        assert one.running.cancelled()
        assert await holder(world) == ""


# Failures of the API server


async def test_a_leader_survives_a_short_outage(proxy: Proxy, world: World, namespace: str) -> None:
    async with candidate(proxy.kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        out = proxy.add(Rule(Answer(503), resource="leases", times=4))
        await eventually(lambda: out.acted == 4)
        renewed = (await world.until(LEASE, "lease"))["spec"]["renewTime"]
        await world.until(LEASE, "lease", partial(_is_renewed_since, renewed))
        assert one.works.is_set()
        assert (await world.until(LEASE, "lease"))["spec"]["leaseTransitions"] == 0


async def test_a_renewal_with_a_lost_response_counts(
    proxy: Proxy, world: World, namespace: str
) -> None:
    async with candidate(proxy.kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        lost = proxy.add(Rule(ResetAfterCommit(), verb="update", resource="leases", times=2))
        await eventually(lambda: lost.acted == 2)
        renewed = (await world.until(LEASE, "lease"))["spec"]["renewTime"]
        await world.until(LEASE, "lease", partial(_is_renewed_since, renewed))
        assert one.works.is_set()


@pytest.mark.fault("F24")
async def test_disconnected_leader_stops_before_the_next_starts(
    proxy: Proxy, kubeconfig: Path, world: World, namespace: str
) -> None:
    async with (
        candidate(proxy.kubeconfig, namespace, "one") as one,
        candidate(kubeconfig, namespace, "two") as two,
    ):
        # The leader has to be the replica behind the proxy.
        await eventually(lambda: one.works.is_set() or two.works.is_set())
        if two.works.is_set():
            two.may_end.set()
            await two.until_it_ends()
            await one.until_it_works()
            two = Candidate(two.kube, two.leadership).start()
        proxy.add(Rule(ResetBeforeCommit(), times=None))
        await two.until_it_works()
        assert not one.works.is_set()

        error = await one.until_it_ends()
        assert isinstance(error, LeadershipLost)
        proxy.clear()
        with pytest.raises(LeadershipLost):  # a late write of the old leader
            await one.kube.apply(CONFIG_MAP, config_map(namespace))
        assert await holder(world) == "two"
        two.running.cancel()
        await asyncio.wait([two.running])


@pytest.mark.fault("F21")
async def test_no_write_is_sent_after_the_lease_expires(
    proxy: Proxy, world: World, namespace: str
) -> None:
    failed: list[BaseException] = []

    async def write() -> None:
        try:
            await one.kube.apply(CONFIG_MAP, config_map(namespace))
        except BaseException as exc:
            failed.append(exc)
            raise

    leadership = Leadership(Key(namespace, "lease"), "one", TIMING)
    async with connect(str(proxy.kubeconfig), guard=leadership.guard) as kube:
        proxy.add(Rule(Answer(503), verb="update", resource="leases", times=None))
        proxy.add(Rule(Answer(503), verb="get", resource="leases", skip=1, times=None))
        proxy.add(Rule(Delay(TIMING.lease_seconds + 0.5), verb="patch", resource="configmaps"))
        one = Candidate(kube, leadership)
        begun = time.monotonic()
        error = await one.start(write).until_it_ends()
    assert isinstance(error, LeadershipLost)
    assert isinstance(failed[0], asyncio.CancelledError | Unreachable)
    await asyncio.sleep(begun + TIMING.lease_seconds + 1.5 - time.monotonic())  # the delay is over
    assert await world.get(CONFIG_MAP, "written") is None


@pytest.mark.fault("F20")
@pytest.mark.parametrize(
    ("seconds", "survives"),
    [
        pytest.param(1.0, True, id="shorter than a renewal may take"),
        pytest.param(3.5, False, id="longer than the lease lasts"),
    ],
)
async def test_suspended_leader_resumes_or_stops(
    kubeconfig: Path, world: World, namespace: str, seconds: float, survives: bool
) -> None:
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        time.sleep(seconds)  # noqa: ASYNC251 - that is the fault
        if survives:
            assert await one.kube.apply(CONFIG_MAP, config_map(namespace))
            renewed = (await world.until(LEASE, "lease"))["spec"]["renewTime"]
            await world.until(LEASE, "lease", partial(_is_renewed_since, renewed))
            assert one.works.is_set()
        else:
            with pytest.raises(LeadershipLost):
                await one.kube.apply(CONFIG_MAP, config_map(namespace))
            assert isinstance(await one.until_it_ends(), LeadershipLost)


# F23: edits of the lease


@pytest.mark.fault("F23")
async def test_only_the_leader_recreates_a_deleted_lease(
    kubeconfig: Path, world: World, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        async with candidate(kubeconfig, namespace, "two") as two:
            await eventually(lambda: "two waits: one leads" in caplog.text)
            for _ in range(5):
                uid = (await world.until(LEASE, "lease"))["metadata"]["uid"]
                await world.delete(LEASE, "lease")
                await world.until(LEASE, "lease", partial(_is_another_than, uid))
                assert await holder(world) == "one"
            assert one.works.is_set()
            assert not two.works.is_set()


async def test_f23_a_recreated_lease_has_the_installers_metadata(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    await world.create(LEASE, {"metadata": {"name": "lease", **MARKS}})
    async with candidate(kubeconfig, namespace, "one", CHART_TIMING) as one:
        await one.until_it_works()
        uid = (await world.until(LEASE, "lease"))["metadata"]["uid"]
        await world.delete(LEASE, "lease")
        made = await world.until(LEASE, "lease", partial(_is_another_than, uid))
        assert {key: made["metadata"][key] for key in MARKS} == MARKS
        assert one.works.is_set()


async def test_f23_a_new_replica_waits_for_the_holder_of_a_deleted_lease(
    proxy: Proxy, kubeconfig: Path, world: World, namespace: str
) -> None:
    async with candidate(proxy.kubeconfig, namespace, "one", CHART_TIMING) as one:
        await one.until_it_works()
        # It cannot recreate the lease, and works until its last renewal expires.
        proxy.add(Rule(Answer(503), resource="leases", times=None))
        await world.delete(LEASE, "lease")
        await world.until_gone(LEASE, "lease")
        async with (
            candidate(kubeconfig, namespace, "two", CHART_TIMING) as two,
            candidate(kubeconfig, namespace, "three", CHART_TIMING) as three,
        ):
            await eventually(lambda: two.works.is_set() or three.works.is_set())
            assert not one.works.is_set()
            assert isinstance(await one.until_it_ends(), LeadershipLost)
            leader = await holder(world)
            assert two.works.is_set() is (leader == "two")
            assert three.works.is_set() is (leader == "three")


@pytest.mark.fault("F23")
async def test_leader_stops_when_its_name_is_removed_from_the_lease(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        await world.patch(LEASE, "lease", {"spec": {"holderIdentity": "somebody else"}})
        error = await one.until_it_ends()
        assert isinstance(error, LeadershipLost)
        assert "somebody else" in str(error)
        assert await holder(world) == "somebody else"  # not released: it is not ours


@pytest.mark.fault("F23")
async def test_unrelated_edit_of_the_lease_is_tolerated(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async with candidate(kubeconfig, namespace, "one") as one:
        await one.until_it_works()
        for n in range(5):
            await world.patch(LEASE, "lease", {"metadata": {"labels": {"n": str(n)}}})
            renewed = (await world.until(LEASE, "lease"))["spec"]["renewTime"]
            await world.until(LEASE, "lease", partial(_is_renewed_since, renewed))
        assert one.works.is_set()
        lease = await world.until(LEASE, "lease")
        assert lease["metadata"]["labels"] == {**MARKS["labels"], "n": "4"}
        assert lease["spec"]["leaseTransitions"] == 0


@pytest.mark.fault("F27")
@pytest.mark.slow
async def test_every_object_is_reconciled_after_repeated_lease_loss(
    kubeconfig: Path, world: World, namespace: str
) -> None:
    async with connect(str(kubeconfig)) as kube:

        def fresh(round_: int) -> Candidate:
            """Returns a new process, as the kubelet starts one."""
            key = Key(namespace, "lease")
            return Candidate(kube, Leadership(key, f"process-{round_}", TIMING)).start()

        pool = [fresh(-1), fresh(-2)]
        for round_ in range(20):
            await eventually(lambda: any(one.works.is_set() for one in pool))
            leader = next(one for one in pool if one.works.is_set())
            await world.patch(LEASE, "lease", {"spec": {"holderIdentity": "thief"}})
            assert isinstance(await leader.until_it_ends(), LeadershipLost)
            pool.remove(leader)
            assert [one.running.done() for one in pool] == [False]
            pool.append(fresh(round_))
            await world.patch(LEASE, "lease", {"spec": {"holderIdentity": ""}})
        for one in pool:
            one.running.cancel()
        await asyncio.wait([one.running for one in pool])
