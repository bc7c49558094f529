"""The status of a ModelBooster, written by the controller.

It only has the bounds that the API server already checks in kthena's CRD.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.apis.schema import LIST_BY_NAME, LIST_BY_TYPE, UNIQUE_NAMES, Fields, Int64
from app.values.names import QUALIFIED_NAME, SUBDOMAIN


def _format(name: str) -> Any:
    return Field(json_schema_extra={"format": name})


Count = Annotated[int, _format("int32")]


class Condition(Fields):
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
    last_transition_time: Annotated[str, _format("date-time")]
    """Last time the status changed."""
    observed_generation: Annotated[Int64, Field(ge=0)] | None = None
    """metadata.generation that the condition describes."""


class BackendStatus(Fields):
    """Status of one backend."""

    name: str
    """Name of the backend."""
    model_serving: str | None = None
    """Name of the ModelServing that runs its pods."""
    replicas: Count
    """Number of replicas."""
    ready_replicas: Count | None = None
    """Number of ready replicas."""
    ready: bool | None = None
    """Whether all desired replicas are ready."""
    message: str | None = None
    """Why the backend is not ready."""


class Status(Fields):
    """The observed state."""

    observed_generation: Int64 | None = None
    """metadata.generation of the last reconciliation. -1 before the first."""
    model_name: str | None = None
    """The model name that clients send."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=LIST_BY_TYPE)] | None = None
    """The conditions Initialized, Active, Failed and Ready, and Stalled while Failed is True."""
    backend_statuses: (
        Annotated[list[BackendStatus], Field(json_schema_extra=LIST_BY_NAME), UNIQUE_NAMES] | None
    ) = None
    """Status of each backend, in the order of the spec."""
