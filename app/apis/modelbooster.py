"""The ModelBooster types: with the types that they import, the only description of the API.

``app.apis.crd`` generates the CustomResourceDefinition from them. ``kubectl explain`` prints the
docstrings of the fields. The API accepts what any kthena release accepts: ``backends`` is the
canonical form, and ``backend``, ``replicas`` and the newer fields work too.

No field has a default here, because a stored default shows in every later diff of the user's
manifest. ``app.model.canonical`` has them. Annotations are no texts, which pydantic had to parse.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.core import EnvFromSource, EnvVar, ResourceRequirements
from app.apis.scheduling import Affinity, CacheWarmup, Toleration
from app.apis.schema import (
    ATOMIC_LIST,
    FREE_FORM,
    LIST_BY_NAME,
    NAME_PATTERN,
    SERVED_NAME_PATTERN,
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
"""Pattern of an RFC 1035 label: names of Services start with a letter."""

SOURCE_PATTERN = r"^(hf://|s3://|obs://|pvc://|ms://).+"
CACHE_PATTERN = r"^(hostpath://|pvc://).+"

BackendType = Literal[
    "vLLM", "vLLMDisaggregated", "SGLang", "SGLangDisaggregated", "MindIE", "MindIEDisaggregated"
]
WorkerType = Literal["server", "prefill", "decode", "controller", "coordinator"]
Replicas = Annotated[int, int32_range(0, 1_000_000)]
MaxReplicas = Annotated[int, int32_range(1, 1_000_000)]


class StringMatch(Fields):
    """A condition on a string. The first of exact, prefix and regex that is set applies."""

    exact: str | None = None
    """The string must equal this value."""
    prefix: str | None = None
    """The string must start with this value."""
    regex: str | None = None
    """This regular expression (RE2 syntax) must match a part of the string. Use ^ and $ to match
    the whole string."""


class BodyMatch(Fields):
    """Conditions on the body of a request."""

    model: str | None = None
    """The required value of the field model. With several backends this value is ignored: it is
    always the model name that clients send."""


class ModelMatch(Fields):
    """Conditions on requests, in addition to the model name."""

    headers: dict[str, StringMatch] | None = None
    """Conditions on headers, by header name."""
    uri: StringMatch | None = None
    """Condition on the path, for example prefix: /v1/chat."""
    body: BodyMatch | None = None
    """Conditions on the body."""


class LoraAdapter(Fields):
    """A LoRA adapter that the engines serve in addition to the model."""

    name: Annotated[str, Field(pattern=SERVED_NAME_PATTERN, max_length=253)]
    """The model name that clients send to use the adapter, for example owner/sql_lora. It must
    differ from other adapters of the backend and from the model."""
    artifact_url: Annotated[str, Field(alias="artifactURL", pattern=SOURCE_PATTERN)]
    """Source of the adapter, in the format of modelURI."""


class Worker(Fields):
    """One type of pods of a backend."""

    type: WorkerType | None = None
    """Task of the pods. Defaults to server. Backend type vLLM requires one worker of type server.
    vLLMDisaggregated requires one of type prefill and one of type decode."""
    image: str | None = None
    """Container image of the engine, for example vllm/vllm-openai:v0.9.2."""
    replicas: Replicas | None = None
    """Number of engines of this type in one replica of the backend. Defaults to 1, also for 0."""
    pods: Replicas | None = None
    """Number of pods of one engine: 1 for an engine on one node, more for an engine across several
    nodes. Defaults to 1, also for 0."""
    resources: ResourceRequirements | None = None
    """Resources of the engine container of each pod: cpu, memory, GPUs or NPUs."""
    affinity: Affinity | None = None
    """Node and pod affinity of the pods."""
    tolerations: Atomic[Toleration] | None = None
    """Node taints that the pods tolerate."""
    config: Annotated[dict[str, Any], Field(json_schema_extra=FREE_FORM)] | None = None
    """Arguments of the engine by name, with - or _ between words. For example, max-model-len: 32768
    becomes --max-model-len 32768. An empty string sets a flag without a value: trust-remote-code:
    "" becomes --trust-remote-code."""


class Backend(Fields):
    """A group of engines with the same source and configuration, and its number of replicas.

    Set either replicas, or minReplicas and maxReplicas.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
    """Name of the backend. Its child objects are named <ModelBooster>-<backend>. A change of the
    name deletes all its pods and creates new ones."""
    type: BackendType
    """Type of engine: vLLM, or vLLMDisaggregated with prefill and decode in separate pods. The
    other values are reserved and not supported yet."""
    model_uri: Annotated[str, Field(alias="modelURI", pattern=SOURCE_PATTERN)]
    """Source of the model: hf://owner/repository (Hugging Face), ms://owner/repository
    (ModelScope), s3://bucket/path or obs://bucket/path (object storage), or pvc://claim/path (a
    path on the claim of cacheURI). Object storage needs ENDPOINT in env, and ACCESS_KEY and
    SECRET_KEY in a Secret of envFrom."""
    cache_uri: Annotated[
        Annotated[str, Field(pattern=CACHE_PATTERN)] | None, Field(alias="cacheURI")
    ] = None
    """Cache of the model: hostpath:///path (a folder on each node) or pvc://claim (a
    PersistentVolumeClaim of the namespace). If absent, each pod downloads the model when it
    starts."""
    cache_warmup: CacheWarmup | None = None
    """Downloads the model to cacheURI before pods need it. If absent, pods download it."""
    env_from: Atomic[EnvFromSource] | None = None
    """ConfigMaps and Secrets that set environment variables of the downloader, the runtime sidecar
    and the engine (unless a setting of the operator leaves out the engine). For example, a Secret
    with HF_AUTH_TOKEN or VLLM_API_KEY. Variables in env take precedence."""
    env: ByName[EnvVar] | None = None
    """Environment variables of the downloader, the runtime sidecar and the engine. The downloader
    reads ENDPOINT, HF_ENDPOINT, HF_REVISION and MS_REVISION. The runtime sidecar reads RUNTIME_PORT
    (8100 by default), RUNTIME_URL and RUNTIME_METRICS_PATH (/metrics by default)."""
    min_replicas: Replicas | None = None
    """Minimum number of replicas. Requires maxReplicas. A value below maxReplicas requires an
    autoscalingPolicy."""
    max_replicas: MaxReplicas | None = None
    """Maximum number of replicas. Requires minReplicas."""
    replicas: Replicas | None = None
    """Number of replicas without autoscaling. Replaces minReplicas and maxReplicas."""
    scaling_cost: NotNegative | None = None
    """Cost of one replica, in any unit that all backends share. Required if backends are scaled by
    spec.autoscalingPolicy, which weighs them by cost. Do not set it otherwise."""
    route_weight: Percent | None = None
    """Weight of the backend for routing, relative to the other backends. 0 means no requests.
    Defaults to 100."""
    scale_to_zero_grace_period: Annotated[str, Field(max_length=64)] | None = None
    """Delay before the last replica is removed: 0s to 1800s, for example 1m30s. Defaults to 30s.
    Only with backends and spec.autoscalingPolicy. No kthena release supports it yet."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """Autoscaling of this backend, between minReplicas and maxReplicas. Cannot be combined with
    spec.autoscalingPolicy."""
    lora_adapters: (
        Annotated[list[LoraAdapter], Field(max_length=10, json_schema_extra=ATOMIC_LIST)] | None
    ) = None
    """LoRA adapters that the engines serve in addition to the model."""
    scheduler_name: str | None = None
    """Scheduler of the pods. Defaults to that of the cluster, or to volcano with gangScheduling."""
    gang_scheduling: bool | None = None
    """Whether the pods of a replica are only scheduled all together. Requires Volcano in the
    cluster."""
    runtime_class_name: str | None = None
    """RuntimeClass of the pods, for example nvidia."""
    workers: Annotated[
        list[Worker], Field(min_length=1, max_length=1000, json_schema_extra=ATOMIC_LIST)
    ]
    """The types of pods of the backend."""


class Spec(Fields):
    """The desired state: the model name and the backends. Set either backends or backend."""

    name: Annotated[str, Field(pattern=SERVED_NAME_PATTERN, max_length=253)] | None = None
    """The model name that clients send, for example Qwen/Qwen2.5-7B-Instruct. Defaults to
    metadata.name. A change interrupts service for a moment."""
    owner: str | None = None
    """Owner of the model, for information only. It has no effect."""
    backends: (
        Annotated[
            list[Backend],
            Field(min_length=1, max_length=16, json_schema_extra=LIST_BY_NAME),
            UNIQUE_NAMES,
        ]
        | None
    ) = None
    """The backends that serve the model, at most 16. routeWeight distributes the requests among
    them."""
    backend: Backend | None = None
    """A single backend, in the form of kthena v0.2.0 and later. Replaces backends."""
    autoscaling_policy: AutoscalingPolicySpec | None = None
    """Autoscaling of the model. With backends, it scales all of them together, weighed by
    scalingCost. With backend, it scales that backend."""
    cost_expansion_rate_percent: PerMille | None = None
    """Maximum growth of the cost, in percent, when autoscalingPolicy adds replicas. Defaults to
    200. Only with backends and autoscalingPolicy."""
    model_match: ModelMatch | None = None
    """Conditions on requests, in addition to the model name. If absent, all requests for the model
    match."""


class Metadata(Fields):
    """The fields of metadata that this program reads."""

    name: Annotated[str, Field(pattern=MODEL_NAME_PATTERN, max_length=63)] | None = None
    """Prefix of the names of all child objects, and the model name for clients unless spec.name is
    set. Keep it short: with the longest name of a backend, about 45 characters fit."""
    namespace: str | None = None
    """Namespace of the object and of its child objects."""
    annotations: dict[str, str] | None = None
    """Annotations; docs/conversion.md lists those that change the children."""
    uid: str | None = None
    """Unique identifier; differs from earlier and later objects with the same name."""
    generation: int | None = None
    """Number of changes of spec."""


class ModelBooster(Fields):
    """Serves a model: where it comes from, which engines serve it, and how many of them."""

    api_version: str | None = None
    """workload.serving.volcano.sh/v1alpha1"""
    kind: str | None = None
    """ModelBooster"""
    metadata: Metadata
    """Standard object metadata."""
    spec: Spec | None = None
    """The desired state: the model name and the backends. Set either backends or backend."""
    status: Status | None = None
    """The observed state."""


ModelBooster.model_rebuild()  # now, not in the first review of the webhook
