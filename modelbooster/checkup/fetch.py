"""Reads objects; an object or a right that is missing is an answer, not an error."""

from __future__ import annotations

from app.errors import Forbidden, NotFound
from app.kube import Kube
from app.values.meta import Resource
from modelbooster.checkup.facts import Seen


async def list_anywhere(
    kube: Kube, resource: Resource, fallback: str = "", *, labels: str = "", name: str = ""
) -> Seen:
    """Lists objects in all namespaces, or in one if the user may not."""
    fields = f"metadata.name={name}" if name else ""
    scopes = (None, fallback) if fallback else (None,)
    for namespace in scopes:
        try:
            found = await kube.list(
                resource, namespace=namespace, label_selector=labels, field_selector=fields
            )
        except Forbidden:
            continue
        except NotFound:
            return Seen()
        return Seen(tuple(found.items))
    place = f" in all namespaces, or in {fallback}" if fallback else ""
    return Seen(lacks=f"list {resource}{place}")


async def list_in(kube: Kube, resource: Resource, namespace: str, labels: str) -> Seen:
    """Lists the objects of a namespace that have labels."""
    try:
        found = await kube.list(resource, namespace=namespace, label_selector=labels)
    except Forbidden:
        return Seen(lacks=f"list {resource} in namespace {namespace}")
    return Seen(tuple(found.items))


async def get_one(kube: Kube, resource: Resource, namespace: str, name: str) -> Seen:
    """Reads one object."""
    try:
        return Seen((await kube.get(resource, namespace, name),))
    except NotFound:
        return Seen()
    except Forbidden:
        return Seen(lacks=f"get {resource} {name} in namespace {namespace}")
