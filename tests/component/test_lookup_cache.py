"""What the webhook knows of other objects, and what of them it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, MODEL_UID
from app.kube import connect
from app.metrics import Metrics
from app.values.meta import Key, Object, key_of
from modelbooster.parts import lookup_cache as module
from modelbooster.parts.lookup_cache import LookupCache
from tests.builders import booster_object
from tests.controlplane.plane import ControlPlane
from tests.world import PATIENCE_SECONDS, World

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True, params=[module.BACKLOG_SECONDS, 1e9])
def backlog_seconds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long events wait, which no answer depends on."""
    monkeypatch.setattr(module, "BACKLOG_SECONDS", request.param)


@asynccontextmanager
async def _lookup_cache(plane: ControlPlane, *namespaces: str) -> AsyncIterator[LookupCache]:
    async with connect(str(plane.kubeconfig)) as kube:
        lookup_cache = LookupCache(kube, namespaces, Metrics())
        async with asyncio.TaskGroup() as group:
            running = group.create_task(lookup_cache.run())
            yield lookup_cache
            running.cancel()


async def _until(right: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not right():  # noqa: ASYNC110 - stores tell nobody when they change
            await asyncio.sleep(0.02)


def _keys(objects: object) -> list[Key]:
    assert isinstance(objects, list)
    return sorted(map(key_of, objects))


async def test_objects_are_found_by_the_names_they_use(plane: ControlPlane, world: World) -> None:
    here = world.namespace
    async with _lookup_cache(plane) as lookup_cache:
        lookup = lookup_cache.lookup
        assert not lookup.ready
        assert "still reading modelboosters" in (lookup_cache.fault() or "")
        await _until(lambda: lookup.ready)
        assert lookup_cache.fault() is None

        name = f"chat-{here}"
        await world.create(MODEL_BOOSTER, booster_object("m", namespace=here, name=name))
        route: Object = {
            "apiVersion": MODEL_ROUTE.api_version,
            "kind": MODEL_ROUTE.kind,
            "metadata": {"name": "mine", "namespace": here},
            "spec": {
                "modelName": name,
                "loraAdapters": [f"sql-{here}"],
                "rules": [{"name": "r", "targetModels": [{"modelServerName": "s"}]}],
            },
        }
        await world.create(MODEL_ROUTE, route)

        await _until(lambda: lookup.routing(MODEL_BOOSTER, name))
        await _until(lambda: lookup.routing(MODEL_ROUTE, name))
        assert _keys(lookup.routing(MODEL_BOOSTER, name)) == [Key(here, "m")]
        assert _keys(lookup.routing(MODEL_ROUTE, name)) == [Key(here, "mine")]
        assert _keys(lookup.adapting(MODEL_ROUTE, f"sql-{here}")) == [Key(here, "mine")]
        assert _keys(lookup.makers(MODEL_SERVING, Key(here, "m-b1"))) == [Key(here, "m")]
        assert lookup.child(MODEL_ROUTE, Key(here, "mine")) is not None
        assert lookup.child(MODEL_ROUTE, Key(here, "other")) is None

        await world.patch(MODEL_BOOSTER, "m", {"spec": {"name": f"other-{here}"}})
        await _until(lambda: not lookup.routing(MODEL_BOOSTER, name))
        assert _keys(lookup.routing(MODEL_BOOSTER, f"other-{here}")) == [Key(here, "m")]

        await world.delete(MODEL_BOOSTER, "m")
        await _until(lambda: not lookup.routing(MODEL_BOOSTER, f"other-{here}"))


async def test_children_are_known_by_whose_they_are(plane: ControlPlane, world: World) -> None:
    here = world.namespace
    labels = {MODEL_UID: "first", "app": "x"}
    server: Object = {
        "apiVersion": MODEL_SERVER.api_version,
        "kind": MODEL_SERVER.kind,
        "metadata": {"name": "m-b1", "namespace": here, "labels": labels},
        "spec": {
            "inferenceEngine": "vLLM",
            "workloadSelector": {"matchLabels": {"a": "b"}},
            "workloadPort": {"port": 8000},
        },
    }
    key = Key(here, "m-b1")
    await world.create(MODEL_SERVER, server)
    async with _lookup_cache(plane) as lookup_cache:
        lookup = lookup_cache.lookup
        await _until(lambda: lookup.ready)
        first = lookup.child(MODEL_SERVER, key)
        assert first is not None
        assert first["kind"] == MODEL_SERVER.kind
        assert first["metadata"]["labels"] == {MODEL_UID: "first"}
        assert "spec" not in first

        await world.patch(MODEL_SERVER, "m-b1", {"metadata": {"labels": {MODEL_UID: "other"}}})
        await _until(lambda: _labels(lookup.child(MODEL_SERVER, key)) == {MODEL_UID: "other"})
        await world.delete(MODEL_SERVER, "m-b1")
        await _until(lambda: lookup.child(MODEL_SERVER, key) is None)


def _labels(obj: Object | None) -> Object:
    return obj["metadata"]["labels"] if obj else {}


async def test_only_served_namespaces_are_read(plane: ControlPlane, world: World) -> None:
    here = world.namespace
    name = f"chat-{here}"
    await world.create(MODEL_BOOSTER, booster_object("m", namespace=here, name=name))
    async with (
        _lookup_cache(plane, "default", here) as both,
        _lookup_cache(plane, "default") as other,
    ):
        await _until(lambda: both.lookup.ready and other.lookup.ready)
        assert _keys(both.lookup.routing(MODEL_BOOSTER, name)) == [Key(here, "m")]
        assert both.lookup.child(MODEL_BOOSTER, Key(here, "m")) is not None
        assert other.lookup.routing(MODEL_BOOSTER, name) == []
        assert other.lookup.child(MODEL_BOOSTER, Key(here, "m")) is None
