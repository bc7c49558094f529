"""The client of the API server: reads and writes objects, raises the errors of ``app.errors``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson

from app.kube.access import Credentials
from app.kube.backoff import TokenBucket
from app.kube.connections.connection import Response
from app.kube.objects import check_status, json_of, of_kind, path_of, path_to
from app.kube.reader import Reader
from app.kube.request import REQUEST_SECONDS, Guard, Observe, Request
from app.kube.responses import decoded_unmanaged, warnings_in
from app.kube.transport import Transport
from app.values.meta import Object, Resource
from app.version import VERSION

FIELD_MANAGER = "model-booster-controller"
"""Field manager of our fields in ``managedFields``."""

_APPLY = "application/apply-patch+yaml"


class Kube(Reader):
    """Reads and writes objects.

    What a write returns has no ``managedFields``. A write raises the same errors as a read. After
    ``Unreachable`` it may have been done all the same. It may also raise ``LeadershipLost``; then
    nothing was sent.

    Args:
        transport: the connections.
        guard: called before every write.
        seconds: time limit of a single request.
        is_urgent: whether requests for single objects are exempt from the rate limit.
    """

    def __init__(
        self,
        transport: Transport,
        guard: Guard | None = None,
        seconds: float = REQUEST_SECONDS,
        *,
        is_urgent: bool = False,
    ) -> None:
        super().__init__(transport, seconds, is_urgent=is_urgent)
        self._guard = guard

    def unguarded(self, seconds: float = REQUEST_SECONDS, *, is_urgent: bool = False) -> Kube:
        """Returns the same client without a guard, for writes that need no leadership.

        Args:
            seconds: time limit of a single request.
            is_urgent: whether requests are exempt from the rate limit. The lease must be renewed
                even if many writes wait.
        """
        return Kube(self._transport, None, seconds, is_urgent=is_urgent)

    async def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Creates an object; ``Conflict`` if the name is taken.

        Args:
            resource: the kind.
            obj: the object; ``metadata`` may be empty for a kind that is only answered.
            dry_run: whether the API server does everything but store it.
        """
        path = path_to(resource, obj["metadata"].get("namespace"))
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return _stored(resource, await self._send("POST", path, obj, query))

    async def post(self, resource: Resource, obj: Object) -> None:
        """Creates an object, and does not read what the server stored; see ``create``."""
        path = path_to(resource, obj["metadata"].get("namespace"))
        check_status(await self._send("POST", path, obj, {"fieldManager": FIELD_MANAGER}))

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Replaces an object; ``Conflict`` if it has a newer version than the one given."""
        path = path_of(resource, obj)
        query = {"fieldManager": FIELD_MANAGER}
        return _stored(resource, await self._send("PUT", path, obj, query))

    async def apply(self, resource: Resource, obj: Object) -> Object:
        """Applies an object (server-side apply, forced: takes over fields of other managers)."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        path = path_of(resource, obj)
        return self._written(resource, await self._send("PATCH", path, obj, query, _APPLY))

    async def apply_as(
        self,
        manager: str,
        resource: Resource,
        obj: Object,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> tuple[Object, list[str]]:
        """Applies an object for a user; returns what is stored, and the warnings of admission.

        Args:
            manager: the field manager.
            resource: the kind.
            obj: the object.
            force: whether to take over fields of other managers; ``Conflict`` otherwise.
            dry_run: whether to store nothing.
        """
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        response = await self._send("PATCH", path_of(resource, obj), obj, query, _APPLY)
        return _stored(resource, response), warnings_in(response.headers.get("warning", ""))

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Object,
        *,
        subresource: str = "",
    ) -> Object:
        """Sends a JSON Merge Patch (RFC 7386). ``Conflict`` if its resource version is outdated."""
        path = path_to(resource, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        kind = "application/merge-patch+json"
        return self._written(resource, await self._send("PATCH", path, patch, query, kind))

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Sequence[Object],
        *,
        subresource: str = "",
    ) -> Object:
        """Sends a JSON Patch (RFC 6902): all of its operations are applied, or none."""
        path = path_to(resource, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        kind = "application/json-patch+json"
        return self._written(resource, await self._send("PATCH", path, patch, query, kind))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        """Deletes an object. Its dependents are deleted in the background.

        Args:
            resource: the kind.
            namespace: None for cluster-scoped kinds.
            name: the object's name.
            uid: delete only the object with this uid; ``Conflict`` if the name belongs to another.
        """
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        json_of(await self._send("DELETE", path_to(resource, namespace, name), options, {}))

    async def exchange(
        self, method: str, path: str, body: bytes | None, *, seconds: float
    ) -> Response:
        """Sends JSON through a proxy of the API server; returns the response, whatever its status.

        Args:
            method: HTTP method.
            path: path below the server's address: ``.../services/NAME:PORT/proxy/v1/models``.
            body: JSON; None for none.
            seconds: limit of the request.

        Raises:
            Unreachable: there is no complete response.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = Request(method=method, path=path, body=body, headers=headers, seconds=seconds)
        return await self._transport.send(request, self._guard)

    def _written(self, resource: Resource, response: Response) -> Object:
        """Returns the object that the API server stored, and notes it for the watches."""
        obj = _stored(resource, response)
        self._transport.own_writes.note(response.body, obj)
        return obj

    async def _send(
        self,
        method: str,
        path: str,
        body: Object | Sequence[Object],
        query: dict[str, str],
        content_type: str = "application/json",
    ) -> Response:
        request = Request(
            method=method,
            path=path,
            query=query,
            body=orjson.dumps(body),
            headers={"Content-Type": content_type},
            seconds=self._seconds,
            is_urgent=self._is_urgent,
        )
        return await self._transport.send(request, self._guard)


def _stored(resource: Resource, response: Response) -> Object:
    """Returns the object that the API server stored."""
    check_status(response)
    return of_kind(resource.kind, decoded_unmanaged(response.body))


@asynccontextmanager
async def connect(
    kubeconfig: str | None = None,
    *,
    qps: float = 0,
    burst: int = 0,
    guard: Guard | None = None,
    observe: Observe | None = None,
    context: str | None = None,
    headers: Mapping[str, str] | None = None,
    client: type[Kube] = Kube,
) -> AsyncIterator[Kube]:
    """Opens a client of the API server.

    Args:
        kubeconfig: path of a kubeconfig. None for the pod's service account if there is one, then
            ``KUBECONFIG``, then ``~/.kube/config``.
        qps: requests per second of the whole process; 0 for no limit.
        burst: requests above that rate that are sent at once.
        guard: called before every write.
        observe: called with every response.
        context: name of a context in the kubeconfig; None for its current one.
        headers: of every request, such as ``Impersonate-User``.
        client: the class of the client.

    Raises:
        UsageError: there are no usable credentials.
    """
    bucket = TokenBucket(qps, burst) if qps > 0 else None
    credentials = Credentials(kubeconfig, context)
    user_agent = f"model-booster/{VERSION}"
    async with Transport(
        credentials, user_agent, bucket=bucket, observe=observe, headers=headers
    ) as transport:
        yield client(transport, guard)
