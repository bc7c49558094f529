"""Reads objects, lists, watches and documents from the API server.

An object is the JSON of the server, without generated classes. Each method sends one request.
Callers retry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial

from app.kube.backlog import Backlog
from app.kube.list_parser import ListParser
from app.kube.objects import (
    METADATA_KIND,
    ApiDocument,
    Event,
    ObjectList,
    collection_version,
    event_from_line,
    json_of,
    name_kind,
    of_kind,
    path_to,
    with_identity,
)
from app.kube.request import LIST_SECONDS, REQUEST_SECONDS, Request
from app.kube.transport import Transport
from app.values.meta import Object, Resource

WATCH_GRACE_SECONDS = 30.0
"""A watch that exceeds its own time limit by this much counts as dead."""

_ONLY_METADATA = f"application/json;as={METADATA_KIND};g=meta.k8s.io;v=v1"
_LIST_OF_METADATA = f"application/json;as={METADATA_KIND}List;g=meta.k8s.io;v=v1"


class Reader:
    """Reads objects (controller-runtime: client.Reader).

    Every method may raise ``ApiError`` or a subclass of it, and ``Unreachable``.

    Args:
        transport: the connections.
        seconds: time limit of a single request.
        is_urgent: whether requests for single objects are exempt from the rate limit.
    """

    def __init__(
        self, transport: Transport, seconds: float = REQUEST_SECONDS, *, is_urgent: bool = False
    ) -> None:
        self._transport = transport
        self._seconds = seconds
        self._is_urgent = is_urgent

    @property
    def refused_seconds(self) -> float:
        """How long the server has been rejecting our credentials (401); 0 while it accepts them."""
        return self._transport.refused_seconds

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Returns one object."""
        return of_kind(resource.kind, await self._get(path_to(resource, namespace, name)))

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
    ) -> ObjectList:
        """Returns all objects of a kind.

        Args:
            resource: the kind.
            namespace: None for all namespaces.
            label_selector: only objects with these labels.
            field_selector: only objects with these fields.
            resource_version: None for the latest state, which is a quorum read; ``"0"`` for any
                cached state; otherwise the list is not older than this version.
        """
        items: list[Object] = []
        version = await self.each(
            resource,
            items.append,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
        )
        return ObjectList(items, version)

    async def each(
        self,
        resource: Resource,
        take: Callable[[Object], object],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        only_metadata: bool = False,
    ) -> str:
        """Lists the objects of a kind, and calls ``take`` with each as it arrives.

        Args:
            resource: the kind.
            take: called with each object. After an error the list is incomplete.
            namespace: None for all namespaces.
            label_selector: only objects with these labels.
            field_selector: only objects with these fields.
            resource_version: as in ``list``.
            only_metadata: whether to read only the metadata of the objects.

        Returns:
            The resource version of the collection.
        """
        not_older = resource_version not in (None, "0")
        request = Request(
            method="GET",
            path=path_to(resource, namespace),
            query={
                "labelSelector": label_selector,
                "fieldSelector": field_selector,
                "resourceVersion": resource_version or "",
                "resourceVersionMatch": "NotOlderThan" if not_older else "",
            },
            headers={"Accept": _LIST_OF_METADATA} if only_metadata else {},
            seconds=LIST_SECONDS,
            silence_seconds=REQUEST_SECONDS,
        )
        items = ListParser()

        def feed(piece: bytes, *, is_last: bool = False) -> None:
            for item in items.feed(piece, is_last=is_last):
                obj = with_identity(item)
                if only_metadata:
                    name_kind(obj, resource)
                obj.setdefault("apiVersion", resource.api_version)
                obj.setdefault("kind", resource.kind)  # missing in lists of built-in kinds
                take(obj)

        pieces = self._transport.stream(request, is_endless=False)
        async with aclosing(pieces):
            async for piece in pieces:
                feed(piece)
        feed(b"", is_last=True)
        kind = METADATA_KIND if only_metadata else resource.kind
        return collection_version(of_kind(kind + "List", items.list))

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None,
        initial_events: bool = False,
        only_metadata: bool = False,
        timeout_seconds: int,
        grace_seconds: float = WATCH_GRACE_SECONDS,
        backlog: Backlog | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yields the changes of the objects of a kind, until the server ends the watch.

        The objects have no ``managedFields``.

        Args:
            resource: the kind.
            namespace: None for all namespaces.
            label_selector: only objects with these labels.
            field_selector: only objects with these fields.
            resource_version: begin after this version.
            initial_events: begin with an ADDED event for every object that exists, followed by a
                bookmark with the annotation ``k8s.io/initial-events-end`` (streaming list).
            only_metadata: whether to read only the metadata of the objects.
            timeout_seconds: the server ends the watch after this time.
            grace_seconds: after this additional time the connection counts as dead.
            backlog: lets events wait; it serves one watch at a time.

        Raises:
            ApiError: the watch was rejected, or an ERROR event arrived; ``Gone`` if the version is
                too old.
            Garbled: a line is no event of this kind. An event may be lost.
            Unreachable: the connection broke, or the watch exceeded its time limit.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version or "",
            "timeoutSeconds": str(timeout_seconds),
        }
        if initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        request = Request(
            method="GET",
            path=path_to(resource, namespace),
            query=query,
            headers={"Accept": _ONLY_METADATA} if only_metadata else {},
            seconds=timeout_seconds + grace_seconds,
        )
        backlog = backlog or Backlog()
        own_writes = self._transport.own_writes
        backlog.begin(partial(event_from_line, resource, own_writes, only_metadata=only_metadata))
        async with aclosing(self._transport.stream(request, opened=backlog.opened)) as pieces:
            async for piece in pieces:
                for event in backlog.feed(piece):
                    yield event
                await backlog.wait()

    async def read(self, path: str, *, etag: str | None = None) -> ApiDocument:
        """Reads a document of discovery, OpenAPI or ``/version``.

        Args:
            path: path and query.
            etag: ETag of the version that we have. The server then sends only a newer one.
        """
        headers = {"If-None-Match": etag} if etag else {}
        request = Request(method="GET", path=path, headers=headers, seconds=LIST_SECONDS)
        response = await self._transport.send(request)
        if response.status == 304:
            return ApiDocument(False, etag or "", {})
        return ApiDocument(True, response.headers.get("etag", ""), json_of(response))

    async def stream(
        self, path: str, query: Mapping[str, str], *, seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """Yields the pieces of a response that is no JSON, such as the log of a container.

        Args:
            path: path below the server's address.
            query: parameters. Those with an empty value are left out.
            seconds: limit of the whole request.
        """
        request = Request(
            method="GET", path=path, query=query, headers={"Accept": "*/*"}, seconds=seconds
        )
        async with aclosing(self._transport.stream(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def _get(self, path: str) -> Object:
        request = Request(method="GET", path=path, seconds=self._seconds, is_urgent=self._is_urgent)
        return json_of(await self._transport.send(request))
