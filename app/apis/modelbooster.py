"""The ModelBooster types: the only description of the API.

``app.apis.crd`` makes the CustomResourceDefinition of them; a docstring below a field is what
``kubectl explain`` prints. The API is the union of what every kthena release accepted: ``backends``
is canonical, ``backend``, ``replicas`` and the newer fields are read as well.

No field has a default of its own here: a default that the server or a webhook stored would show
up for ever in the diffs of whoever applies the file again. What absent fields mean stands in one
place, ``app.apis.canonical``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.apis.core import Affinity, EnvFromSource, EnvVar, ResourceRequirements, Toleration
from app.apis.schema import (
    ATOMIC_LIST,
    FREE_FORM,
    LIST_BY_NAME,
    NAME_PATTERN,
    Fields,
    Int64,
    Quantity,
)

MODEL_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label: the generated Services need a name that begins with a letter."""

SOURCE_PATTERN = r"^(hf://|s3://|obs://|pvc://|ms://).+"
CACHE_PATTERN = r"^(hostpath://|pvc://).+"

BackendType = Literal["vLLM", "vLLMDisaggregated", "SGLang", "MindIE", "MindIEDisaggregated"]
WorkerType = Literal["server", "prefill", "decode", "controller", "coordinator"]


def _count(least: int, most: int) -> Any:
    return Field(ge=least, le=most, json_schema_extra={"format": "int32"})


Replicas = Annotated[int, _count(0, 1_000_000)]
MaxReplicas = Annotated[int, _count(1, 1_000_000)]
Percent = Annotated[int, _count(0, 100)]
PerMille = Annotated[int, _count(0, 1000)]
NotNegative = Annotated[int, _count(0, 2**31 - 1)]


class StringMatch(Fields):
    """How a string must look; the first of exact, prefix and regex that is set decides."""

    exact: str | None = None
    """It is this."""
    prefix: str | None = None
    """It begins with this."""
    regex: str | None = None
    """This regular expression (RE2 syntax) matches somewhere in it."""


class BodyMatch(Fields):
    """What the body of a request must hold."""

    model: str | None = None
    """Value of its field model. With several backends this is always the model's own name."""


class ModelMatch(Fields):
    """Which requests the model's route takes, besides those that ask for it by name."""

    headers: dict[str, StringMatch] | None = None
    """How headers must look, by name."""
    uri: StringMatch | None = None
    """How the path must look."""
    body: BodyMatch | None = None
    """What the body must hold."""


class Metric(Fields):
    """A metric of the pods and what it should be kept at."""

    metric_name: str
    """Its name, for instance kthena:num_requests_waiting."""
    target_value: Quantity
    """What it should be per pod; greater than 0."""


class StablePolicy(Fields):
    """Reserved: ModelBooster refuses behavior."""

    instances: NotNegative | None = None
    """Most replicas to add or remove per period."""
    percent: PerMille | None = None
    """Most replicas to add or remove per period, in percent of those there are."""
    period: str | None = None
    """Length of the period, for instance 15s."""
    select_policy: Literal["Or", "And"] | None = None
    """Whether the larger (Or) or the smaller (And) of the two limits holds."""
    stabilization_window: str | None = None
    """How long the past is looked at, for instance 5m."""


class PanicPolicy(Fields):
    """Reserved: ModelBooster refuses panicPolicy."""

    percent: PerMille | None = None
    """Most replicas to add per period, in percent of those there are."""
    period: str | None = None
    """Length of the period."""
    panic_threshold_percent: Annotated[int, _count(110, 1000)] | None = None
    """Load, in percent of the target, from which panic mode holds."""
    panic_mode_hold: str | None = None
    """How long panic mode is kept."""


class ScaleUp(Fields):
    """Reserved: ModelBooster refuses behavior."""

    stable_policy: StablePolicy | None = None
    """How replicas are added."""
    panic_policy: PanicPolicy | None = None
    """How replicas are added under sudden load."""


class Behavior(Fields):
    """Reserved: ModelBooster refuses behavior; make your own AutoscalingPolicy to set it."""

    scale_up: ScaleUp | None = None
    """How replicas are added."""
    scale_down: StablePolicy | None = None
    """How replicas are removed."""


class AutoscalingPolicySpec(Fields):
    """When replicas are added and removed."""

    tolerance_percent: Percent | None = None
    """Deviation from the targets, in percent, that changes nothing; 10 if absent."""
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=32)]
    """What is looked at."""
    behavior: Behavior | None = None
    """Not supported: create AutoscalingPolicy and AutoscalingPolicyBinding directly."""


class LoraAdapter(Fields):
    """A LoRA adapter that the engines load beside the model."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=253)]
    """What clients ask for as model to get it; differs from the model's names."""
    artifact_url: Annotated[str, Field(alias="artifactURL", pattern=SOURCE_PATTERN)]
    """Where it comes from, as modelURI."""


class Worker(Fields):
    """One kind of pods in a backend."""

    type: WorkerType | None = None
    """What the pods do; server if absent."""
    image: str | None = None
    """Image of the engine."""
    replicas: Replicas | None = None
    """How many groups of such pods one replica of the backend has; 1 if absent or 0."""
    pods: Replicas | None = None
    """How many pods a group has: more than 1 for an engine over several nodes. 1 if absent or 0."""
    resources: ResourceRequirements | None = None
    """What each engine container needs."""
    affinity: Affinity | None = None
    """Where the pods may and should run."""
    tolerations: Annotated[list[Toleration] | None, Field(json_schema_extra=ATOMIC_LIST)] = None
    """Taints of nodes that do not keep the pods away."""
    config: Annotated[dict[str, Any] | None, Field(json_schema_extra=FREE_FORM)] = None
    """Arguments of the engine: max-model-len: 32768 becomes --max-model-len 32768, and a key with
    an empty string becomes a bare switch."""


class Backend(Fields):
    """One set of engines that serve the model: same source, same kind of pods, own replicas."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
    """Ends the names of what is made for it: <model>-<backend>."""
    type: BackendType
    """Which engine, and how its work is spread over pods."""
    model_uri: Annotated[str, Field(alias="modelURI", pattern=SOURCE_PATTERN)]
    """Where the model comes from: hf://owner/repository, s3://bucket/path, obs://bucket/path,
    ms://owner/repository, pvc://claim/path."""
    cache_uri: Annotated[str | None, Field(alias="cacheURI", pattern=CACHE_PATTERN)] = None
    """Where it is kept between starts of pods: hostpath:///path/on/node or pvc://claim. If absent,
    every pod downloads it anew."""
    env_from: Annotated[list[EnvFromSource] | None, Field(json_schema_extra=ATOMIC_LIST)] = None
    """ConfigMaps and Secrets that become environment variables of downloader and engine."""
    env: Annotated[list[EnvVar] | None, Field(json_schema_extra=LIST_BY_NAME)] = None
    """Environment variables of downloader and engine."""
    min_replicas: Replicas | None = None
    """Fewest replicas. Set either replicas, or minReplicas and maxReplicas."""
    max_replicas: MaxReplicas | None = None
    """Most replicas."""
    replicas: Replicas | None = None
    """How many replicas, where nothing scales them."""
    scaling_cost: NotNegative | None = None
    """What one replica costs, in any unit that all backends share; for the policy of the model."""
    route_weight: Percent | None = None
    """Share of the requests, in proportion to the other backends' weights; 100 if absent."""
    scale_to_zero_grace_period: Annotated[str, Field(max_length=64)] | None = None
    """How long to wait before scaling to zero, for instance 30s; 0s to 1800s."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """When replicas of this backend are added and removed."""
    lora_adapters: Annotated[
        list[LoraAdapter] | None, Field(max_length=10, json_schema_extra=ATOMIC_LIST)
    ] = None
    """LoRA adapters that its engines load."""
    scheduler_name: str | None = None
    """Scheduler of the pods."""
    gang_scheduling: bool | None = None
    """Whether the pods of a replica start all together or not at all; needs Volcano."""
    runtime_class_name: str | None = None
    """RuntimeClass of the pods."""
    workers: Annotated[
        list[Worker], Field(min_length=1, max_length=1000, json_schema_extra=ATOMIC_LIST)
    ]
    """Its kinds of pods."""


class Spec(Fields):
    """What is to be served, and how."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)] | None = None
    """What clients ask for as model; the object's own name if absent."""
    owner: str | None = None
    """Who answers for it; for people only."""
    backends: Annotated[
        list[Backend] | None,
        Field(min_length=1, max_length=16, json_schema_extra=LIST_BY_NAME),
    ] = None
    """The sets of engines that serve it. Set either backends or backend."""
    backend: Backend | None = None
    """The one set of engines that serves it, as kthena v0.2.0 and later write it."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """When replicas are added and removed. Beside backends it weighs all of them by scalingCost;
    beside backend it is that backend's own."""
    cost_expansion_rate_percent: PerMille | None = None
    """How much the cost may grow when the policy of the model adds replicas, in percent; 200 if
    absent."""
    model_match: ModelMatch | None = None
    """Which requests the model's route takes, besides those that ask for it by name."""


class Condition(Fields):
    """One statement about the ModelBooster."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    """Initialized, Active, Failed or Ready; Stalled while Failed is True."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, for people; with the next thing to do where there is one."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When status last changed."""
    observed_generation: Annotated[Int64, Field(ge=0)] | None = None
    """Generation of the ModelBooster that was looked at."""


class BackendStatus(Fields):
    """What is known of one backend."""

    name: str
    """Its name in the spec."""
    model_serving: str | None = None
    """The ModelServing that runs its pods."""
    replicas: Annotated[int, _count(-(2**31), 2**31 - 1)]
    """How many replicas there are."""
    ready_replicas: Annotated[int, _count(-(2**31), 2**31 - 1)] | None = None
    """How many of them are ready."""
    ready: bool | None = None
    """Whether it can serve."""
    message: str | None = None
    """Why not, if it cannot."""


class Status(Fields):
    """What the controller found."""

    observed_generation: Int64 | None = None
    """Generation that has been acted on."""
    model_name: str | None = None
    """What clients ask for as model."""
    conditions: Annotated[
        list[Condition] | None,
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }
        ),
    ] = None
    """Initialized, Active, Failed and Ready, once anything was written."""
    backend_statuses: Annotated[
        list[BackendStatus] | None, Field(json_schema_extra=LIST_BY_NAME)
    ] = None
    """The backends, in the order of the spec."""


class Metadata(Fields):
    """The parts of metadata that mean something here; the API server keeps the rest."""

    name: Annotated[str, Field(pattern=MODEL_NAME_PATTERN, max_length=63)] | None = None
    """Begins the names of what is made for it."""
    namespace: str | None = None
    """Where it and all that is made for it stand."""
    uid: str | None = None
    """Told apart by it from others that had the same name."""
    generation: int | None = None
    """Counts the changes of spec."""


class ModelBooster(Fields):
    """Says "serve this model": where it comes from, which engines serve it, and how many."""

    api_version: str | None = None
    """workload.serving.volcano.sh/v1alpha1."""
    kind: str | None = None
    """ModelBooster."""
    metadata: Metadata
    """Name and namespace."""
    spec: Spec | None = None
    """What is to be served, and how."""
    status: Status | None = None
    """What the controller found."""
