"""The parts of core/v1 that say on which nodes pods run: tolerations and affinity.

See ``app.apis.core`` for how these types are built.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

from app.apis.schema import Atomic, Int32, Int64, atomic_core_type, core_type


@core_type
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


@core_type
class SelectorRequirement(TypedDict):
    """A condition on a label or field."""

    key: str
    """The label or field."""
    operator: str
    """In, NotIn, Exists, DoesNotExist; for nodes also Gt and Lt."""
    values: NotRequired[Atomic[str]]
    """What it is compared with."""


@atomic_core_type
class NodeSelectorTerm(TypedDict):
    """Conditions on one node, all of which must hold."""

    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """On its labels."""
    matchFields: NotRequired[Atomic[SelectorRequirement]]
    """On its fields."""


@atomic_core_type
class NodeSelector(TypedDict):
    """Nodes for which at least one term holds."""

    nodeSelectorTerms: Atomic[NodeSelectorTerm]
    """The terms."""


@core_type
class PreferredNodes(TypedDict):
    """Nodes that are preferred, and how much."""

    preference: NodeSelectorTerm
    """Which nodes."""
    weight: Int32
    """How much, 1 to 100."""


@core_type
class NodeAffinity(TypedDict):
    """Which nodes a pod may or should run on."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[NodeSelector]
    """Where it may run."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PreferredNodes]]
    """Where it should rather run."""


@atomic_core_type
class LabelSelector(TypedDict):
    """Objects chosen by their labels."""

    matchLabels: NotRequired[dict[str, str]]
    """Labels with these values."""
    matchExpressions: NotRequired[Atomic[SelectorRequirement]]
    """Conditions on labels."""


@core_type
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


@core_type
class WeightedPodAffinityTerm(TypedDict):
    """Pods to be rather near to, or away from, and how much."""

    podAffinityTerm: PodAffinityTerm
    """Which pods."""
    weight: Int32
    """How much, 1 to 100."""


@core_type
class PodAffinity(TypedDict):
    """Pods to be near to, or away from."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[PodAffinityTerm]]
    """What must hold."""
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[Atomic[WeightedPodAffinityTerm]]
    """What should rather hold."""


@core_type
class Affinity(TypedDict):
    """Where pods may and should run."""

    nodeAffinity: NotRequired[NodeAffinity]
    """By node."""
    podAffinity: NotRequired[PodAffinity]
    """Near to other pods."""
    podAntiAffinity: NotRequired[PodAffinity]
    """Away from other pods."""
