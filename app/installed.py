"""Which kthena is installed: which child kinds are served, and in which shape the scaling ones.

Discovery says which kinds there are. That is not enough: a kind left over from an older release
stays until somebody deletes it. So the schema of AutoscalingPolicy decides between the merged form
(profile C) and the older one, and the schema of its binding between the two older ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from app.apis.definition import missing_fields
from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    CHILDREN,
    MODEL_BOOSTER,
    NETWORKING,
    WORKLOAD,
    Profile,
)
from app.errors import ApiError, Forbidden, NotFound, Unreachable
from app.kube import Backoff, Kube
from app.values.meta import Object, Resource

log = logging.getLogger(__name__)

GROUPS = (WORKLOAD, NETWORKING)

FAST_POLL_SECONDS = 15.0
"""Poll interval while a child is rejected or the kthena release is still unknown."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What the cluster serves.

    Args:
        profile: the shape of the children; None if the scaling kinds are not there.
        kinds: the child kinds that are served, in the order of ``CHILDREN``.
        missing: fields of our ModelBooster that the installed one does not have, as paths; any
            of them means that another CustomResourceDefinition is installed.
        version: names the version of the kinds' schemas; another one when any of them changes.
    """

    profile: Profile | None
    kinds: tuple[Resource, ...]
    missing: tuple[str, ...] = ()
    version: str = ""

    @property
    def booster_is_ours(self) -> bool:
        """Whether the installed ModelBooster keeps every field that ours has."""
        return not self.missing


def installed(served: Collection[str], schemas: Object) -> Installed:
    """Returns what discovery and OpenAPI tell about the cluster.

    Args:
        served: the resources that discovery lists, as ``plural.group``.
        schemas: ``components.schemas`` of the OpenAPI v3 document of the workload group.
    """
    kinds = tuple(resource for resource in CHILDREN if str(resource) in served)
    booster = next((s for s in schemas.values() if _is_of(s, MODEL_BOOSTER)), None)
    # Without a schema the benefit of the doubt: what we read tells as well.
    missing = () if booster is None else tuple(missing_fields(booster))
    return Installed(_profile(kinds, schemas), kinds, missing)


def _profile(kinds: Collection[Resource], schemas: Object) -> Profile | None:
    if AUTOSCALING_POLICY not in kinds:
        return None
    metric = _fields(schemas, AUTOSCALING_POLICY, "spec", "metrics")
    if "name" in metric:
        return Profile.C
    if AUTOSCALING_POLICY_BINDING not in kinds:
        return None if "metricName" in metric else Profile.C
    binding = _fields(schemas, AUTOSCALING_POLICY_BINDING, "spec")
    return Profile.A if "scalingConfiguration" in binding else Profile.B


def _fields(schemas: Object, resource: Resource, *path: str) -> Object:
    """Returns the fields of a kind at a path; lists stand for their items. Empty if unknown."""
    schema: Any = next((s for s in schemas.values() if _is_of(s, resource)), {})
    for name in path:
        schema = _resolved(schemas, schema).get("properties", {}).get(name, {})
        schema = _resolved(schemas, schema)
        schema = schema.get("items", schema)
    fields: Object = _resolved(schemas, schema).get("properties") or {}
    return fields


def _is_of(schema: Any, resource: Resource) -> bool:
    marks = schema.get("x-kubernetes-group-version-kind") or () if isinstance(schema, dict) else ()
    wanted = (resource.group, resource.version, resource.kind)
    return any((m.get("group"), m.get("version"), m.get("kind")) == wanted for m in marks)


def _resolved(schemas: Object, schema: Any) -> Object:
    """Follows a reference, also one that is wrapped in ``allOf``."""
    if not isinstance(schema, dict):
        return {}
    (schema,) = schema.get("allOf") or (schema,)
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Object = schemas.get(name, {}) if name else schema
    return found


class Detection:
    """Asks the cluster what is installed; a document that did not change is not sent again.

    Args:
        kube: the API server.
        fixed: a profile that was set by hand; it wins over what is found.
    """

    def __init__(self, kube: Kube, fixed: Profile | None = None) -> None:
        self._kube = kube
        self._fixed = fixed
        self._etag: str | None = None
        self._schemas: Object = {}

    async def look(self) -> Installed:
        """Returns what is installed now.

        Raises:
            ApiError, Unreachable: the cluster cannot be asked.
        """
        served: set[str] = set()
        for group in GROUPS:
            served.update(await self._served(group))
        found = installed(served, await self._openapi())
        return replace(found, profile=self._fixed or found.profile, version=self._etag or "")

    async def _served(self, group: str) -> Iterable[str]:
        try:
            document = await self._kube.read(f"/apis/{group}/v1alpha1")
        except NotFound:
            return ()
        return [f"{entry['name']}.{group}" for entry in document.body.get("resources") or ()]

    async def _openapi(self) -> Object:
        try:
            document = await self._kube.read(
                f"/openapi/v3/apis/{WORKLOAD}/v1alpha1", etag=self._etag
            )
        except (NotFound, Forbidden):
            return {}  # what discovery says must do
        if document.changed:
            # Of 0.9 MB only the few kilobytes that are asked about are kept.
            self._etag = document.etag or None
            schemas = (document.body.get("components") or {}).get("schemas") or {}
            self._schemas = _needed(schemas)
        return self._schemas


def _needed(schemas: Object) -> Object:
    wanted = (AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING, MODEL_BOOSTER)
    return {
        name: schema
        for name, schema in schemas.items()
        if any(_is_of(schema, resource) for resource in wanted)
    }


async def poll_installed(
    look: Callable[[], Awaitable[Installed]],
    interval_seconds: float,
    is_urgent: Callable[[], bool] = lambda: False,
) -> None:
    """Polls what is installed, until it is cancelled. Failures are logged and retried.

    Args:
        look: asks the cluster once; raises ApiError or Unreachable.
        interval_seconds: time between two polls; each is a few small requests.
        is_urgent: returns whether to poll every ``FAST_POLL_SECONDS``.
    """
    backoff = Backoff(0.5, FAST_POLL_SECONDS)
    tick_seconds, polled_at, is_known = min(FAST_POLL_SECONDS, interval_seconds), 0.0, False
    while True:
        if not is_known or is_urgent() or time.monotonic() - polled_at >= interval_seconds:
            try:
                await look()
                polled_at, is_known = time.monotonic(), True
            except (ApiError, Unreachable) as exc:
                log.warning("the installed kthena is not known: %s", exc)
        await asyncio.sleep(tick_seconds if is_known else backoff.pause_seconds())
