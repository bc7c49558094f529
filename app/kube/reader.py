"""What is read from the API server: objects, lists, watches, documents.

No generated class stands between: an object is the JSON that the server sent. Each method is one
request; trying again is the business of who asks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from app.kube.list_parser import Items
from app.kube.objects import (
    Document,
    Event,
    ObjectList,
    checked,
    event_in,
    good,
    path_to,
    sound,
    version_of,
)
from app.kube.request import REQUEST_SECONDS, Request
from app.kube.responses import Lines
from app.kube.transport import LIST_SECONDS, Transport
from app.values.meta import Object, Resource

WATCH_GRACE_SECONDS = 30.0
"""How much longer than its own limit a watch may last before we call its connection dead."""

_ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Reader:
    """Reads objects.

    Every method may raise ``ApiError`` or one of its kinds, and ``Unreachable``.

    Args:
        transport: the connections.
        seconds: time limit of a single request.
        is_urgent: whether reads and writes of single objects go before all limits of their rate.
    """

    def __init__(
        self, transport: Transport, seconds: float = REQUEST_SECONDS, *, is_urgent: bool = False
    ) -> None:
        self._transport = transport
        self._seconds = seconds
        self._is_urgent = is_urgent

    @property
    def refused_seconds(self) -> float:
        """How long the server has been answering 401 to us; 0 while it does not."""
        return self._transport.refused_seconds

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Returns one object."""
        return checked(resource.kind, await self._get(path_to(resource, namespace, name)))

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
            resource_version: None: as of now, at the price of a quorum read; ``"0"``: whatever the
                server has at hand; else: not older than this.
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
        """Hands over the objects of a kind one by one, as they come.

        Args:
            resource: the kind.
            take: is given each object. When an error is raised those it was given are not all.
            namespace: None for all namespaces.
            label_selector: only objects with these labels.
            field_selector: only objects with these fields.
            resource_version: as in ``list``.
            only_metadata: leaves out all the rest of the objects.

        Returns:
            The version of the collection.
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
            headers={"Accept": _ONLY_METADATA} if only_metadata else {},
            seconds=LIST_SECONDS,
            silence_seconds=REQUEST_SECONDS,
        )
        items = Items()

        def hand_over(piece: bytes, *, is_last: bool = False) -> None:
            for item in items.feed(piece, is_last=is_last):
                obj = sound(item)
                obj.setdefault("apiVersion", resource.api_version)
                obj.setdefault("kind", resource.kind)  # lists of built-in kinds leave out these two
                take(obj)

        pieces = self._transport.stream(request, is_endless=False)
        async with aclosing(pieces):
            async for piece in pieces:
                hand_over(piece)
        hand_over(b"", is_last=True)
        kind = "PartialObjectMetadata" if only_metadata else resource.kind
        return version_of(checked(kind + "List", items.list))

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None,
        initial_events: bool = False,
        timeout_seconds: int,
        grace_seconds: float = WATCH_GRACE_SECONDS,
    ) -> AsyncGenerator[Event, None]:
        """Yields what happens to the objects of a kind, until the server ends the watch.

        Args:
            resource: the kind.
            namespace: None for all namespaces.
            label_selector: only objects with these labels.
            field_selector: only objects with these fields.
            resource_version: begin after this version.
            initial_events: begin with an ADDED event for every object that exists, and a bookmark
                with the annotation ``k8s.io/initial-events-end`` after the last of them.
            timeout_seconds: the server ends the watch after this time.
            grace_seconds: if it does not within this time more, the connection is dead.

        Raises:
            ApiError: the watch was refused, or an ERROR event came; ``Gone`` for version too old.
            Garbled: a line that is no event of this kind; what was missed is unknown.
            Unreachable: the connection broke or was silent for too long.
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
            seconds=timeout_seconds + grace_seconds,
        )
        lines = Lines()
        async with aclosing(self._transport.stream(request)) as pieces:
            async for piece in pieces:
                for line in lines.feed(piece):
                    yield event_in(resource, line)

    async def read(self, path: str, *, etag: str | None = None) -> Document:
        """Reads a document that is no object: discovery, OpenAPI, version.

        Args:
            path: path and query.
            etag: of the version that we have; the server then sends only a newer one.
        """
        headers = {"If-None-Match": etag} if etag else {}
        request = Request(method="GET", path=path, headers=headers, seconds=LIST_SECONDS)
        answer = await self._transport.send(request)
        if answer.status == 304:
            return Document(False, etag or "", {})
        return Document(True, answer.headers.get("etag", ""), good(answer))

    async def _get(self, path: str) -> Object:
        request = Request(method="GET", path=path, seconds=self._seconds, is_urgent=self._is_urgent)
        return good(await self._transport.send(request))
