"""The ModelBooster types: the only description of the API.

``app.apis.crd`` makes the CustomResourceDefinition of them; a docstring below a field is what
``kubectl explain`` prints. The API is the union of what every kthena release accepted: ``backends``
is canonical, ``backend``, ``replicas`` and the newer fields are read as well.

No field has a default of its own here: a default that the server or a webhook stored would show
up for ever in the diffs of whoever applies the file again. What absent fields mean stands in one
place, ``app.model.canonical``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.core import EnvFromSource, EnvVar, ResourceRequirements
from app.apis.scheduling import Affinity, Toleration
from app.apis.schema import (
    ATOMIC_LIST,
    FREE_FORM,
    LIST_BY_NAME,
    NAME_PATTERN,
    UNIQUE_NAMES,
    Atomic,
    ByName,
    Fields,
    NotNegative,
    Percent,
    PerMille,
    int32_range,
)
from app.apis.status import Status

MODEL_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label: the generated Services need a name that begins with a letter."""

SOURCE_PATTERN = r"^(hf://|s3://|obs://|pvc://|ms://).+"
CACHE_PATTERN = r"^(hostpath://|pvc://).+"

BackendType = Literal["vLLM", "vLLMDisaggregated", "SGLang", "MindIE", "MindIEDisaggregated"]
WorkerType = Literal["server", "prefill", "decode", "controller", "coordinator"]


Replicas = Annotated[int, int32_range(0, 1_000_000)]
MaxReplicas = Annotated[int, int32_range(1, 1_000_000)]


class StringMatch(Fields):
    """What a string must be: the first of exact, prefix and regex that is set decides."""

    exact: str | None = None
    """It is exactly this."""
    prefix: str | None = None
    """It begins with this."""
    regex: str | None = None
    """This regular expression (RE2 syntax) matches somewhere in it; put it between ^ and $ to match
    all of it."""


class BodyMatch(Fields):
    """What the body of a request must hold."""

    model: str | None = None
    """What its field model must be. With several backends this is always the name that clients ask
    for, whatever is written here."""


class ModelMatch(Fields):
    """What a request must look like, besides asking for the model by its name."""

    headers: dict[str, StringMatch] | None = None
    """What headers must be, by header name."""
    uri: StringMatch | None = None
    """What the path must be, for instance prefix: /v1/chat."""
    body: BodyMatch | None = None
    """What the body must hold."""


class LoraAdapter(Fields):
    """A LoRA adapter that the engines serve beside the model."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=253)]
    """What clients send as model to get it. No adapter of the backend and no model may have the
    same name."""
    artifact_url: Annotated[str, Field(alias="artifactURL", pattern=SOURCE_PATTERN)]
    """Where it is downloaded from, written as modelURI is."""


class Worker(Fields):
    """One kind of pods of a backend."""

    type: WorkerType | None = None
    """What the pods do; server if absent. Type vLLM wants one worker of type server,
    vLLMDisaggregated one of type prefill and one of type decode."""
    image: str | None = None
    """Container image with the engine, for instance vllm/vllm-openai:v0.9.2."""
    replicas: Replicas | None = None
    """How many engines of this kind one replica of the backend has; 1 if absent or 0."""
    pods: Replicas | None = None
    """How many pods one engine is spread over: 1 for an engine on one node, more for one over
    several nodes. 1 if absent or 0."""
    resources: ResourceRequirements | None = None
    """What the engine container of each pod needs: cpu, memory, GPUs or NPUs."""
    affinity: Affinity | None = None
    """On which nodes the pods may and should run."""
    tolerations: Atomic[Toleration] | None = None
    """Taints of nodes that do not keep the pods away."""
    config: Annotated[dict[str, Any], Field(json_schema_extra=FREE_FORM)] | None = None
    """Arguments of the engine, by name, with - or _ between words: max-model-len: 32768 is passed
    on as --max-model-len 32768. An empty string makes a switch without a value: trust-remote-code:
    "" is passed on as --trust-remote-code."""


class Backend(Fields):
    """Engines that serve the model from one source with one set-up, and how many of them.

    Set either replicas, or minReplicas and maxReplicas.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
    """Names what is made for it, together with the ModelBooster: <ModelBooster>-<backend>. A change
    removes all its pods and makes new ones."""
    type: BackendType
    """Which engine serves, and how: vLLM, or vLLMDisaggregated with prefill and decode in pods of
    their own. The others are reserved and not served yet."""
    model_uri: Annotated[str, Field(alias="modelURI", pattern=SOURCE_PATTERN)]
    """Where the model comes from: hf://owner/repository (Hugging Face), ms://owner/repository
    (ModelScope), s3://bucket/path or obs://bucket/path (object store; its address stands in env as
    ENDPOINT, ACCESS_KEY and SECRET_KEY in a Secret that envFrom names), or pvc://claim/path, a path
    below the claim that cacheURI names."""
    cache_uri: Annotated[
        Annotated[str, Field(pattern=CACHE_PATTERN)] | None, Field(alias="cacheURI")
    ] = None
    """Where the model is kept from one start of a pod to the next: hostpath:///path (a folder of
    each node) or pvc://claim (a PersistentVolumeClaim of the namespace). If absent, every start of
    a pod downloads it again."""
    env_from: Atomic[EnvFromSource] | None = None
    """ConfigMaps and Secrets whose entries become environment variables of the downloads and of the
    runtime beside the engine, not of the engine; for instance a Secret with HF_AUTH_TOKEN."""
    env: ByName[EnvVar] | None = None
    """Environment variables of downloads, runtime and engine. With a meaning of their own:
    ENDPOINT, HF_ENDPOINT, HF_REVISION, MS_REVISION for the downloads; RUNTIME_PORT (8100),
    RUNTIME_URL and RUNTIME_METRICS_PATH (/metrics) for the runtime beside the engine."""
    min_replicas: Replicas | None = None
    """The fewest replicas; together with maxReplicas. Less than maxReplicas needs an
    autoscalingPolicy."""
    max_replicas: MaxReplicas | None = None
    """The most replicas; together with minReplicas."""
    replicas: Replicas | None = None
    """How many replicas, if nothing scales them; instead of minReplicas and maxReplicas."""
    scaling_cost: NotNegative | None = None
    """What one replica costs, in any unit that all backends share. Needed with
    spec.autoscalingPolicy beside backends, which weighs them by it; without it, to be left out."""
    route_weight: Percent | None = None
    """Share of the requests, in proportion to the weights of the other backends; 100 if absent, 0
    for none."""
    scale_to_zero_grace_period: Annotated[str, Field(max_length=64)] | None = None
    """How long to wait before the last replica goes: 0s to 1800s, for instance 1m30s; 30s if
    absent. Only with spec.autoscalingPolicy beside backends. No release of kthena acts on it."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """When replicas of this backend are added and removed, within minReplicas and maxReplicas. Not
    together with spec.autoscalingPolicy."""
    lora_adapters: (
        Annotated[list[LoraAdapter], Field(max_length=10, json_schema_extra=ATOMIC_LIST)] | None
    ) = None
    """LoRA adapters that its engines serve beside the model."""
    scheduler_name: str | None = None
    """Scheduler of the pods; the cluster's own if absent, volcano with gangScheduling."""
    gang_scheduling: bool | None = None
    """Whether the pods of a replica start all together or not at all. Needs Volcano in the
    cluster."""
    runtime_class_name: str | None = None
    """RuntimeClass of the pods, for instance nvidia."""
    workers: Annotated[
        list[Worker], Field(min_length=1, max_length=1000, json_schema_extra=ATOMIC_LIST)
    ]
    """Its kinds of pods."""


class Spec(Fields):
    """Which model is served under which name, and by what. Set either backends or backend."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)] | None = None
    """What clients send as model to be served by it; metadata.name if absent. Clients get no answer
    for a moment while it changes."""
    owner: str | None = None
    """Who answers for it, for people to read; it has no effect."""
    backends: (
        Annotated[
            list[Backend],
            Field(min_length=1, max_length=16, json_schema_extra=LIST_BY_NAME),
            UNIQUE_NAMES,
        ]
        | None
    ) = None
    """What serves the model: one entry per source and kind of engine, at most 16. Requests are
    spread over them by routeWeight."""
    backend: Backend | None = None
    """The same for a single one, as kthena from v0.2.0 on writes it; instead of backends."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """When replicas are added and removed. Beside backends it scales all of them together, weighed
    by scalingCost; beside backend it scales that one."""
    cost_expansion_rate_percent: PerMille | None = None
    """How much the cost may grow, in percent, when autoscalingPolicy adds replicas to backends; 200
    if absent. Only with autoscalingPolicy beside backends."""
    model_match: ModelMatch | None = None
    """What requests must look like, besides asking for the model by its name; if absent, all that
    ask for it are served."""


class Metadata(Fields):
    """The parts of metadata that mean something here; the API server keeps the rest."""

    name: Annotated[str, Field(pattern=MODEL_NAME_PATTERN, max_length=63)] | None = None
    """Names everything that is made for it, and is what clients send as model unless spec.name is
    set. Keep it short: together with the longest name of a backend some 45 characters fit."""
    namespace: str | None = None
    """Where it stands, and all that is made for it."""
    uid: str | None = None
    """Tells it from others that had or will have its name."""
    generation: int | None = None
    """Counts the changes of spec."""


class ModelBooster(Fields):
    """Serves a model: where it comes from, which engines serve it, and how many of them."""

    api_version: str | None = None
    """workload.serving.volcano.sh/v1alpha1"""
    kind: str | None = None
    """ModelBooster"""
    metadata: Metadata
    """Name and namespace, labels, annotations."""
    spec: Spec | None = None
    """Which model is served under which name, and by what. Set either backends or backend."""
    status: Status | None = None
    """What the controller found."""
