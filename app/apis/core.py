"""The parts of Kubernetes' core/v1 that a ModelBooster embeds, as its CRD has always written them.

Shapes and meaning are those of https://kubernetes.io/docs/reference/generated/kubernetes-api/.
No defaults: the API server's are applied where these values end, in the pods.

Nothing here asks what they say, field by field; they are checked and handed on. So they stay the
JSON that they came as: dicts with the fields that the type knows, under the API's own names. An
object for each of hundreds of variables, and back, was half of the work of an admission review.
"""

from __future__ import annotations

from typing import NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

from app.apis.schema import ATOMIC_MAP, Atomic, ByName, Int32, Int64, Quantity

_CONFIG = ConfigDict(strict=True, extra="ignore", use_attribute_docstrings=True)
_PART = with_config(_CONFIG)
_ATOMIC = with_config(ConfigDict(**_CONFIG, json_schema_extra=ATOMIC_MAP))
"""One value: who applies it owns all of it."""


@_ATOMIC
class KeyReference(TypedDict):
    """One key of a ConfigMap or a Secret of the same namespace."""

    key: str
    """The key to read."""
    name: NotRequired[str]
    """Name of the ConfigMap or Secret."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@_ATOMIC
class FieldReference(TypedDict):
    """A field of the pod."""

    fieldPath: str
    """Path of the field, for instance status.podIP."""
    apiVersion: NotRequired[str]
    """Version in which the path is written; v1 if absent."""


@_ATOMIC
class ResourceFieldReference(TypedDict):
    """A resource of a container, for instance limits.cpu."""

    resource: str
    """The resource."""
    containerName: NotRequired[str]
    """The container; the one itself if absent."""
    divisor: NotRequired[Quantity]
    """Unit in which the value is given; 1 if absent."""


@_ATOMIC
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


@_PART
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


@_PART
class EnvVar(TypedDict):
    """An environment variable."""

    name: str
    """Its name."""
    value: NotRequired[str]
    """Its value."""
    valueFrom: NotRequired[EnvVarSource]
    """Where its value comes from, instead of value."""


@_ATOMIC
class NameReference(TypedDict):
    """A ConfigMap or Secret of the same namespace."""

    name: NotRequired[str]
    """Its name."""
    optional: NotRequired[bool]
    """Whether the pod may start without it."""


@_PART
class EnvFromSource(TypedDict):
    """A ConfigMap or Secret whose keys all become environment variables."""

    prefix: NotRequired[str]
    """Put before each key."""
    configMapRef: NotRequired[NameReference]
    """The ConfigMap."""
    secretRef: NotRequired[NameReference]
    """The Secret."""


@_PART
class ResourceClaim(TypedDict):
    """A claim of the pod that the container uses."""

    name: str
    """Name of the claim in the pod."""
    request: NotRequired[str]
    """Name of the request in the claim; all of it if absent."""


@_PART
class ResourceRequirements(TypedDict):
    """What a container needs and may use at most."""

    limits: NotRequired[dict[str, Quantity]]
    """The most it may use, by resource: cpu, memory, nvidia.com/gpu, huawei.com/ascend-1980 ..."""
    requests: NotRequired[dict[str, Quantity]]
    """What is kept for it; the limit if absent."""
    claims: NotRequired[ByName[ResourceClaim]]
    """Claims of the pod that it uses."""


@_PART
class Toleration(TypedDict):
    """A taint that does not keep the pod from a node."""

    key: NotRequired[str]
    """Key of the taint; all of them if absent."""
    operator: NotRequired[str]
    """Exists or Equal; Equal if absent."""
    value: NotRequired[str]
    """Value of the taint, for Equal."""
    effect: NotRequired[str]
    """NoSchedule, PreferNoSchedule or NoExecute; all of them if absent."""
    tolerationSeconds: NotRequired[Int64]
    """How long a NoExecute taint is borne, in seconds; for ever if absent."""


@_PART
class SelectorRequirement(TypedDict):
    """A condition on a label or field."""

    key: str
    """The label or field."""
    operator: str
    """In, NotIn, Exists, DoesNotExist; for nodes also Gt and Lt."""
    values: NotRequired[Atomic[str]]
    """What it is compared with."""


@_ATOMIC
class NodeSelectorTerm(TypedDict):
    """Conditions on one node, all of which must hold."""

    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """On its labels."""
    matchFields: NotRequired[Atomic[SelectorRequirement]]
    """On its fields."""


@_ATOMIC
class NodeSelector(TypedDict):
    """Nodes for which at least one term holds."""

    nodeSelectorTerms: Atomic[NodeSelectorTerm]
    """The terms."""


@_PART
class PreferredNodes(TypedDict):
    """Nodes that are preferred, and how much."""

    preference: NodeSelectorTerm
    """Which nodes."""
    weight: Int32
    """How much, 1 to 100."""


@_PART
class NodeAffinity(TypedDict):
    """Which nodes a pod may or should run on."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[NodeSelector]
    """Where it may run."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PreferredNodes]]
    """Where it should rather run."""


@_ATOMIC
class LabelSelector(TypedDict):
    """Objects chosen by their labels."""

    matchLabels: NotRequired[dict[str, str]]
    """Labels with these values."""
    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """Conditions on labels."""


@_PART
class PodAffinityTerm(TypedDict):
    """Pods to be near to, or away from."""

    labelSelector: NotRequired[LabelSelector]
    """Which pods."""
    matchLabelKeys: NotRequired[Atomic[str]]
    """Labels of the new pod whose values the others must share."""
    mismatchLabelKeys: NotRequired[Atomic[str]]
    """Labels of the new pod whose values the others must not share."""
    namespaceSelector: NotRequired[LabelSelector]
    """In which namespaces, by their labels."""
    namespaces: NotRequired[Atomic[str]]
    """In which namespaces, by name."""
    topologyKey: str
    """Label of nodes that says what "near" is, for instance kubernetes.io/hostname."""


@_PART
class WeightedPodAffinityTerm(TypedDict):
    """Pods to be rather near to, or away from, and how much."""

    podAffinityTerm: PodAffinityTerm
    """Which pods."""
    weight: Int32
    """How much, 1 to 100."""


@_PART
class PodAffinity(TypedDict):
    """Pods to be near to, or away from."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PodAffinityTerm]]
    """What must hold."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[WeightedPodAffinityTerm]]
    """What should rather hold."""


@_PART
class Affinity(TypedDict):
    """Where pods may and should run."""

    nodeAffinity: NotRequired[NodeAffinity]
    """By node."""
    podAffinity: NotRequired[PodAffinity]
    """Near to other pods."""
    podAntiAffinity: NotRequired[PodAffinity]
    """Away from other pods."""
