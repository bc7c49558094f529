"""The parts of Kubernetes' core/v1 that a ModelBooster embeds, as its CRD has always written them.

Shapes and meaning are those of https://kubernetes.io/docs/reference/generated/kubernetes-api/.
No defaults: the API server's are applied where these values end, in the pods.

Nothing here asks what they say, field by field; they are checked and handed on. So they stay the
JSON that they came as: dicts with the fields that the type knows, under the API's own names. An
object for each of hundreds of variables, and back, was half of the work of an admission review.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

from app.apis.schema import ByName, Quantity, atomic_core_type, core_type


@atomic_core_type
class KeyReference(TypedDict):
    """One key of a ConfigMap or a Secret of the same namespace."""

    key: str
    """The key to read."""
    name: NotRequired[str]
    """Name of the ConfigMap or Secret."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@atomic_core_type
class FieldReference(TypedDict):
    """A field of the pod."""

    fieldPath: str
    """Path of the field, for instance status.podIP."""
    apiVersion: NotRequired[str]
    """Version in which the path is written; v1 if absent."""


@atomic_core_type
class ResourceFieldReference(TypedDict):
    """A resource of a container, for instance limits.cpu."""

    resource: str
    """The resource."""
    containerName: NotRequired[str]
    """The container; the one itself if absent."""
    divisor: NotRequired[Quantity]
    """Unit in which the value is given; 1 if absent."""


@atomic_core_type
class FileKeyReference(TypedDict):
    """One key of an env file in a volume of the pod."""

    key: str
    """The key to read."""
    path: str
    """Path of the file inside the volume."""
    volumeName: str
    """Name of the volume."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@core_type
class EnvVarSource(TypedDict):
    """Where the value of an environment variable comes from."""

    configMapKeyRef: NotRequired[KeyReference]
    """A key of a ConfigMap."""
    secretKeyRef: NotRequired[KeyReference]
    """A key of a Secret."""
    fieldRef: NotRequired[FieldReference]
    """A field of the pod."""
    resourceFieldRef: NotRequired[ResourceFieldReference]
    """A resource of a container."""
    fileKeyRef: NotRequired[FileKeyReference]
    """A key of an env file in a volume."""


@core_type
class EnvVar(TypedDict):
    """An environment variable."""

    name: str
    """Its name."""
    value: NotRequired[str]
    """Its value."""
    valueFrom: NotRequired[EnvVarSource]
    """Where its value comes from, instead of value."""


@atomic_core_type
class NameReference(TypedDict):
    """A ConfigMap or Secret of the same namespace."""

    name: NotRequired[str]
    """Its name."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@core_type
class EnvFromSource(TypedDict):
    """A ConfigMap or Secret whose keys all become environment variables."""

    prefix: NotRequired[str]
    """Put before each key."""
    configMapRef: NotRequired[NameReference]
    """The ConfigMap."""
    secretRef: NotRequired[NameReference]
    """The Secret."""


@core_type
class ResourceClaim(TypedDict):
    """A claim of the pod that the container uses."""

    name: str
    """Name of the claim in the pod."""
    request: NotRequired[str]
    """Name of the request in the claim; all of it if absent."""


@core_type
class ResourceRequirements(TypedDict):
    """What a container needs and may use at most."""

    limits: NotRequired[dict[str, Quantity]]
    """The most it may use, by resource: cpu, memory, nvidia.com/gpu, huawei.com/ascend-1980 ..."""
    requests: NotRequired[dict[str, Quantity]]
    """What is kept for it; the limit if absent."""
    claims: NotRequired[ByName[ResourceClaim]]
    """Claims of the pod that it uses."""
