"""Objects on the wire: where they stand, and what an answer must hold to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from app.errors import Garbled
from app.kube.pool import Answer
from app.kube.responses import decoded, error_from_answer, error_from_event
from app.values.meta import Object, Resource


@dataclass(frozen=True)
class ObjectList:
    """The objects of a kind, and the version of the collection at which they were read."""

    items: list[Object]
    resource_version: str


class Event(NamedTuple):
    """One line of a watch: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""

    type: str
    object: Object


@dataclass(frozen=True)
class Document:
    """An answer of discovery or OpenAPI.

    Args:
        changed: False if the server says that the version we named is still the current one.
        etag: names this version, ``""`` if the server does not number them.
        body: the parsed JSON; ``{}`` if nothing changed.
    """

    changed: bool
    etag: str
    body: Object


def path_to(
    resource: Resource, namespace: str | None, name: str | None = None, subresource: str = ""
) -> str:
    """Returns the URL path of a collection, an object, or a part of one."""
    path = quote(resource.path(namespace, name))
    return f"{path}/{subresource}" if subresource else path


def path_of(resource: Resource, obj: Object) -> str:
    """Returns the URL path at which an object stands."""
    metadata = obj["metadata"]
    return path_to(resource, metadata.get("namespace"), metadata["name"])


def good(answer: Answer) -> Object:
    """Returns what a 2xx answer holds; raises what any other stands for."""
    if 200 <= answer.status < 300:
        return decoded(answer.body)
    raise error_from_answer(answer.status, answer.body, answer.headers.get("retry-after"))


def checked(kind: str, value: Object) -> Object:
    """Returns an object whose metadata can be relied on."""
    if value.get("kind") != kind or not isinstance(value.get("metadata"), dict):
        raise Garbled(f"asked for a {kind}, the answer is a {value.get('kind')}")
    return value


def sound(obj: Any) -> Object:
    """Returns an object that can be stored: it has a name, a uid and a version."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(metadata, dict) or not all(
        isinstance(metadata.get(field), str) for field in ("name", "uid", "resourceVersion")
    ):
        raise Garbled("an object without name, uid or version")
    found: Object = obj
    return found


def version_of(value: Object) -> str:
    """Returns the version of a collection, or of a bookmark."""
    version: Any = value["metadata"].get("resourceVersion")
    if not isinstance(version, str):
        raise Garbled("a list, or a bookmark, without a resource version")
    return version


def event_in(resource: Resource, line: bytes) -> Event:
    """Returns the event that a line of a watch holds; raises the error that it reports."""
    value = decoded(line)
    kind, obj = value.get("type"), value.get("object")
    if not isinstance(obj, dict):
        raise Garbled(f"a watch event without an object: {kind!r}")
    if kind == "ERROR":
        raise error_from_event(obj)
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise Garbled(f"a watch event of unknown type: {kind!r}")
    checked(resource.kind, obj)
    if kind == "BOOKMARK":
        version_of(obj)
        return Event(kind, obj)
    return Event(kind, sound(obj))
