"""The autoscaling policy of a ModelBooster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.apis.schema import Fields, NotNegative, Percent, PerMille, Quantity, int32_range


class Metric(Fields):
    """A metric of the engines, and the value to keep it at."""

    metric_name: str
    """Its name as the engines publish it, for instance kthena:num_requests_waiting."""
    target_value: Quantity
    """The value per pod that is aimed at, greater than 0: above it replicas are added, below it
    removed."""


class StablePolicy(Fields):
    """How fast replicas may change. Not supported here."""

    instances: NotNegative | None = None
    """The most replicas to add or remove per period."""
    percent: PerMille | None = None
    """The same in percent of the replicas there are."""
    period: str | None = None
    """How long a period is, for instance 15s."""
    select_policy: Literal["Or", "And"] | None = None
    """Which of the two limits counts: the larger (Or) or the smaller (And)."""
    stabilization_window: str | None = None
    """How much of the past is looked at before anything changes, for instance 5m."""


class PanicPolicy(Fields):
    """How replicas are added under sudden load. Not supported here."""

    percent: PerMille | None = None
    """The most replicas to add per period, in percent of those there are."""
    period: str | None = None
    """How long a period is, for instance 5s."""
    panic_threshold_percent: Annotated[int, int32_range(110, 1000)] | None = None
    """The load, in percent of the target, at which panic mode begins."""
    panic_mode_hold: str | None = None
    """How long panic mode lasts, for instance 60s."""


class ScaleUp(Fields):
    """How replicas are added. Not supported here."""

    stable_policy: StablePolicy | None = None
    """Not supported here."""
    panic_policy: PanicPolicy | None = None
    """Not supported here: create an AutoscalingPolicy and its AutoscalingPolicyBinding yourself."""


class Behavior(Fields):
    """How fast replicas change. Not supported here; {} is taken for absent."""

    scale_up: ScaleUp | None = None
    """Not supported here."""
    scale_down: StablePolicy | None = None
    """Not supported here."""


class AutoscalingPolicySpec(Fields):
    """When replicas are added and removed."""

    tolerance_percent: Percent | None = None
    """How far, in percent, a metric may be off its target before anything changes; 10 if absent."""
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=32)]
    """What is measured, each under another name."""
    behavior: Behavior | None = None
    """Not supported here: to choose it, leave out autoscalingPolicy and create an AutoscalingPolicy
    and its AutoscalingPolicyBinding yourself."""
