"""The watch events of our own writes are recognised by their text, and only these."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVER
from app.kube import Event, Kube
from app.kube.own_writes import MAX_OWN_WRITES
from app.values.meta import Object, Resource
from tests.builders import booster_object
from tests.following import CONFIG_MAP, config_map
from tests.world import World

pytestmark = pytest.mark.anyio


def _server(name: str) -> Object:
    spec = {
        "inferenceEngine": "vLLM",
        "workloadSelector": {"matchLabels": {"app": name}},
        "workloadPort": {"port": 8000, "protocol": "http"},
    }
    metadata = {"name": name, "annotations": {"text": 'of "quotes" é <&>\u2028 {},'}}
    return {
        "apiVersion": MODEL_SERVER.api_version,
        "kind": MODEL_SERVER.kind,
        "metadata": metadata,
        "spec": spec,
    }


async def _version(kube: Kube, resource: Resource, namespace: str) -> str:
    return (await kube.list(resource, namespace=namespace)).resource_version


async def _events(
    kube: Kube, resource: Resource, namespace: str, since: str, number: int
) -> list[Event]:
    """Returns the first events after a version."""
    found = []
    watch = kube.watch(resource, namespace=namespace, resource_version=since, timeout_seconds=60)
    async with aclosing(watch) as events:
        async for event in events:
            if event.type != "BOOKMARK":
                found.append(event)
            if len(found) == number:
                break
    return found


async def _written(kube: Kube, resource: Resource, namespace: str, obj: Object) -> Object:
    metadata = {**obj["metadata"], "namespace": namespace}
    return await kube.apply(resource, {**obj, "metadata": metadata})


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        (CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **config_map("green", a="{}")}),
        (MODEL_SERVER, _server("green")),
        (MODEL_BOOSTER, booster_object("green")),
    ],
    ids=lambda value: value.kind if isinstance(value, Resource) else "",
)
async def test_an_event_of_our_own_write_is_not_decoded(
    kube: Kube, namespace: str, resource: Resource, obj: Object
) -> None:
    since = await _version(kube, resource, namespace)
    created = await _written(kube, resource, namespace, obj)
    patch = {"metadata": {"labels": {"a": "b"}}}
    changed = await kube.merge_patch(resource, namespace, "green", patch)
    first, second = await _events(kube, resource, namespace, since, 2)
    assert (first.type, second.type) == ("ADDED", "MODIFIED")
    assert first.object is created
    assert second.object is changed
    assert "managedFields" not in first.object["metadata"]


async def test_a_second_watch_decodes_the_event(kube: Kube, namespace: str) -> None:
    since = await _version(kube, MODEL_SERVER, namespace)
    created = await _written(kube, MODEL_SERVER, namespace, _server("green"))
    await _events(kube, MODEL_SERVER, namespace, since, 1)
    [(_, again)] = await _events(kube, MODEL_SERVER, namespace, since, 1)
    assert again == created
    assert again is not created


async def test_changes_of_others_and_deletions_are_read(
    kube: Kube, world: World, namespace: str
) -> None:
    since = await _version(kube, MODEL_SERVER, namespace)
    created = await _written(kube, MODEL_SERVER, namespace, _server("green"))
    edited = await world.patch(MODEL_SERVER, "green", {"spec": {"workloadPort": {"port": 9000}}})
    await kube.delete(MODEL_SERVER, namespace, "green")
    events = await _events(kube, MODEL_SERVER, namespace, since, 3)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[0].object is created
    assert events[1].object["spec"] == edited["spec"]
    version = events[1].object["metadata"]["resourceVersion"]
    assert version == edited["metadata"]["resourceVersion"]
    assert int(events[2].object["metadata"]["resourceVersion"]) > int(version)


async def test_many_writes_that_nobody_watches_are_forgotten(kube: Kube, namespace: str) -> None:
    since = await _version(kube, CONFIG_MAP, namespace)
    whole = {"apiVersion": "v1", "kind": "ConfigMap"}
    written = [
        await _written(kube, CONFIG_MAP, namespace, {**whole, **config_map(f"c{n}")})
        for n in range(MAX_OWN_WRITES + 6)
    ]
    events = await _events(kube, CONFIG_MAP, namespace, since, len(written))
    assert [event.object for event in events] == written
    is_decoded = [event.object is not obj for event, obj in zip(events, written, strict=True)]
    assert is_decoded == [True] * 6 + [False] * MAX_OWN_WRITES


async def test_an_attempt_that_stores_nothing_is_not_taken_for_an_event(
    kube: Kube, world: World, namespace: str
) -> None:
    created = await _written(kube, MODEL_SERVER, namespace, _server("green"))
    since = await _version(kube, MODEL_SERVER, namespace)
    same = await _written(kube, MODEL_SERVER, namespace, _server("green"))
    assert same["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    edited = await world.patch(MODEL_SERVER, "green", {"metadata": {"labels": {"by": "others"}}})
    [(_, first)] = await _events(kube, MODEL_SERVER, namespace, since, 1)
    assert first["metadata"]["labels"] == edited["metadata"]["labels"]
