"""The autoscaling policy of a ModelBooster."""

from typing import Annotated, Literal

from pydantic import Field

from app.apis.schema import Fields, NotNegative, Percent, PerMille, Quantity, int32_range


class Metric(Fields):
    """A metric of the engines and its target value."""

    metric_name: str
    """Name of the metric as the engines export it, for example kthena:num_requests_waiting."""
    target_value: Quantity
    """Target value per pod, greater than 0. Replicas are added above it and removed below it. Of
    prefill and decode, prefill pods count, or decode pods if every metric is about running requests
    or generated tokens."""


class StablePolicy(Fields):
    """Limits on the rate of scaling. Not supported."""

    instances: NotNegative | None = None
    """Maximum number of replicas to add or remove per period."""
    percent: PerMille | None = None
    """Maximum change per period, in percent of the current replicas."""
    period: str | None = None
    """Length of a period, for example 15s."""
    select_policy: Literal["Or", "And"] | None = None
    """Which of the two limits applies: the larger (Or) or the smaller (And)."""
    stabilization_window: str | None = None
    """Time window of past values to consider before scaling, for example 5m."""


class PanicPolicy(Fields):
    """Scaling up under sudden load. Not supported."""

    percent: PerMille | None = None
    """Maximum number of replicas to add per period, in percent of the current replicas."""
    period: str | None = None
    """Length of a period, for example 5s."""
    panic_threshold_percent: Annotated[int, int32_range(110, 1000)] | None = None
    """Load, in percent of the target, at which panic mode starts."""
    panic_mode_hold: str | None = None
    """Duration of panic mode, for example 60s."""


class ScaleUp(Fields):
    """Scaling up. Not supported."""

    stable_policy: StablePolicy | None = None
    """Not supported."""
    panic_policy: PanicPolicy | None = None
    """Not supported: create an AutoscalingPolicy and an AutoscalingPolicyBinding instead."""


class Behavior(Fields):
    """Rate of scaling. Not supported; {} counts as absent."""

    scale_up: ScaleUp | None = None
    """Not supported."""
    scale_down: StablePolicy | None = None
    """Not supported."""


class AutoscalingPolicySpec(Fields):
    """When to add and remove replicas."""

    tolerance_percent: Percent | None = None
    """Deviation of a metric from its target, in percent, that is ignored. Defaults to 10."""
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=32)]
    """The metrics and their targets. Names must be unique."""
    behavior: Behavior | None = None
    """Not supported. To set it, omit autoscalingPolicy and create an AutoscalingPolicy and an
    AutoscalingPolicyBinding instead."""
