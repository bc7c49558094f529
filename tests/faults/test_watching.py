"""Rows F01-F17 and F31 of the fault table, as far as they are about lists and watches."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import pytest

from app.cache.informer import Informer
from app.cache.store import Store
from app.cache.timing import Timing
from app.kube import Kube, connect
from app.values.meta import Object, Resource
from tests import audit
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.following import (
    CONFIG_MAP,
    QUICK,
    Followed,
    config_map,
    eventually,
    following,
    listings,
    uris,
)
from tests.proxy import Answer, CutAnswer, Delay, ErrorEvent, Proxy, Rewrite, Rule, Silence
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


# F02, F03: broken and silent connections


@pytest.mark.fault("F02")
async def test_cut_watch_neither_loses_nor_repeats_events(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    chance = random.Random(2)
    for _ in range(25):
        proxy.add(Rule(CutAnswer(chance.randint(1, 1500)), verb="watch"))
    async with following(kube, namespace) as followed:
        for n in range(1, 41):
            await world.put(CONFIG_MAP, config_map("a", n=str(n), text="模型 \u2028 ü" * 5))
        await followed.until(lambda: followed.numbers[-1:] == [40])
        assert followed.numbers == sorted(set(followed.numbers))
        assert followed.deleted == []
        assert "Unreachable" in followed.counted


@pytest.mark.fault("F03")
async def test_changes_during_a_silent_watch_are_found(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    timing = Timing(watch_seconds=(1, 1), grace_seconds=0.5, first_backoff_seconds=0.02)
    async with following(kube, namespace, timing) as followed:
        silent = proxy.add(Rule(Silence(), verb="watch"))
        await eventually(lambda: silent.acted)
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
        assert "Unreachable" in followed.counted


# F04, F05, F06, F17: listing anew

EXPIRED = {
    "kind": "Status",
    "status": "Failure",
    "code": 410,
    "reason": "Expired",
    "message": "too old resource version: 1 (2)",
}
TOO_LARGE = {
    "kind": "Status",
    "status": "Failure",
    "code": 504,
    "reason": "Timeout",
    "message": "Too large resource version: 9, current: 8",
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1},
}
NO_STREAMS = {**EXPIRED, "code": 422, "reason": "Invalid", "message": "sendInitialEvents forbidden"}


@pytest.mark.fault("F04")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(ErrorEvent(), id="as an event"),
        pytest.param(Answer(410, EXPIRED), id="as an answer"),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["once", "again on the listing"])
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "plain"])
async def test_expired_version_relists_without_spurious_changes(
    kube: Kube,
    proxy: Proxy,
    world: World,
    namespace: str,
    fault: ErrorEvent | Answer,
    again: bool,
    streams: bool,
) -> None:
    for name in ("stays", "goes"):
        await world.put(CONFIG_MAP, config_map(name))
    if not streams:
        proxy.add(Rule(Answer(422, NO_STREAMS), verb="watch"))
    async with following(kube, namespace) as followed:
        uid = (followed.get("stays") or {})["metadata"]["uid"]
        # Unseen by the watch that is open now, which is silent; then the server has forgotten.
        cut = Rule(CutAnswer(0), verb="watch")
        for rule in (cut, Rule(fault, verb="watch")):
            proxy.add(rule)
        if again:
            proxy.add(Rule(fault if streams else Answer(410, EXPIRED), verb=_lists(streams)))
        await followed.until(lambda: "Gone" in followed.counted)
        await world.delete(CONFIG_MAP, "goes")
        await world.put(CONFIG_MAP, config_map("comes"))
        await followed.until(lambda: followed.names == {"stays", "comes"})
        assert followed.deleted == ["goes"]
        assert [r.uid for r in followed.store.records() if r.key.name == "stays"] == [uid]


def _lists(streams: bool) -> str:
    return "watch" if streams else "list"


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


@pytest.mark.fault("F05")
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "plain"])
async def test_server_behind_the_version_is_listed_as_it_is(
    kube: Kube,
    proxy: Proxy,
    world: World,
    plane: ControlPlane,
    namespace: str,
    since: datetime,
    streams: bool,
) -> None:
    await world.put(CONFIG_MAP, config_map("a"))
    if not streams:
        proxy.add(Rule(Answer(422, NO_STREAMS), verb="watch"))
    proxy.add(Rule(Answer(504, TOO_LARGE), verb=_lists(streams)))
    async with following(kube, namespace) as followed:
        assert followed.names == {"a"}
        assert followed.counted == []  # no failure, and so no pause
    asked = await uris(plane, namespace, since, "labelSelector", verb=_lists(streams))
    assert "&resourceVersion=" not in asked[0]


@pytest.mark.fault("F06")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(400), id="400"),
        pytest.param(Answer(403), id="403"),
        pytest.param(Answer(422, NO_STREAMS), id="422"),
        pytest.param(CutAnswer(300), id="cut before the end"),
        pytest.param(Silence(300), id="silent before the end"),
        pytest.param(Rewrite(lambda piece: b"<html>\n"), id="garbage"),
    ],
)
async def test_plain_list_replaces_an_unsupported_streaming_list(
    kube: Kube, proxy: Proxy, world: World, namespace: str, fault: Answer | CutAnswer | Silence
) -> None:
    for n in range(5):
        await world.put(CONFIG_MAP, config_map(f"m{n}", n=str(n)))
    proxy.add(Rule(fault, verb="watch"))
    async with following(kube, namespace) as followed:
        assert sorted(followed.numbers) == [0, 1, 2, 3, 4]
        assert proxy.count(verb="list", code=200) == 1
        await world.put(CONFIG_MAP, config_map("m0", n="9"))
        await followed.until(lambda: followed.numbers[-1] == 9)


@pytest.mark.fault("F06")
async def test_refused_streaming_list_is_not_requested_again(
    kube: Kube, proxy: Proxy, world: World, plane: ControlPlane, namespace: str, since: datetime
) -> None:
    proxy.add(Rule(Answer(422, NO_STREAMS), verb="watch"))
    async with following(kube, namespace) as followed:
        proxy.add(Rule(CutAnswer(0), verb="watch"))
        proxy.add(Rule(ErrorEvent(), verb="watch"))
        await followed.until(
            lambda: "Gone" in followed.counted or "Unreachable" in followed.counted
        )
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
    assert await uris(plane, namespace, since, "sendInitialEvents=true") == []


@pytest.mark.fault("F17")
async def test_interrupted_list_keeps_the_old_objects(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    for n in range(30):
        await world.put(CONFIG_MAP, config_map(f"m{n}", text="x" * 1000))
    proxy.add(Rule(Answer(422, NO_STREAMS), verb="watch"))
    async with following(kube, namespace) as followed:
        before = followed.names
        proxy.add(Rule(CutAnswer(0), verb="watch"))
        proxy.add(Rule(ErrorEvent(), verb="watch"))
        broken = proxy.add(Rule(CutAnswer(20_000), verb="list", times=3))
        await followed.until(lambda: followed.counted.count("Unreachable") >= 1)
        await eventually(lambda: broken.acted >= 3)
        assert followed.names == before
        assert followed.deleted == []
        await world.delete(CONFIG_MAP, "m7")
        await followed.until(lambda: followed.deleted == ["m7"])


# F07, F08: a busy or failing server


@pytest.mark.fault("F07")
@pytest.mark.slow
async def test_busy_server_is_not_relisted(
    kube: Kube, proxy: Proxy, world: World, plane: ControlPlane, namespace: str, since: datetime
) -> None:
    async with following(kube, namespace) as followed:
        proxy.add(Rule(CutAnswer(0), verb="watch"))
        busy = proxy.add(Rule(Answer(429, headers={"Retry-After": "1"}), verb="watch", times=2))
        await eventually(lambda: busy.acted >= 1)
        begun = asyncio.get_running_loop().time()
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
        assert asyncio.get_running_loop().time() - begun >= 1.5  # twice a second, less a tenth
        assert followed.counted.count("ApiError") == 2
    assert await listings(plane, namespace, since) == 1


@pytest.mark.fault("F08")
@pytest.mark.parametrize(
    ("failures", "relists"),
    [pytest.param(3, 0, id="resumed three times"), pytest.param(4, 1, id="then listed anew")],
)
@pytest.mark.slow
async def test_broken_watch_is_resumed_a_few_times(
    kube: Kube,
    proxy: Proxy,
    world: World,
    plane: ControlPlane,
    namespace: str,
    since: datetime,
    failures: int,
    relists: int,
) -> None:
    async with following(kube, namespace) as followed:
        proxy.add(Rule(CutAnswer(0), verb="watch"))
        broken = ErrorEvent(500, "InternalError", "etcd has lost its leader")
        rule = proxy.add(Rule(broken, verb="watch", times=failures))
        await eventually(lambda: rule.acted == failures)
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
    assert await listings(plane, namespace, since) == 1 + relists


@pytest.mark.fault("F08")
@pytest.mark.slow
async def test_occasional_errors_neither_stop_nor_flood(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    async def asked_for_in_six_seconds(followed: Followed, first: int) -> int:
        before = proxy.count()
        for n in range(first, first + 12):
            await world.put(CONFIG_MAP, config_map("a", n=str(n)))
            await asyncio.sleep(0.5)
        return proxy.count() - before

    timing = Timing(watch_seconds=(1, 1), first_backoff_seconds=0.1, max_backoff_seconds=2)
    async with following(kube, namespace, timing) as followed:
        in_peace = await asked_for_in_six_seconds(followed, 1)
        fault = proxy.add(Rule(Answer(503), times=None, chance=0.3))
        in_trouble = await asked_for_in_six_seconds(followed, 100)
        assert fault.acted > 0
        assert in_trouble <= 3 * in_peace
        proxy.clear()
        await followed.until(lambda: followed.numbers[-1] == 111)
        assert followed.deleted == []


@pytest.mark.fault("F09")
async def test_slow_responses_change_no_result(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    for seconds in (0.1, 0.9, 0.3, 0.6):
        proxy.add(Rule(Delay(seconds), times=2))
    async with following(kube, namespace) as followed:
        for n in range(1, 11):
            await world.put(CONFIG_MAP, config_map("a", n=str(n)))
            await asyncio.sleep(0.2)
        await followed.until(lambda: followed.numbers[-1:] == [10])
        assert followed.numbers == sorted(set(followed.numbers))
        assert followed.counted == []


# F12, F13, F15: events that are not as they should be


@pytest.mark.fault("F12")
async def test_unreadable_event_is_not_skipped(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    async with following(kube, namespace) as followed:
        proxy.add(Rule(CutAnswer(0), verb="watch"))
        rule = proxy.add(Rule(Rewrite(lambda piece: b"%" + piece), verb="watch"))
        await eventually(lambda: rule.acted)
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
        assert "Garbled" in followed.counted


@pytest.mark.fault("F13")
async def test_duplicate_events_are_delivered_once(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    seen: list[bytes] = []

    def replayed(piece: bytes) -> bytes:
        seen.append(piece)
        return b"".join(seen[-100:])

    proxy.add(Rule(Answer(422, NO_STREAMS), verb="watch"))
    proxy.add(Rule(Rewrite(replayed), verb="watch", times=None))
    async with following(kube, namespace) as followed:
        for n in range(1, 11):
            await world.put(CONFIG_MAP, config_map("a", n=str(n)))
            await followed.until(partial(followed.was_told, n))
        # Every replay ends with the newest state, and that state counts.
        assert (followed.get("a") or {})["data"] == {"n": "10"}


class Swapped:
    """Sends the second of two events before the first, as no honest proxy would."""

    def __init__(self) -> None:
        self._held = b""
        self._is_done = False

    def __call__(self, piece: bytes) -> bytes:
        out = b""
        for line in piece.splitlines(keepends=True):
            if self._is_done or json.loads(line)["type"] != "MODIFIED":
                out += line
            elif not self._held:
                self._held = line
            else:
                out += line + self._held
                self._is_done = True
        return out


AUDITED = Timing(
    watch_seconds=(60, 60),
    first_backoff_seconds=0.02,
    audit_seconds=(1, 1),
    audit_recheck_seconds=0.3,
)


@pytest.mark.fault("F15")
async def test_audit_corrects_reordered_events(
    kube: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    await world.put(CONFIG_MAP, config_map("a", n="0"))
    proxy.add(Rule(Rewrite(Swapped()), verb="watch"))
    async with following(kube, namespace, AUDITED) as followed:
        for n in "12":
            await world.put(CONFIG_MAP, config_map("a", n=n))
        await followed.until(lambda: followed.numbers == [0, 2, 1, 2])
        assert followed.counted == ["audit"]


@pytest.mark.fault("F16")
async def test_bookmarks_advance_the_resume_version(
    kube: Kube, world: World, plane: ControlPlane, namespace: str, since: datetime
) -> None:
    # The server sends a bookmark two seconds before it ends a watch.
    timing = Timing(watch_seconds=(4, 4), first_backoff_seconds=0.02)
    async with following(kube, namespace, timing) as followed:
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
        seen = (followed.get("a") or {})["metadata"]["resourceVersion"]
        # Other kinds and other labels move the server on; nothing of that is told to us.
        for n in range(3):
            await world.put(CONFIG_MAP, {"metadata": {"name": f"other-{n}"}})
        resumed = await _resumed(plane, namespace, since)
        assert seen not in "".join(resumed)
        await world.put(CONFIG_MAP, config_map("a", n="2"))
        await followed.until(lambda: followed.numbers == [1, 2])


async def _resumed(plane: ControlPlane, namespace: str, since: datetime) -> list[str]:
    """Waits for a watch that goes on from a version, and returns the URIs of all such."""
    async with asyncio.timeout(30):
        while True:
            seen = await uris(plane, namespace, since, verb="watch")
            resumed = [uri for uri in seen if "sendInitialEvents" not in uri]
            if resumed:
                return resumed
            await asyncio.sleep(0.1)


# F01, F31: a server or a kind that is not there


@pytest.mark.fault("F31")
async def test_missing_kind_does_not_block_and_is_found_later(
    proxy: Proxy, plane: ControlPlane, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    thing = Resource(group, "v1", "things", "Thing")
    told = asyncio.Event()
    async with connect(str(proxy.kubeconfig)) as kube, asyncio.TaskGroup() as tasks:
        informer = Informer(kube, thing, Store(), lambda old, new: told.set(), timing=QUICK)
        running = tasks.create_task(informer.run())
        async with asyncio.timeout(20):
            await informer.synced.wait()
        assert len(informer.store) == 0

        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{group}"},
            "spec": {
                "group": group,
                "names": {"plural": "things", "kind": "Thing"},
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                    }
                ],
            },
        }
        await asyncio.to_thread(crds.install, plane.api, [crd])
        obj = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "t"}}
        await asyncio.to_thread(plane.api.request, "POST", thing.path(namespace), obj)
        async with asyncio.timeout(30):
            await told.wait()
        told.clear()

        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}"
        await asyncio.to_thread(plane.api.request, "DELETE", path)
        async with asyncio.timeout(30):
            await told.wait()
        assert len(informer.store) == 0
        running.cancel()


@pytest.mark.fault("F01")
@pytest.mark.slow
async def test_restarted_server_is_listed_once_at_most() -> None:
    def start() -> ControlPlane:
        return ControlPlane().start()

    plane = await asyncio.to_thread(start)
    try:
        async with connect(str(plane.kubeconfig)) as kube, following(kube, "default") as followed:
            path = "/api/v1/namespaces/default/configmaps"
            await asyncio.to_thread(plane.api.request, "POST", path, config_map("a", n="1"))
            await followed.until(lambda: followed.numbers == [1])
            since = await asyncio.to_thread(audit.now, plane)

            await asyncio.to_thread(plane.stop_apiserver)
            await followed.until(lambda: "Unreachable" in followed.counted)
            await asyncio.to_thread(plane.start_apiserver)

            await asyncio.to_thread(plane.api.request, "POST", path, config_map("b", n="2"))
            await followed.until(lambda: followed.numbers == [1, 2])
            assert followed.deleted == []
            assert await listings(plane, "default", since) <= 1
    finally:
        await asyncio.to_thread(plane.stop)
