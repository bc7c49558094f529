"""The parts of core/v1 for containers: environment variables and resources.

Source: https://kubernetes.io/docs/reference/generated/kubernetes-api/. The types have no defaults,
because the API server sets those in the pods.

These values are validated and passed on unchanged, so they stay JSON: TypedDicts with the field
names of the API. Converting hundreds of variables to objects and back took half of the time of an
admission review.
"""

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
    """Path of the field, for example status.podIP."""
    apiVersion: NotRequired[str]
    """API version of the path. Defaults to v1."""


@atomic_core_type
class ResourceFieldReference(TypedDict):
    """A resource of a container, for example limits.cpu."""

    resource: str
    """The resource."""
    containerName: NotRequired[str]
    """Name of the container. Defaults to the same container."""
    divisor: NotRequired[Quantity]
    """Unit of the value. Defaults to 1."""


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
    """Source of the value of an environment variable."""

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
    """Name of the variable."""
    value: NotRequired[str]
    """Value of the variable."""
    valueFrom: NotRequired[EnvVarSource]
    """Source of the value, instead of value."""


@atomic_core_type
class NameReference(TypedDict):
    """A ConfigMap or Secret of the same namespace."""

    name: NotRequired[str]
    """Name of the ConfigMap or Secret."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@core_type
class EnvFromSource(TypedDict):
    """A ConfigMap or Secret whose keys all become environment variables."""

    prefix: NotRequired[str]
    """Prefix of each key."""
    configMapRef: NotRequired[NameReference]
    """The ConfigMap."""
    secretRef: NotRequired[NameReference]
    """The Secret."""


@core_type
class ResourceClaim(TypedDict):
    """A resource claim of the pod that the container uses."""

    name: str
    """Name of the claim in the pod."""
    request: NotRequired[str]
    """Name of the request in the claim. Defaults to the whole claim."""


@core_type
class ResourceRequirements(TypedDict):
    """Resource requests and limits of a container."""

    limits: NotRequired[dict[str, Quantity]]
    """Maximum by resource: cpu, memory, nvidia.com/gpu, huawei.com/ascend-1980 and others."""
    requests: NotRequired[dict[str, Quantity]]
    """Amount to reserve by resource. Defaults to the limit."""
    claims: NotRequired[ByName[ResourceClaim]]
    """Resource claims of the pod that the container uses."""
