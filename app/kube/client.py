"""The API server as the rest of the program sees it: objects in, objects out, our own errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from app.kube.access import Credentials
from app.kube.objects import checked, good, path_of, path_to
from app.kube.pace import Bucket
from app.kube.reader import Reader
from app.kube.request import REQUEST_SECONDS, Request
from app.kube.transport import Guard, Observe, Transport
from app.values.meta import Object, Resource
from app.version import program_version

FIELD_MANAGER = "model-booster-controller"
"""Under this name the API server notes which fields are ours."""


class Kube(Reader):
    """Reads and writes objects.

    A write may raise what a read does; after ``Unreachable`` it may have been done all the same.
    It may raise ``LeadershipLost``: then nothing was sent.

    Args:
        transport: the connections.
        guard: asked before every write.
        seconds: time limit of a single request.
        is_urgent: whether requests for single objects go before all limits of their rate.
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
        """Returns the same client without a guard, for writes that no leadership is needed for.

        Args:
            seconds: time limit of a single request.
            is_urgent: whether such a request goes before all limits of the rate: the lease must
                be renewed however many writes wait for their turn.
        """
        return Kube(self._transport, None, seconds, is_urgent=is_urgent)

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Creates an object; ``Conflict`` if there is one of that name."""
        path = path_to(resource, obj["metadata"].get("namespace"))
        answer = await self._write("POST", path, obj, {"fieldManager": FIELD_MANAGER})
        return checked(resource.kind, answer)

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Writes a whole object over the version it carries; ``Conflict`` if there is a newer."""
        path = path_of(resource, obj)
        answer = await self._write("PUT", path, obj, {"fieldManager": FIELD_MANAGER})
        return checked(resource.kind, answer)

    async def apply(self, resource: Resource, obj: Object) -> Object:
        """Applies an object on the server's side; what others own and we send becomes ours."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        path = path_of(resource, obj)
        answer = await self._write("PATCH", path, obj, query, "application/apply-patch+yaml")
        return checked(resource.kind, answer)

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Object,
        *,
        subresource: str = "",
    ) -> Object:
        """Merges a patch into an object; guarded by the resource version that the patch carries."""
        path = path_to(resource, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        kind = "application/merge-patch+json"
        return checked(resource.kind, await self._write("PATCH", path, patch, query, kind))

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Sequence[Object],
        *,
        subresource: str = "",
    ) -> Object:
        """Runs the operations of a JSON Patch (RFC 6902) on an object, all or none."""
        path = path_to(resource, namespace, name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        kind = "application/json-patch+json"
        return checked(resource.kind, await self._write("PATCH", path, patch, query, kind))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        """Deletes an object; what it owns is collected later.

        Args:
            resource: the kind.
            namespace: None for kinds outside of namespaces.
            name: the object's name.
            uid: delete only the object with this uid; ``Conflict`` if another has the name.
        """
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self._write("DELETE", path_to(resource, namespace, name), options, {})

    async def _write(
        self,
        method: str,
        path: str,
        body: Object | Sequence[Object],
        query: dict[str, str],
        content_type: str = "application/json",
    ) -> Object:
        request = Request(
            method=method,
            path=path,
            query=query,
            body=orjson.dumps(body),
            headers={"Content-Type": content_type},
            seconds=self._seconds,
            is_urgent=self._is_urgent,
        )
        return good(await self._transport.send(request, self._guard))


@asynccontextmanager
async def connect(
    kubeconfig: str | None = None,
    *,
    qps: float = 0,
    burst: int = 0,
    guard: Guard | None = None,
    observe: Observe | None = None,
) -> AsyncIterator[Kube]:
    """Opens connections to the API server.

    Args:
        kubeconfig: path of one; None: the pod's service account, else ``KUBECONFIG``, else
            ``~/.kube/config``.
        qps: requests per second of all parts of the process together; 0 for no limit.
        burst: how many may go at once under such a limit.
        guard: asked before every write.
        observe: told of every answer.

    Raises:
        UsageError: there is no usable access to a server.
    """
    bucket = Bucket(qps, burst) if qps > 0 else None
    credentials = Credentials(kubeconfig)
    user_agent = f"model-booster/{program_version()}"
    async with Transport(credentials, user_agent, bucket=bucket, observe=observe) as transport:
        yield Kube(transport, guard)
