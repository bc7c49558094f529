"""What the controller reports in a ModelBooster's status, as the API describes it.

Bounds stand here only where the API server has always held them: what the controller writes is
its own business.
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
    """One statement about the ModelBooster, with the reason why it holds or does not."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=f"^({SUBDOMAIN}/)?({QUALIFIED_NAME})$",
        ),
    ]
    """Initialized: validated, and everything that serves the model has been made. Active: every
    backend is ready. Failed: something is wrong that waiting will not mend. Ready: the same as
    Active. Stalled: there only while Failed is True."""
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
    """Why, in one word that tools may rely on."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, for people; with the next thing to do where there is one."""
    last_transition_time: Annotated[str, _format("date-time")]
    """When status last changed."""
    observed_generation: Annotated[Int64, Field(ge=0)] | None = None
    """metadata.generation of the ModelBooster that was looked at."""


class BackendStatus(Fields):
    """What is known of one backend."""

    name: str
    """The backend's name in the spec."""
    model_serving: str | None = None
    """Name of the ModelServing that runs its pods."""
    replicas: Count
    """How many replicas there are."""
    ready_replicas: Count | None = None
    """How many of them can serve."""
    ready: bool | None = None
    """Whether as many can serve as should."""
    message: str | None = None
    """Why not, if not."""


class Status(Fields):
    """What the controller found."""

    observed_generation: Int64 | None = None
    """metadata.generation that has been acted on; -1 if none has."""
    model_name: str | None = None
    """What clients send as model to be served by it."""
    conditions: Annotated[list[Condition], Field(json_schema_extra=LIST_BY_TYPE)] | None = None
    """Initialized, Active, Failed and Ready, once anything has been found."""
    backend_statuses: (
        Annotated[list[BackendStatus], Field(json_schema_extra=LIST_BY_NAME), UNIQUE_NAMES] | None
    ) = None
    """What is known of each backend, in the order of the spec."""
