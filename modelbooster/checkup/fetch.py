"""Reads objects; an object or a right that is missing is an answer, not an error."""

from __future__ import annotations

import asyncio
from typing import Any

from app.errors import ApiError, Forbidden, NotFound
from app.kube import Kube, ObjectList
from app.values.meta import Resource
from modelbooster.checkup.facts import Seen

TOO_MANY_REQUESTS = 429
TRIES = 5
"""How often a list is tried while the API server asks to wait (429), as after the installation of
a CustomResourceDefinition."""


async def list_anywhere(
    kube: Kube, resource: Resource, fallback: str = "", *, labels: str = "", name: str = ""
) -> Seen:
    """Lists objects in all namespaces, or in one if the user may not."""
    fields = f"metadata.name={name}" if name else ""
    scopes = (None, fallback) if fallback else (None,)
    for namespace in scopes:
        try:
            found = await list_patiently(
                kube, resource, namespace=namespace, label_selector=labels, field_selector=fields
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
        found = await list_patiently(kube, resource, namespace=namespace, label_selector=labels)
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


async def list_patiently(kube: Kube, resource: Resource, **choices: Any) -> ObjectList:
    """Lists objects as ``Kube.list``, and waits while the API server asks to."""
    for attempt in range(1, TRIES + 1):
        try:
            return await kube.list(resource, **choices)
        except ApiError as exc:
            if exc.status != TOO_MANY_REQUESTS or attempt == TRIES:
                raise
            await asyncio.sleep(min(exc.retry_after_seconds or 1.0, 2.0))
    raise AssertionError("unreachable")
