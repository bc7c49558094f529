"""Replicas and autoscaling of a ModelBooster made of a template, by kthena release."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.apis.kinds import PROFILES
from app.apis.kinds import Profile as KthenaProfile
from app.catalog.parameters import Values, ValuesError
from app.catalog.rendering.checks import refuse_given
from app.values.meta import Object

METRIC = "kthena:num_requests_waiting"
"""Default of ``metricName``."""

TARGET = 5
"""Default of ``targetValue``: kthena's router refuses requests once 10 wait at every pod."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The fields about replicas.

    Args:
        several: whether the object has ``backends``, not ``backend``.
        backend: fields of the backend.
        model: fields of the spec.
    """

    several: bool
    backend: Object = field(default_factory=dict)
    model: Object = field(default_factory=dict)


def scale_of(values: Values, release: str | None) -> Scale:
    """Returns the fields about replicas that a release knows.

    Raises:
        ValuesError: the values contradict each other, or the release cannot scale by itself.
    """
    profile = PROFILES[release] if release else KthenaProfile.A
    least, most = _bounds(values)
    several = profile is KthenaProfile.A
    backend: Object = {"minReplicas": least, "maxReplicas": most}
    if least == most or profile is KthenaProfile.C:
        if least != most:
            raise ValuesError(
                f"minReplicas: kthena {release} has no autoscaling in a ModelBooster; set replicas"
            )
        _no_policy(values)
        if profile is KthenaProfile.C:
            backend = {"replicas": least}
        return Scale(several, backend)
    policy: Object = {
        "metrics": [
            {
                "metricName": values.metric_name or METRIC,
                "targetValue": values.target_value or TARGET,
            }
        ]
    }
    if several:
        backend["scalingCost"] = 1 if values.scaling_cost is None else values.scaling_cost
        if values.scale_to_zero_grace_period is not None:
            backend["scaleToZeroGracePeriod"] = values.scale_to_zero_grace_period
    return Scale(several, backend, {"autoscalingPolicy": policy})


def _bounds(values: Values) -> tuple[int, int]:
    bounds = (values.min_replicas, values.max_replicas)
    if values.replicas is not None:
        if bounds != (None, None):
            raise ValuesError("replicas: excludes minReplicas and maxReplicas; leave out one")
        return values.replicas, values.replicas
    least = 1 if values.min_replicas is None else values.min_replicas
    if values.min_replicas is None and values.max_replicas is not None:
        least = min(1, values.max_replicas)
    most = values.max_replicas or max(1, least)
    if least > most:
        raise ValuesError(f"minReplicas: {least} is more than maxReplicas, {most}")
    return least, most


def _no_policy(values: Values) -> None:
    """Refuses values that only an autoscaling policy uses."""
    given = {
        "metricName": values.metric_name,
        "targetValue": values.target_value,
        "scalingCost": values.scaling_cost,
        "scaleToZeroGracePeriod": values.scale_to_zero_grace_period,
    }
    refuse_given(given, "needs autoscaling; set minReplicas below maxReplicas")
