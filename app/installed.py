"""Detects the installed kthena release: the child kinds that exist, and the shape of scaling kinds.

Discovery lists the kinds. That is not enough, because a kind of an older release stays until an
administrator deletes it. The schema of AutoscalingPolicy tells the merged form (profile C) from
the older one. The schema of its binding tells the two older forms apart (profiles A and B).

v0.2.0, v0.3.0 and v0.4.0 have schemas of the same shape but behave differently. Only the image of
kthena's controller manager tells them apart, if we may read its Deployment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from app.apis.definition import missing_fields
from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    CHILDREN,
    MODEL_BOOSTER,
    NETWORKING,
    WORKLOAD,
    KthenaRelease,
    Profile,
    read_kthena_release,
)
from app.errors import ApiError, Forbidden, NotFound, Unreachable
from app.kube import Backoff, Kube
from app.values.meta import Object, Resource
from app.values.untyped import as_dict, as_list
from app.values.value import hashable_value

log = logging.getLogger(__name__)

GROUPS = (WORKLOAD, NETWORKING)

DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")

CONTROLLER_MANAGER = "kthena-controller-manager"
"""Name of kthena's Deployment, and last part of the repository of its image, in every release."""

FIRST_SECONDS, RETRY_SECONDS = 5.0, 15.0
"""Longest intervals while nothing is known, as at a start, and while a child is rejected."""


@hashable_value
class Installed:
    """What the cluster serves.

    Args:
        profile: the shape of the children; None if the scaling kinds do not exist.
        kinds: the child kinds that are served, in the order of ``CHILDREN``.
        missing: paths of the fields that the installed ModelBooster schema lacks. If there are
            any, another CustomResourceDefinition is installed.
        version: ETag of the published schemas; it changes with each of them.
        release: the release of kthena; None if only its profile is known.
    """

    profile: Profile | None
    kinds: tuple[Resource, ...]
    missing: tuple[str, ...] = ()
    version: str = ""
    release: KthenaRelease | None = None

    @property
    def booster_is_ours(self) -> bool:
        """Whether the installed ModelBooster keeps every field that ours has."""
        return not self.missing


def installed_from(served: Collection[str], schemas: Object) -> Installed:
    """Returns what discovery and OpenAPI say about the cluster.

    Args:
        served: the resources that discovery lists, as ``plural.group``.
        schemas: ``components.schemas`` of the OpenAPI v3 document of the workload group.
    """
    kinds = tuple(resource for resource in CHILDREN if str(resource) in served)
    booster = next((s for s in schemas.values() if _is_of(s, MODEL_BOOSTER)), None)
    # Without a schema assume that ours is installed; objects that are read show it as well.
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
    """Returns the fields of a kind at a path, through the items of lists; empty if unknown."""
    schema: Any = next((s for s in schemas.values() if _is_of(s, resource)), {})
    for name in path:
        schema = _resolved(schemas, schema).get("properties", {}).get(name, {})
        schema = _resolved(schemas, schema)
        schema = schema.get("items", schema)
    fields: Object = _resolved(schemas, schema).get("properties") or {}
    return fields


def _is_of(schema: Any, resource: Resource) -> bool:
    kinds = schema.get("x-kubernetes-group-version-kind") or () if isinstance(schema, dict) else ()
    wanted = (resource.group, resource.version, resource.kind)
    return any((k.get("group"), k.get("version"), k.get("kind")) == wanted for k in kinds)


def _resolved(schemas: Object, schema: Any) -> Object:
    """Resolves a reference, also one that is wrapped in ``allOf``."""
    if not isinstance(schema, dict):
        return {}
    (schema,) = schema.get("allOf") or (schema,)
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Object = schemas.get(name, {}) if name else schema
    return found


def release_of_manager(deployment: Object) -> KthenaRelease | None:
    """Returns the release that the image of kthena's controller manager has; None if unknown.

    ``latest``, a digest and an image of one's own tell nothing.

    Args:
        deployment: the Deployment of the controller manager.
    """
    pod = as_dict(as_dict(as_dict(deployment.get("spec")).get("template")).get("spec"))
    for container in as_list(pod.get("containers")):
        name, _, _ = str(as_dict(container).get("image") or "").partition("@")
        path, _, tag = name.rpartition(":")
        if path.rpartition("/")[2] == CONTROLLER_MANAGER:
            return read_kthena_release(tag)
    return None


class Detector:
    """Asks the cluster which kthena is installed. Unchanged schemas are not transferred again.

    Args:
        kube: the API server.
        fixed: profile from the settings; it overrides the detected one.
        release: release from the settings; it overrides the detected one.
        namespace: namespace of kthena's controller manager; ``""`` if it must not be read.
    """

    def __init__(
        self,
        kube: Kube,
        fixed: Profile | None = None,
        release: KthenaRelease | None = None,
        namespace: str = "",
    ) -> None:
        self._kube = kube
        self._fixed = fixed
        self._release = release
        self._namespace = namespace
        self._etag: str | None = None
        self._schemas: Object = {}

    async def detect(self) -> Installed:
        """Returns what is installed now.

        Raises:
            ApiError, Unreachable: the API server cannot be read.
        """
        served: set[str] = set()
        for group in GROUPS:
            served.update(await self._served(group))
        found = installed_from(served, await self._openapi())
        return replace(
            found,
            profile=self._fixed or found.profile,
            version=self._etag or "",
            release=self._release or await self._deployed(),
        )

    async def _deployed(self) -> KthenaRelease | None:
        if not self._namespace:
            return None
        try:
            found = await self._kube.get(DEPLOYMENT, self._namespace, CONTROLLER_MANAGER)
        except (NotFound, Forbidden):
            return None  # the schemas have to do
        return release_of_manager(found)

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
            return {}  # discovery alone has to do
        if document.changed:
            # Keep only the few kilobytes of 0.9 MB that are used.
            self._etag = document.etag or None
            schemas = (document.body.get("components") or {}).get("schemas") or {}
            self._schemas = _needed(schemas)
        return self._schemas


async def poll(
    detect: Callable[[], Awaitable[object]],
    interval_seconds: float,
    is_urgent: Callable[[], bool] = lambda: False,
) -> None:
    """Detects the installed kthena periodically, until it is cancelled.

    Args:
        detect: one detection; may raise ApiError or Unreachable.
        interval_seconds: interval between two detections.
        is_urgent: whether to detect every ``RETRY_SECONDS`` instead, for example because the API
            server rejects a child that another release would accept.
    """
    backoff, retry_seconds = Backoff(0.5, FIRST_SECONDS), min(RETRY_SECONDS, interval_seconds)
    detected_at: float | None = None
    while True:
        now = time.monotonic()
        if detected_at is None or now - detected_at >= interval_seconds or is_urgent():
            try:
                await detect()
                detected_at = time.monotonic()
            except (ApiError, Unreachable) as exc:
                log.warning("cannot detect the installed kthena release: %s", exc)
        await asyncio.sleep(backoff.pause_seconds() if detected_at is None else retry_seconds)


def _needed(schemas: Object) -> Object:
    wanted = (AUTOSCALING_POLICY, AUTOSCALING_POLICY_BINDING, MODEL_BOOSTER)
    return {
        name: schema
        for name, schema in schemas.items()
        if any(_is_of(schema, resource) for resource in wanted)
    }
