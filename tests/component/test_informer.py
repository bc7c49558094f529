"""An informer on a real API server. Failures are tested in tests/faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import pytest

from app.cache.informer import Informer
from app.cache.records import Record
from app.cache.store import Store
from app.cache.timing import Timing
from app.kube import Kube, connect
from tests import audit
from tests.controlplane.plane import ControlPlane
from tests.following import CONFIG_MAP, QUICK, config_map, eventually, following, listings
from tests.proxy import Proxy, Rewrite, Rule
from tests.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kube(proxy: Proxy) -> AsyncIterator[Kube]:
    """The API server through the proxy."""
    async with connect(str(proxy.kubeconfig)) as connected:
        yield connected


@pytest.fixture
async def since(plane: ControlPlane) -> datetime:
    return await asyncio.to_thread(audit.now, plane)


async def test_a_synced_informer_has_all_objects_and_follows_changes(
    kube: Kube, world: World, namespace: str
) -> None:
    await world.put(CONFIG_MAP, config_map("a", n="1"))
    await world.put(CONFIG_MAP, {**config_map("unlabelled"), "metadata": {"name": "unlabelled"}})
    async with following(kube, namespace) as followed:
        assert followed.names == {"a"}
        assert followed.numbers == [1]
        await world.put(CONFIG_MAP, config_map("a", n="2"))
        await world.put(CONFIG_MAP, config_map("b", n="3"))
        await followed.until(lambda: followed.numbers == [1, 2, 3])
        await world.delete(CONFIG_MAP, "a")
        await followed.until(lambda: followed.deleted == ["a"])
        assert followed.names == {"b"}
        assert "managedFields" not in (followed.get("b") or {})["metadata"]


async def test_an_informer_of_metadata_follows_objects_without_their_content(
    kube: Kube, world: World, namespace: str
) -> None:
    await world.put(CONFIG_MAP, config_map("a", n="1"))
    seen: list[tuple[str, bool]] = []
    store = Store()

    def changed(old: Record | None, new: Record | None) -> None:
        record = new or old
        assert record is not None
        assert (record.object["apiVersion"], record.object["kind"]) == ("v1", "ConfigMap")
        assert "data" not in record.object
        seen.append((record.key.name, new is not None))

    informer = Informer(
        kube, CONFIG_MAP, store, changed, label_selector="team=red", namespace=namespace,
        only_metadata=True, timing=QUICK,
    )  # fmt: skip

    async def until(want: list[tuple[str, bool]]) -> None:
        await eventually(lambda: seen == want)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(informer.run())
        await until([("a", True)])
        await world.put(CONFIG_MAP, config_map("a", n="2"))
        await until([("a", True), ("a", True)])
        await world.put(CONFIG_MAP, config_map("b"))
        await world.delete(CONFIG_MAP, "a")
        await until([("a", True), ("a", True), ("b", True), ("a", False)])
        listed = await kube.list(CONFIG_MAP, namespace=namespace, label_selector="team=red")
        assert store.versions() == {
            o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in listed.items
        }
        running.cancel()


async def test_object_without_its_label_counts_as_deleted(
    kube: Kube, world: World, namespace: str
) -> None:
    await world.put(CONFIG_MAP, config_map("a"))
    async with following(kube, namespace) as followed:
        await world.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"team": None}}})
        await followed.until(lambda: followed.deleted == ["a"])
        await world.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"team": "red"}}})
        await followed.until(lambda: followed.get("a"))


@pytest.mark.slow
async def test_an_ended_watch_is_resumed_without_a_list(
    kube: Kube, world: World, plane: ControlPlane, namespace: str, since: datetime
) -> None:
    timing = Timing(watch_seconds=(1, 1), first_backoff_seconds=0.02)
    async with following(kube, namespace, timing) as followed:
        for n in range(1, 9):
            await world.put(CONFIG_MAP, config_map("a", n=str(n)))
            await followed.until(partial(followed.was_told, n))
            await asyncio.sleep(0.35)  # over the ends of several watches
        assert followed.numbers == list(range(1, 9))
        assert followed.counted == []
    assert await listings(plane, namespace, since) == 1


async def test_informers_of_two_namespaces_can_share_a_store(
    kube: Kube, world: World, plane: ControlPlane, namespace: str
) -> None:
    other = f"{namespace}-2"
    path = "/api/v1/namespaces"
    await asyncio.to_thread(plane.api.request, "POST", path, {"metadata": {"name": other}})
    await asyncio.to_thread(
        plane.api.request, "POST", f"{path}/{other}/configmaps", config_map("there")
    )
    await world.put(CONFIG_MAP, config_map("here"))
    store = Store()
    async with following(kube, namespace, store=store), following(kube, other, store=store):
        assert {record.key.name for record in store.records()} == {"here", "there"}
    await asyncio.to_thread(plane.api.request, "DELETE", f"{path}/{other}")


AUDITED = Timing(
    watch_seconds=(60, 60),
    first_backoff_seconds=0.02,
    audit_seconds=(1, 1),
    audit_recheck_seconds=0.3,
)


class Swallowed:
    """Loses one deletion."""

    is_done = False

    def __call__(self, piece: bytes) -> bytes:
        out = b""
        for line in piece.splitlines(keepends=True):
            if not self.is_done and json.loads(line)["type"] == "DELETED":
                self.is_done = True
            else:
                out += line
        return out


async def test_the_audit_finds_a_lost_event(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    await world.put(CONFIG_MAP, config_map("a"))
    # For every watch, because the first one may be a streamed list that the server refuses.
    proxy.add(Rule(Rewrite(Swallowed()), verb="watch", times=None))
    async with following(kube, namespace, AUDITED) as followed:
        await world.delete(CONFIG_MAP, "a")
        await followed.until(lambda: followed.deleted == ["a"])
        assert followed.counted == ["audit"]


async def test_an_audit_without_differences_changes_nothing(
    kube: Kube, proxy: Proxy, world: World, plane: ControlPlane, namespace: str, since: datetime
) -> None:
    timing = Timing(watch_seconds=(60, 60), audit_seconds=(0.2, 0.2), audit_recheck_seconds=0.1)
    async with following(kube, namespace, timing) as followed:
        for n in range(40):  # while things change the two are never quite the same
            await world.put(CONFIG_MAP, config_map("a", n=str(n)))
        await followed.until(lambda: followed.numbers[-1] == 39)
        await eventually(lambda: proxy.count(verb="list") >= 5)
        assert followed.counted == []


@pytest.mark.fault("F29")
async def test_broken_informer_logs_and_stops(kube: Kube, world: World, namespace: str) -> None:
    def broken(old: Record | None, new: Record | None) -> None:
        raise ValueError("a bug")

    await world.put(CONFIG_MAP, config_map("a"))
    informer = Informer(kube, CONFIG_MAP, Store(), broken, namespace=namespace, timing=QUICK)
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as caught:
            await informer.run()
    assert caught.value.subgroup(ValueError) is not None
