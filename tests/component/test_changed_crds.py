"""Informers while an administrator changes the CustomResourceDefinitions of what they watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from app.apis.kinds import CHILDREN, MANAGED_BY, MODEL_BOOSTER, MODEL_ROUTE, WORKLOAD, Profile
from app.cache.timing import Timing
from app.errors import ApiError, Unreachable
from app.installed import Installed
from app.kube import Kube, connect
from app.metrics import Metrics
from app.values.meta import Key, Object, Resource, labels_of
from controller.cluster.informer_set import InformerSet
from modelbooster.parts.lookup_cache import LookupCache
from tests.builders import booster_object
from tests.certificates import soon
from tests.controlplane import crds
from tests.controlplane.api import MERGE_PATCH
from tests.controlplane.plane import ControlPlane
from tests.following import CONFIG_MAP, config_map, following
from tests.proxy import Answer, Proxy, ResetBeforeCommit, Rule
from tests.world import PATIENCE_SECONDS, World

pytestmark = pytest.mark.anyio

NEWS_SECONDS = 3.0
"""How late an informer may see an edit."""


NUMBERS = count(1)
"""No two changes and edits are the same."""


class Watchers:
    """The controller's informers and the webhook's, side by side."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._namespace = namespace
        self._woken = asyncio.Event()
        self.informers = InformerSet(kube, self._enqueue, [namespace], watch_pods=False)
        self.informers.set_served(Installed(Profile.B, CHILDREN))
        self.lookup_cache = LookupCache(kube, [namespace], Metrics())

    def _enqueue(self, key: Key, low_priority: bool) -> None:
        self._woken.set()

    @property
    def are_synced(self) -> bool:
        return self.lookup_cache.lookup.ready and not self.informers.unsynced()

    async def controller_sees(self, resource: Resource, number: str) -> None:
        """Waits until the controller reads the edit in its cache."""
        key = Key(self._namespace, "m")
        while _number(self.informers.cache.get(resource, key)) != number:
            self._woken.clear()
            await self._woken.wait()

    async def webhook_sees(self, resource: Resource, version: str) -> None:
        key = Key(self._namespace, "m")
        await _until(lambda: _version(self.lookup_cache.lookup.child(resource, key)) == version)


def _number(obj: Object | None) -> str:
    return labels_of(obj).get("number", "") if obj else ""


def _version(obj: Object | None) -> str:
    return str(obj["metadata"]["resourceVersion"]) if obj else ""


async def _until(right: Callable[[], object]) -> None:
    while not right():  # noqa: ASYNC110 - these stores tell nobody when they change
        await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(kubeconfig: Path, namespace: str) -> AsyncIterator[Watchers]:
    async with connect(str(kubeconfig)) as kube:
        watchers = Watchers(kube, namespace)
        async with asyncio.TaskGroup() as group:
            parts = (watchers.informers.run(), watchers.lookup_cache.run())
            tasks = [group.create_task(part) for part in parts]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _until(lambda: watchers.are_synced)
            yield watchers
            for task in tasks:
                task.cancel()


@pytest.fixture
async def edited(plane: ControlPlane, world: World) -> AsyncIterator[World]:
    """A ModelBooster and its ModelRoute; the CRDs are put right again afterwards."""
    here = world.namespace
    booster = await world.create(MODEL_BOOSTER, booster_object("m", namespace=here))
    metadata: Object = {
        "name": "m",
        "labels": {MANAGED_BY: WORKLOAD},
        "ownerReferences": [
            {
                "apiVersion": MODEL_BOOSTER.api_version,
                "kind": MODEL_BOOSTER.kind,
                "name": "m",
                "uid": booster["metadata"]["uid"],
            }
        ],
    }
    rules = [{"name": "r", "targetModels": [{"modelServerName": "s"}]}]
    route = {
        "apiVersion": MODEL_ROUTE.api_version,
        "kind": MODEL_ROUTE.kind,
        "metadata": metadata,
        "spec": {"modelName": f"chat-{here}", "rules": rules},
    }
    await world.create(MODEL_ROUTE, route)
    yield world
    definitions = [*crds.children("B"), crds.model_booster()]
    await asyncio.to_thread(crds.install, plane.api, definitions)


async def change(plane: ControlPlane, resource: Resource, number: int) -> None:
    """Changes a CRD without harm: another description of its schema."""
    path = crds.CRD.path(None, f"{resource.plural}.{resource.group}")
    definition = await asyncio.to_thread(plane.api.request, "GET", path)
    versions = definition["spec"]["versions"]
    versions[0]["schema"]["openAPIV3Schema"]["description"] = f"change {number}"
    body = {"spec": {"versions": versions}}
    await asyncio.to_thread(plane.api.request, "PATCH", path, body, content_type=MERGE_PATCH)


async def change_until_watches_end(
    plane: ControlPlane, kube: Kube, resource: Resource, number: int
) -> None:
    """Changes a CRD and waits until the server has ended the watches of the kind."""
    while True:
        with suppress(ApiError, Unreachable):  # the last change is still taking effect
            events = kube.watch(
                resource, resource_version="", initial_events=True, timeout_seconds=30
            )
            is_changed = False
            async for event in events:
                if event.type == "BOOKMARK" and not is_changed:
                    is_changed = True
                    await change(plane, resource, number)
            if is_changed:
                return


@pytest.mark.slow
@pytest.mark.parametrize("resource", [MODEL_BOOSTER, MODEL_ROUTE], ids=lambda r: str(r.kind))
async def test_watch_recovers_after_each_crd_change(
    plane: ControlPlane, edited: World, resource: Resource
) -> None:
    async with (
        connect(str(plane.kubeconfig)) as kube,
        watching(plane.kubeconfig, edited.namespace) as watchers,
    ):
        for _ in range(10):
            await change_and_see_an_edit(plane, kube, edited, watchers, resource, changes=1)


@pytest.mark.slow
@pytest.mark.parametrize("resource", [MODEL_BOOSTER, MODEL_ROUTE], ids=lambda r: str(r.kind))
async def test_watch_recovers_after_many_crd_changes(
    plane: ControlPlane, edited: World, resource: Resource
) -> None:
    async with (
        connect(str(plane.kubeconfig)) as kube,
        watching(plane.kubeconfig, edited.namespace) as watchers,
    ):
        await change_and_see_an_edit(plane, kube, edited, watchers, resource, changes=10)


async def change_and_see_an_edit(
    plane: ControlPlane,
    kube: Kube,
    world: World,
    watchers: Watchers,
    resource: Resource,
    changes: int,
) -> None:
    """Changes a CRD so often; the next edit of an object must be seen soon."""

    async def change_often() -> None:
        for _ in range(changes):
            await change_until_watches_end(plane, kube, resource, next(NUMBERS))

    async def edit() -> None:
        number = str(next(NUMBERS))
        edited = await world.patch(resource, "m", {"metadata": {"labels": {"number": number}}})
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(watchers.controller_sees(resource, number))
            group.create_task(watchers.webhook_sees(resource, _version(edited)))

    await soon(edit, NEWS_SECONDS, before=change_often)


FAILURES = 7


@pytest.mark.parametrize(
    "fault",
    [ResetBeforeCommit(), Answer(500), Answer(503), Answer(429)],
    ids=["no answer", "500", "503", "429"],
)
@pytest.mark.slow
async def test_unavailable_server_is_retried_with_backoff(
    proxy: Proxy, world: World, namespace: str, fault: ResetBeforeCommit | Answer
) -> None:
    first = 0.02
    timing = Timing(watch_seconds=(60, 60), first_backoff_seconds=first, max_backoff_seconds=30)
    async with (
        connect(str(proxy.kubeconfig)) as kube,
        following(kube, namespace, timing) as followed,
    ):
        down = proxy.add(Rule(fault, times=None))
        begun = asyncio.get_running_loop().time()
        proxy.hang_up()
        # The first is the watch that broke off.
        await followed.until(lambda: len(followed.counted) > FAILURES)
        took = asyncio.get_running_loop().time() - begun
        assert took >= sum(first * 2**n for n in range(FAILURES))
        # A streaming list that gets no answer is followed by a plain one.
        assert down.acted <= 2 * FAILURES
        proxy.clear()
        await world.put(CONFIG_MAP, config_map("a", n="1"))
        await followed.until(lambda: followed.numbers == [1])
