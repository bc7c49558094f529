"""Paths of objects, and the checks that a response must pass."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from app.errors import Garbled
from app.kube.connections.connection import Response
from app.kube.own_writes import OwnWrites
from app.kube.responses import (
    decoded,
    decoded_unmanaged,
    error_from_event,
    error_from_response,
)
from app.values.meta import Object, Resource
from app.values.value import value

_UNSAFE = re.compile(r"[^A-Za-z0-9_.~/-]")
"""What a path must not contain unquoted. Names of objects hardly ever do, and quoting is slow."""

METADATA_KIND = "PartialObjectMetadata"
"""The kind by which the API server calls an object of any kind that it reduced to its metadata."""


@value
class ObjectList:
    """The objects of a kind, and the resource version of the collection at which they were read."""

    items: list[Object]
    resource_version: str


class Event(NamedTuple):
    """One event of a watch: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""

    type: str
    object: Object


@value
class ApiDocument:
    """A response of discovery or OpenAPI.

    Args:
        changed: False if the version with the given ETag is still the current one.
        etag: ETag of this version; ``""`` if the server sent none.
        body: the parsed JSON; ``{}`` if nothing changed.
    """

    changed: bool
    etag: str
    body: Object


def path_to(
    resource: Resource, namespace: str | None, name: str | None = None, subresource: str = ""
) -> str:
    """Returns the URL path of a collection, an object, or a subresource."""
    path = resource.path(namespace, name)
    if _UNSAFE.search(path):
        path = quote(path)
    return f"{path}/{subresource}" if subresource else path


def path_of(resource: Resource, obj: Object) -> str:
    """Returns the URL path of an object."""
    metadata = obj["metadata"]
    return path_to(resource, metadata.get("namespace"), metadata["name"])


def json_of(response: Response) -> Object:
    """Returns the object in a 2xx response.

    Raises:
        ApiError: the response has another status.
        Garbled: the body is not a JSON object.
    """
    check_status(response)
    return decoded(response.body)


def check_status(response: Response) -> None:
    """Returns if the status of a response is 2xx.

    Raises:
        ApiError: it is another one.
    """
    if 200 <= response.status < 300:
        return
    raise error_from_response(response.status, response.body, response.headers.get("retry-after"))


def of_kind(kind: str, value: Object) -> Object:
    """Returns the value if it is an object of this kind with metadata.

    Raises:
        Garbled: it is something else.
    """
    if value.get("kind") != kind or not isinstance(value.get("metadata"), dict):
        raise Garbled(f"asked for a {kind}, the answer is a {value.get('kind')}")
    return value


def with_identity(obj: Any) -> Object:
    """Returns the value if it is an object with name, uid and resource version.

    Raises:
        Garbled: it is something else.
    """
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not (
        isinstance(metadata, dict)
        and isinstance(metadata.get("name"), str)
        and isinstance(metadata.get("uid"), str)
        and isinstance(metadata.get("resourceVersion"), str)
    ):
        raise Garbled("an object without name, uid or version")
    identified: Object = obj
    return identified


def name_kind(obj: Object, resource: Resource) -> None:
    """Gives an object that was read as metadata only the kind that it has."""
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind


def collection_version(value: Object) -> str:
    """Returns the resource version of a collection or a bookmark.

    Raises:
        Garbled: it has none.
    """
    version: Any = value["metadata"].get("resourceVersion")
    if not isinstance(version, str):
        raise Garbled("a list, or a bookmark, without a resource version")
    return version


def event_from_line(
    resource: Resource, own_writes: OwnWrites, line: bytes, *, only_metadata: bool = False
) -> Event:
    """Returns the event in a line of a watch; its object has no ``managedFields``.

    Args:
        resource: the kind.
        own_writes: recent writes, whose events are not decoded.
        line: the line.
        only_metadata: whether the metadata of the objects was asked for, and nothing else.

    Raises:
        ApiError: the line is an ERROR event.
        Garbled: the line is no event of this kind.
    """
    if own := own_writes.take(line):
        return Event(own[0], with_identity(of_kind(resource.kind, own[1])))
    value = decoded_unmanaged(line, "object")
    kind, obj = value.get("type"), value.get("object")
    if not isinstance(obj, dict):
        raise Garbled(f"a watch event without an object: {kind!r}")
    if kind == "ERROR":
        raise error_from_event(obj)
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise Garbled(f"a watch event of unknown type: {kind!r}")
    of_kind(METADATA_KIND if only_metadata else resource.kind, obj)
    if only_metadata:
        name_kind(obj, resource)
    if kind == "BOOKMARK":
        collection_version(obj)
        return Event(kind, obj)
    return Event(kind, with_identity(obj))
