"""Scheduling: tolerations and affinity of core/v1 (see ``app.apis.core``), and ``cacheWarmup``."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

from app.apis.schema import (
    ATOMIC_MAP,
    Atomic,
    Fields,
    Int32,
    Int64,
    atomic_core_type,
    core_type,
    int32_range,
)


@core_type
class Toleration(TypedDict):
    """A node taint that the pod tolerates."""

    key: NotRequired[str]
    """Key of the taint. Defaults to all keys."""
    operator: NotRequired[str]
    """Exists or Equal. Defaults to Equal."""
    value: NotRequired[str]
    """Value of the taint, for Equal."""
    effect: NotRequired[str]
    """NoSchedule, PreferNoSchedule or NoExecute. Defaults to all effects."""
    tolerationSeconds: NotRequired[Int64]
    """How long to tolerate a NoExecute taint, in seconds. Defaults to forever."""


@core_type
class SelectorRequirement(TypedDict):
    """A condition on a label or field."""

    key: str
    """The label or field."""
    operator: str
    """In, NotIn, Exists or DoesNotExist; for nodes also Gt and Lt."""
    values: NotRequired[Atomic[str]]
    """Values to compare with."""


@atomic_core_type
class NodeSelectorTerm(TypedDict):
    """Conditions on a node. All of them must match."""

    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """Conditions on labels of the node."""
    matchFields: NotRequired[Atomic[SelectorRequirement]]
    """Conditions on fields of the node."""


@atomic_core_type
class NodeSelector(TypedDict):
    """Nodes that match at least one term."""

    nodeSelectorTerms: Atomic[NodeSelectorTerm]
    """The terms."""


@core_type
class PreferredNodes(TypedDict):
    """Preferred nodes and their weight."""

    preference: NodeSelectorTerm
    """The preferred nodes."""
    weight: Int32
    """Weight of the preference, 1 to 100."""


@core_type
class NodeAffinity(TypedDict):
    """Rules for the nodes of a pod."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[NodeSelector]
    """Nodes that the pod requires."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PreferredNodes]]
    """Nodes that the pod prefers."""


@atomic_core_type
class LabelSelector(TypedDict):
    """A selector of objects by their labels."""

    matchLabels: NotRequired[dict[str, str]]
    """Required labels and their values."""
    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """Conditions on labels."""


@core_type
class PodAffinityTerm(TypedDict):
    """A rule for the location of a pod relative to other pods."""

    labelSelector: NotRequired[LabelSelector]
    """Selects the other pods."""
    matchLabelKeys: NotRequired[Atomic[str]]
    """Label keys for which the other pods must have the same values as the new pod."""
    mismatchLabelKeys: NotRequired[Atomic[str]]
    """Label keys for which the other pods must have other values than the new pod."""
    namespaceSelector: NotRequired[LabelSelector]
    """Namespaces of the other pods, by label."""
    namespaces: NotRequired[Atomic[str]]
    """Namespaces of the other pods, by name."""
    topologyKey: str
    """Node label that defines the topology domain, for example kubernetes.io/hostname."""


@core_type
class WeightedPodAffinityTerm(TypedDict):
    """A preferred rule and its weight."""

    podAffinityTerm: PodAffinityTerm
    """The rule."""
    weight: Int32
    """Weight of the preference, 1 to 100."""


@core_type
class PodAffinity(TypedDict):
    """Rules for the location of a pod relative to other pods."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PodAffinityTerm]]
    """Required rules."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[WeightedPodAffinityTerm]]
    """Preferred rules."""


@core_type
class Affinity(TypedDict):
    """Affinity rules of a pod."""

    nodeAffinity: NotRequired[NodeAffinity]
    """Rules for nodes."""
    podAffinity: NotRequired[PodAffinity]
    """Rules for running near other pods."""
    podAntiAffinity: NotRequired[PodAffinity]
    """Rules for running away from other pods."""


class CacheWarmup(Fields):
    """Downloads a model to its cache with Jobs: one per node for hostpath://, one for pvc://."""

    node_selector: Annotated[dict[str, str], Field(json_schema_extra=ATOMIC_MAP)] | None = None
    """Labels of the nodes to download to. Required for hostpath://; kubernetes.io/os: linux
    selects all Linux nodes. For pvc://, labels of the nodes on which the Job may run."""
    tolerations: Atomic[Toleration] | None = None
    """Node taints that the Jobs tolerate, in addition to those that the workers tolerate."""
    policy: Literal["Before", "Background"] | None = None
    """Before: pods of a new model or revision wait until it is in the cache; running pods keep
    serving the one before. Background: pods do not wait. Defaults to Before."""
    active_deadline_seconds: Annotated[int, int32_range(60, 604_800)] | None = None
    """Seconds after which a Job that has not finished fails. Defaults to 21600 (6 hours)."""
