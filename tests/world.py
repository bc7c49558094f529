"""Clients with which tests change the cluster and wait for its state, as the administrator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from app.values.meta import Object, Resource
from tests.controlplane.api import APPLY, MERGE_PATCH, Api, Refused

PATIENCE_SECONDS = 60
"""Timeout of ``until``: far longer than any wait, so that a busy machine fails no test."""

Predicate = Callable[[Object], Any]
Objects = list[Object]


class NeverSo(AssertionError):
    """The expected state was not reached; the message holds the last state."""


class Admin:
    """A blocking client in one namespace, for tests without an event loop."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def path(self, resource: Resource, name: str | None = None) -> str:
        """Returns the URL path of an object, or of all of its kind, in this namespace."""
        return resource.path(self.namespace, name)

    def put(self, resource: Resource, obj: Object) -> Object:
        """Creates or replaces an object, whatever its stored version.

        Raises:
            Refused: the server or a webhook rejects it.
        """
        name = obj["metadata"]["name"]
        while True:
            # The version of the test's copy does not matter.
            stored = self.get(resource, name)
            version = stored["metadata"]["resourceVersion"] if stored else None
            metadata = {**obj["metadata"], "resourceVersion": version}
            body = {**obj, "metadata": metadata}
            try:
                if stored:
                    return self.api.request("PUT", self.path(resource, name), body)
                return self.api.request("POST", self.path(resource), body)
            except Refused as exc:
                if exc.status != 409 or exc.reason not in {"Conflict", "AlreadyExists"}:
                    raise

    def create(self, resource: Resource, obj: Object) -> Object:
        """Creates an object.

        Raises:
            Refused: it exists, or the server or a webhook rejects it.
        """
        return self.api.request("POST", self.path(resource), obj)

    def get(self, resource: Resource, name: str) -> Object | None:
        """Returns an object, or None if it does not exist."""
        try:
            return self.api.request("GET", self.path(resource, name))
        except Refused as exc:
            if exc.status == 404:
                return None
            raise

    def list(self, resource: Resource, selector: str = "") -> Objects:
        """Returns the objects of a kind that match a label selector; an empty one matches all."""
        answer = self.api.request("GET", self.path(resource), params={"labelSelector": selector})
        items: Objects = answer["items"]
        return items

    def patch(
        self, resource: Resource, name: str, body: Any, *, subresource: str = "", kind: str = ""
    ) -> Object:
        """Patches an object with a merge patch, or with another ``kind`` such as ``JSON_PATCH``."""
        path = self.path(resource, name) + (f"/{subresource}" if subresource else "")
        return self.api.request("PATCH", path, body, content_type=kind or MERGE_PATCH)

    def apply(self, resource: Resource, obj: Object, manager: str = "tests") -> Object:
        """Applies an object server-side with force."""
        params = {"fieldManager": manager, "force": "true"}
        path = self.path(resource, obj["metadata"]["name"])
        return self.api.request("PATCH", path, obj, content_type=APPLY, params=params)

    def delete(self, resource: Resource, name: str, *, propagation: str = "Background") -> None:
        """Deletes an object without waiting until it is gone."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        self.api.request("DELETE", self.path(resource, name), body)

    def until(
        self,
        resource: Resource,
        name: str,
        right: Predicate = bool,
        *,
        seconds: float = PATIENCE_SECONDS,
    ) -> Object:
        """Waits until an object exists and a predicate holds; returns the object.

        A KeyError or IndexError in the predicate counts as false, because a field may be missing.

        Raises:
            NeverSo: timeout; the message holds the last object.
        """
        deadline, pauses = time.monotonic() + seconds, _pauses()
        while True:
            obj = self.get(resource, name)
            if obj is not None and _holds(right, obj):
                return obj
            if time.monotonic() > deadline:
                raise NeverSo(
                    f"{resource.kind} {self.namespace}/{name}, last seen after {seconds} s:"
                    f" {_shown(obj) if obj else 'there is none'}"
                )
            time.sleep(next(pauses))

    def until_gone(
        self, resource: Resource, name: str, *, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Waits until an object does not exist.

        Raises:
            NeverSo: timeout; it still exists.
        """
        deadline, pauses = time.monotonic() + seconds, _pauses()
        while (obj := self.get(resource, name)) is not None:
            if time.monotonic() > deadline:
                raise NeverSo(
                    f"{resource.kind} {self.namespace}/{name} is still there after {seconds} s:"
                    f" {_shown(obj)}"
                )
            time.sleep(next(pauses))

    def until_listed(
        self,
        resource: Resource,
        right: Callable[[Objects], Any],
        *,
        selector: str = "",
        seconds: float = PATIENCE_SECONDS,
    ) -> Objects:
        """Waits until a predicate holds for the list of objects of a kind; returns the list.

        Raises:
            NeverSo: timeout.
        """
        deadline, pauses = time.monotonic() + seconds, _pauses()
        while True:
            objects = self.list(resource, selector)
            if right(objects):
                return objects
            if time.monotonic() > deadline:
                names = ", ".join(obj["metadata"]["name"] for obj in objects) or "none"
                raise NeverSo(f"{resource} in {self.namespace} after {seconds} s: {names}")
            time.sleep(next(pauses))

    def serve(
        self, resource: Resource, name: str, condition: str = "Available", ready: int | None = None
    ) -> Object:
        """Writes the status of a ModelServing as the serving controller does.

        Args:
            resource: ModelServing.
            name: whose status to write.
            condition: the one that is True: ``Available``, ``Progressing``, ``UpdateInProgress``.
            ready: replicas that serve; all that the spec asks for, if not given.
        """
        serving = self.until(resource, name)
        replicas = serving["spec"].get("replicas", 1)
        reasons = {
            "Available": ("AllGroupsReady", "All Serving groups are ready"),
            "Progressing": ("GroupProgressing", "Some groups is progressing: [0]"),
            "UpdateInProgress": ("GroupsUpdating", "Some groups is progressing: [0]"),
        }
        reason, message = reasons[condition]
        exclusive = {"Available": ("Progressing", "UpdateInProgress")}.get(
            condition, ("Available",)
        )
        kept = [
            {**old, "status": "False"} if old["type"] in exclusive else old
            for old in serving.get("status", {}).get("conditions", [])
            if old["type"] != condition
        ]
        new = {
            "type": condition,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        available = replicas if ready is None else ready
        if ready is None and condition != "Available":
            available = 0
        status = {
            "observedGeneration": serving["metadata"]["generation"],
            "replicas": replicas,
            "availableReplicas": available,
            "updatedReplicas": replicas,
            "currentReplicas": replicas,
            "conditions": [*kept, new],
        }
        return self.patch(resource, name, {"status": status}, subresource="status")


class World:
    """The same as ``Admin`` for tests with an event loop: each call runs in a thread of its own."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.namespace = admin.namespace

    async def put(self, resource: Resource, obj: Object) -> Object:
        """See ``Admin.put``."""
        return await asyncio.to_thread(self.admin.put, resource, obj)

    async def create(self, resource: Resource, obj: Object) -> Object:
        """See ``Admin.create``."""
        return await asyncio.to_thread(self.admin.create, resource, obj)

    async def get(self, resource: Resource, name: str) -> Object | None:
        """See ``Admin.get``."""
        return await asyncio.to_thread(self.admin.get, resource, name)

    async def list(self, resource: Resource, selector: str = "") -> Objects:
        """See ``Admin.list``."""
        return await asyncio.to_thread(self.admin.list, resource, selector)

    async def patch(
        self, resource: Resource, name: str, body: Any, *, subresource: str = "", kind: str = ""
    ) -> Object:
        """See ``Admin.patch``."""
        return await asyncio.to_thread(
            self.admin.patch, resource, name, body, subresource=subresource, kind=kind
        )

    async def apply(self, resource: Resource, obj: Object, manager: str = "tests") -> Object:
        """See ``Admin.apply``."""
        return await asyncio.to_thread(self.admin.apply, resource, obj, manager)

    async def delete(
        self, resource: Resource, name: str, *, propagation: str = "Background"
    ) -> None:
        """See ``Admin.delete``."""
        await asyncio.to_thread(self.admin.delete, resource, name, propagation=propagation)

    async def until(
        self,
        resource: Resource,
        name: str,
        right: Predicate = bool,
        *,
        seconds: float = PATIENCE_SECONDS,
    ) -> Object:
        """See ``Admin.until``."""
        return await asyncio.to_thread(self.admin.until, resource, name, right, seconds=seconds)

    async def until_gone(
        self, resource: Resource, name: str, *, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """See ``Admin.until_gone``."""
        await asyncio.to_thread(self.admin.until_gone, resource, name, seconds=seconds)

    async def until_listed(
        self,
        resource: Resource,
        right: Callable[[Objects], Any],
        *,
        selector: str = "",
        seconds: float = PATIENCE_SECONDS,
    ) -> Objects:
        """See ``Admin.until_listed``."""
        return await asyncio.to_thread(
            self.admin.until_listed, resource, right, selector=selector, seconds=seconds
        )

    async def serve(
        self, resource: Resource, name: str, condition: str = "Available", ready: int | None = None
    ) -> Object:
        """See ``Admin.serve``."""
        return await asyncio.to_thread(self.admin.serve, resource, name, condition, ready)


def _pauses() -> Iterator[float]:
    """Yields the pauses between polls, in seconds: a poll takes the API server a millisecond."""
    pause = 0.02
    while True:
        yield pause
        pause = min(pause * 1.3, 0.15)


def _holds(right: Predicate, obj: Object) -> bool:
    try:
        return bool(right(obj))
    except (KeyError, IndexError):
        return False


def _shown(obj: Object) -> str:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return json.dumps({**obj, "metadata": metadata}, indent=1)
