"""The kinds, labels and kthena releases of the API."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from app.values.meta import Resource

WORKLOAD = "workload.serving.volcano.sh"

NETWORKING = "networking.serving.volcano.sh"

MODEL_BOOSTER = Resource(WORKLOAD, "v1alpha1", "modelboosters", "ModelBooster")

MODEL_SERVING = Resource(WORKLOAD, "v1alpha1", "modelservings", "ModelServing")

MODEL_SERVER = Resource(NETWORKING, "v1alpha1", "modelservers", "ModelServer")

MODEL_ROUTE = Resource(NETWORKING, "v1alpha1", "modelroutes", "ModelRoute")

AUTOSCALING_POLICY = Resource(WORKLOAD, "v1alpha1", "autoscalingpolicies", "AutoscalingPolicy")

AUTOSCALING_POLICY_BINDING = Resource(
    WORKLOAD, "v1alpha1", "autoscalingpolicybindings", "AutoscalingPolicyBinding"
)

JOB = Resource("batch", "v1", "jobs", "Job")
"""The kind of cache warm-ups. They belong to a ModelBooster, but are created once, not kept."""

NODE = Resource("", "v1", "nodes", "Node", namespaced=False)

CHILDREN: tuple[Resource, ...] = (
    AUTOSCALING_POLICY,  # before its binding, so that "kubectl apply" succeeds
    AUTOSCALING_POLICY_BINDING,
    MODEL_SERVING,
    MODEL_SERVER,
    MODEL_ROUTE,
)
"""Every kind of child, in the order of the rendered output."""

MODEL_NAME = f"{WORKLOAD}/model-name"

BACKEND_NAME = f"{WORKLOAD}/backend-name"

MODEL_UID = f"{WORKLOAD}/model-uid"

MANAGED_BY = f"{WORKLOAD}/managed-by"

REVISION = f"{WORKLOAD}/revision"

REGISTRY_MANAGED_BY = "registry.volcano.sh/managed-by"

DELETION_PROTECTION = f"{WORKLOAD}/deletion-protection"

POD_SERVER = f"{WORKLOAD}/model-server"
"""Annotation of a pod: uid of the ModelServer after whose creation the pod was changed."""

GROUP_NAME = "modelserving.volcano.sh/group-name"

ROLE = "modelserving.volcano.sh/role"

ENTRY = "modelserving.volcano.sh/entry"
"""The serving controller sets it to "true" on the entry pod of each group."""

SELECTOR = MANAGED_BY
"""Label of every child; the label selector of informers of children."""


class Profile(StrEnum):
    """The schema of the child kinds, which depends on the installed kthena release.

    Only the autoscaling kinds differ: A (v0.1.0), B (v0.2.0 to v0.4.0), C (v1.0.0 and later).
    """

    A = "A"
    B = "B"
    C = "C"


PROFILES: dict[str, Profile] = {
    "v0.1.0": Profile.A,
    "v0.2.0": Profile.B,
    "v0.3.0": Profile.B,
    "v0.4.0": Profile.B,
    "v1.0.0": Profile.C,
}
"""The supported kthena releases, and the profile of each."""

DEFAULT_RELEASE = "v0.4.0"
"""The newest release whose child kinds support every field of a ModelBooster."""

_RELEASE = re.compile(r"v?([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?![0-9.])", re.ASCII)


class KthenaRelease(NamedTuple):
    """A release of kthena; a candidate such as ``v1.0.0-rc.1`` counts as the release."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def read_kthena_release(text: str) -> KthenaRelease | None:
    """Returns the release that a tag begins with, with or without ``v``; None if there is none."""
    match = _RELEASE.match(text)
    return None if match is None else KthenaRelease(*map(int, match.groups()))
