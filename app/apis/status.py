"""The status of a ModelBooster, written by the controller.

It only has the bounds that the API server already checks in kthena's CRD. A review validates it and
reads nothing of it, so the types are TypedDicts, as in ``app.apis.core``.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

from app.apis.schema import LIST_BY_TYPE, ByName, Int64, core_type
from app.values.meta import Object
from app.values.names import QUALIFIED_NAME, SUBDOMAIN


def _format(name: str) -> Any:
    return Field(json_schema_extra={"format": name})


Count = Annotated[int, _format("int32")]


@core_type
class Condition(TypedDict):
    """A condition of the ModelBooster."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=f"^({SUBDOMAIN}/)?({QUALIFIED_NAME})$",
        ),
    ]
    """Initialized: the spec is valid and all child objects are created. Active: every backend is
    ready. Failed: there is a problem that needs a change by a user. Ready: same as Active. Stalled:
    present only while Failed is True."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition: True, False or Unknown."""
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ]
    """Machine-readable reason for the status."""
    message: Annotated[str, Field(max_length=32768)]
    """Human-readable explanation, with the next step if there is one."""
    lastTransitionTime: Annotated[str, _format("date-time")]
    """Last time the status changed."""
    observedGeneration: NotRequired[Annotated[Int64, Field(ge=0)]]
    """metadata.generation that the condition describes."""


@core_type
class CacheWarmupStatus(TypedDict):
    """How far the Jobs of cacheWarmup are."""

    desired: Count
    """Number of nodes to download to; 1 for a claim."""
    ready: Count
    """Number of them that have the model."""
    failed: NotRequired[Count]
    """Number of them whose download failed."""
    message: NotRequired[str]
    """What is waited for, or why a download failed and what to do."""
    model: NotRequired[str]
    """Hash of the last model that was on all of them. Its pods do not wait again."""


@core_type
class DownloadStatus(TypedDict):
    """The download of one pod: of one that has failed, else of the slowest."""

    phase: str
    """Downloading; Waiting, for another pod that downloads the same; or Failed."""
    pod: str
    """Name of the pod."""
    pods: NotRequired[Count]
    """Number of pods of the backend that download, wait or have failed."""
    source: NotRequired[str]
    """URI of the model or adapter."""
    bytesDone: NotRequired[Int64]
    """Bytes that are there."""
    bytesTotal: NotRequired[Int64]
    """Bytes of all files."""
    bytesPerSecond: NotRequired[Int64]
    """Speed of the last seconds."""
    secondsLeft: NotRequired[Int64]
    """How long the rest takes at this speed. Absent while nothing arrives."""
    file: NotRequired[str]
    """A file that is being fetched."""
    reason: NotRequired[str]
    """Why it failed, in one word, such as Gated, NoToken, NotFound or NoSpace."""
    message: NotRequired[str]
    """Why it failed, with the next step."""


@core_type
class BackendStatus(TypedDict):
    """Status of one backend."""

    name: str
    """Name of the backend."""
    modelServing: NotRequired[str]
    """Name of the ModelServing that runs its pods."""
    replicas: Count
    """Number of replicas."""
    readyReplicas: NotRequired[Count]
    """Number of ready replicas."""
    ready: NotRequired[bool]
    """Whether all desired replicas are ready."""
    message: NotRequired[str]
    """Why the backend is not ready, and why it gets another share of the requests than its
    routeWeight says."""
    cacheWarmup: NotRequired[CacheWarmupStatus]
    """Downloads to the cache ahead of the pods. Absent without cacheWarmup."""
    download: NotRequired[DownloadStatus]
    """How far the download of its model and adapters is, by its pods or by the Jobs of cacheWarmup,
    or why it failed. Absent if nothing is downloaded."""


@core_type
class Status(TypedDict):
    """The observed state."""

    observedGeneration: NotRequired[Int64]
    """metadata.generation of the last reconciliation. -1 before the first."""
    modelName: NotRequired[str]
    """The model name that clients send."""
    conditions: NotRequired[Annotated[list[Condition], Field(json_schema_extra=LIST_BY_TYPE)]]
    """The conditions Initialized, Active, Failed and Ready, and Stalled while Failed is True."""
    backendStatuses: NotRequired[ByName[BackendStatus]]
    """Status of each backend, in the order of the spec."""
    traffic: NotRequired[str]
    """Which backend gets which share of the requests now, and why another one than its routeWeight
    says. Absent if no two backends share requests."""


COLUMNS: tuple[Object, ...] = (
    {
        "name": "Active",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Active')].status",
        "description": "Whether every backend is ready.",
    },
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Active')].reason",
        "description": "The reason of the condition Active.",
    },
    {
        "name": "Failed",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Failed')].status",
        "description": "Whether there is a problem that needs a change by a user.",
    },
    {
        "name": "Traffic",
        "type": "string",
        "jsonPath": ".status.traffic",
        "description": "Which backend gets which share of the requests, if several share them.",
    },
    {
        "name": "Initialized",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Initialized')].status",
        "description": "Whether all child objects are created.",
        "priority": 1,
    },
    {
        "name": "Setup",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Initialized')].reason",
        "description": "The reason of the condition Initialized; RolloutHeld if pods keep an "
        "older template until you allow their restart.",
        "priority": 1,
    },
    {
        "name": "Model",
        "type": "string",
        "jsonPath": ".status.modelName",
        "description": "The model name that clients send.",
        "priority": 1,
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
"""Columns of ``kubectl get mb``; those of priority 1 only with ``-o wide``."""
