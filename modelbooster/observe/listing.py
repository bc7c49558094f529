"""Lists and watches objects of a kind for ``get``, and reads one for ``describe``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from app.errors import ApiError, Gone, NotFound, WatchEnded
from app.kube import is_unknown_kind
from app.values.meta import Object, key_of
from modelbooster.observe.access import Cluster
from modelbooster.observe.kinds import ShownKind

WATCH_SECONDS = 300
"""The API server ends a watch after this time; it is opened again."""


async def list_objects(
    cluster: Cluster, kind: ShownKind, name: str, selector: str
) -> tuple[list[Object], str]:
    """Returns the objects of a kind, sorted, and the resource version of the list.

    Args:
        cluster: where to look.
        kind: the kind.
        name: part of the name, in any case, as in kthena's CLI; ``""`` for all.
        selector: label selector.

    Raises:
        ApiError: the list was rejected.
    """
    found = await cluster.kube.list(kind.resource, namespace=cluster.scope, label_selector=selector)
    wanted = [obj for obj in found.items if matches(obj, name)]
    return sorted(wanted, key=key_of), found.resource_version


def matches(obj: Object, name: str) -> bool:
    """Returns whether the name of an object contains a text, in any case."""
    return name.lower() in str(obj["metadata"]["name"]).lower()


async def changes(
    cluster: Cluster, kind: ShownKind, name: str, selector: str, version: str
) -> AsyncIterator[Object]:
    """Yields each object that is created or changed, until the caller stops.

    Args:
        cluster: where to look.
        kind: the kind.
        name: part of the name; ``""`` for all.
        selector: label selector.
        version: resource version of the list to begin after.
    """
    while True:
        watch = cluster.kube.watch(
            kind.resource,
            namespace=cluster.scope,
            label_selector=selector,
            resource_version=version,
            timeout_seconds=WATCH_SECONDS,
        )
        try:
            async with aclosing(watch) as events:
                async for event in events:
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type != "BOOKMARK" and matches(event.object, name):
                        yield event.object
        except WatchEnded:
            continue
        except Gone:
            # Changes in between are lost; what is there now is shown again.
            objects, version = await list_objects(cluster, kind, name, selector)
            for obj in objects:
                yield obj


async def read_object(cluster: Cluster, kind: ShownKind, name: str) -> Object:
    """Returns one object.

    Raises:
        ApiError: there is none, or it may not be read.
    """
    return await cluster.kube.get(kind.resource, cluster.namespace, name)


def why_not(error: ApiError) -> str:
    """Returns why a request failed, for a message that begins with what failed."""
    if isinstance(error, NotFound) and is_unknown_kind(error):
        return "the server doesn't have this resource type; install kthena and the chart"
    return error.message
