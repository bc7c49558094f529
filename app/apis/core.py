"""The parts of Kubernetes' core/v1 that a ModelBooster embeds, as its CRD has always written them.

Shapes and meaning are those of https://kubernetes.io/docs/reference/generated/kubernetes-api/.
No defaults: the API server's are applied where these values end, in the pods.
"""

from __future__ import annotations

from pydantic import ConfigDict

from app.apis.schema import ATOMIC_MAP, Atomic, ByName, Fields, Int32, Int64, Quantity


class _Reference(Fields):
    model_config = ConfigDict(json_schema_extra=ATOMIC_MAP)


class KeyReference(_Reference):
    """One key of a ConfigMap or a Secret of the same namespace."""

    key: str
    """The key to read."""
    name: str | None = None
    """Name of the ConfigMap or Secret."""
    optional: bool | None = None
    """Whether the pod may start without it."""


class FieldReference(_Reference):
    """A field of the pod."""

    field_path: str
    """Path of the field, for instance status.podIP."""
    api_version: str | None = None
    """Version in which the path is written; v1 if absent."""


class ResourceFieldReference(_Reference):
    """A resource of a container, for instance limits.cpu."""

    resource: str
    """The resource."""
    container_name: str | None = None
    """The container; the one itself if absent."""
    divisor: Quantity | None = None
    """Unit in which the value is given; 1 if absent."""


class FileKeyReference(_Reference):
    """One key of an env file in a volume of the pod."""

    key: str
    """The key to read."""
    path: str
    """Path of the file inside the volume."""
    volume_name: str
    """Name of the volume."""
    optional: bool | None = None
    """Whether the pod may start without it."""


class EnvVarSource(Fields):
    """Where the value of an environment variable comes from."""

    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""
    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""
    field_ref: FieldReference | None = None
    """A field of the pod."""
    resource_field_ref: ResourceFieldReference | None = None
    """A resource of a container."""
    file_key_ref: FileKeyReference | None = None
    """A key of an env file in a volume."""


class EnvVar(Fields):
    """An environment variable."""

    name: str
    """Its name."""
    value: str | None = None
    """Its value."""
    value_from: EnvVarSource | None = None
    """Where its value comes from, instead of value."""


class NameReference(_Reference):
    """A ConfigMap or Secret of the same namespace."""

    name: str | None = None
    """Its name."""
    optional: bool | None = None
    """Whether the pod may start without it."""


class EnvFromSource(Fields):
    """A ConfigMap or Secret whose keys all become environment variables."""

    prefix: str | None = None
    """Put before each key."""
    config_map_ref: NameReference | None = None
    """The ConfigMap."""
    secret_ref: NameReference | None = None
    """The Secret."""


class ResourceClaim(Fields):
    """A claim of the pod that the container uses."""

    name: str
    """Name of the claim in the pod."""
    request: str | None = None
    """Name of the request in the claim; all of it if absent."""


class ResourceRequirements(Fields):
    """What a container needs and may use at most."""

    limits: dict[str, Quantity] | None = None
    """The most it may use, by resource: cpu, memory, nvidia.com/gpu, huawei.com/ascend-1980 ..."""
    requests: dict[str, Quantity] | None = None
    """What is kept for it; the limit if absent."""
    claims: ByName[ResourceClaim] | None = None
    """Claims of the pod that it uses."""


class Toleration(Fields):
    """A taint that does not keep the pod from a node."""

    key: str | None = None
    """Key of the taint; all of them if absent."""
    operator: str | None = None
    """Exists or Equal; Equal if absent."""
    value: str | None = None
    """Value of the taint, for Equal."""
    effect: str | None = None
    """NoSchedule, PreferNoSchedule or NoExecute; all of them if absent."""
    toleration_seconds: Int64 | None = None
    """How long a NoExecute taint is borne, in seconds; for ever if absent."""


class SelectorRequirement(Fields):
    """A condition on a label or field."""

    key: str
    """The label or field."""
    operator: str
    """In, NotIn, Exists, DoesNotExist; for nodes also Gt and Lt."""
    values: Atomic[str] | None = None
    """What it is compared with."""


class NodeSelectorTerm(_Reference):
    """Conditions on one node, all of which must hold."""

    match_expressions: Atomic[SelectorRequirement] | None = None
    """On its labels."""
    match_fields: Atomic[SelectorRequirement] | None = None
    """On its fields."""


class NodeSelector(_Reference):
    """Nodes for which at least one term holds."""

    node_selector_terms: Atomic[NodeSelectorTerm]
    """The terms."""


class PreferredNodes(Fields):
    """Nodes that are preferred, and how much."""

    preference: NodeSelectorTerm
    """Which nodes."""
    weight: Int32
    """How much, 1 to 100."""


class NodeAffinity(Fields):
    """Which nodes a pod may or should run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Where it may run."""
    preferred_during_scheduling_ignored_during_execution: Atomic[PreferredNodes] | None = None
    """Where it should rather run."""


class LabelSelector(_Reference):
    """Objects chosen by their labels."""

    match_labels: dict[str, str] | None = None
    """Labels with these values."""
    match_expressions: Atomic[SelectorRequirement] | None = None
    """Conditions on labels."""


class PodAffinityTerm(Fields):
    """Pods to be near to, or away from."""

    label_selector: LabelSelector | None = None
    """Which pods."""
    match_label_keys: Atomic[str] | None = None
    """Labels of the new pod whose values the others must share."""
    mismatch_label_keys: Atomic[str] | None = None
    """Labels of the new pod whose values the others must not share."""
    namespace_selector: LabelSelector | None = None
    """In which namespaces, by their labels."""
    namespaces: Atomic[str] | None = None
    """In which namespaces, by name."""
    topology_key: str
    """Label of nodes that says what "near" is, for instance kubernetes.io/hostname."""


class WeightedPodAffinityTerm(Fields):
    """Pods to be rather near to, or away from, and how much."""

    pod_affinity_term: PodAffinityTerm
    """Which pods."""
    weight: Int32
    """How much, 1 to 100."""


class PodAffinity(Fields):
    """Pods to be near to, or away from."""

    required_during_scheduling_ignored_during_execution: Atomic[PodAffinityTerm] | None = None
    """What must hold."""
    preferred_during_scheduling_ignored_during_execution: Atomic[WeightedPodAffinityTerm] | None = (
        None
    )
    """What should rather hold."""


class Affinity(Fields):
    """Where pods may and should run."""

    node_affinity: NodeAffinity | None = None
    """By node."""
    pod_affinity: PodAffinity | None = None
    """Near to other pods."""
    pod_anti_affinity: PodAffinity | None = None
    """Away from other pods."""
