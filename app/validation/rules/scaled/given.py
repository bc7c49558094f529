"""The metrics of policies, with the backends that they scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.apis.autoscaling import AutoscalingPolicySpec, Metric
from app.model.forms import BackendForm, PolicyScope
from app.model.roles import autoscaled
from app.validation.inputs import RuleInputs
from app.values.fields import Path


class Scaled(NamedTuple):
    """A policy, its path, and the backends that it scales."""

    path: Path
    policy: AutoscalingPolicySpec
    backends: tuple[BackendForm, ...]

    @property
    def metrics(self) -> Iterator[tuple[int, Metric]]:
        """The metrics, each with its position."""
        return enumerate(self.policy.metrics)

    def name_at(self, position: int) -> Path:
        """Returns the path of a metric's name."""
        return self.path.child("metrics").index(position).child("metricName")

    def target_at(self, position: int) -> Path:
        """Returns the path of a metric's target."""
        return self.path.child("metrics").index(position).child("targetValue")


def scaled(inputs: RuleInputs) -> Iterator[Scaled]:
    """Yields the policies that scale something with the installed kthena."""
    model, profile = inputs.model, inputs.context.release_profile
    if model.policy_scope is PolicyScope.NONE:
        return
    if model.policy is not None:
        backends = [form for form in inputs.served_backends if autoscaled(model, form, profile)]
        yield Scaled(Path("spec.autoscalingPolicy"), model.policy, tuple(backends))
        return
    for form in inputs.served_backends:
        if form.policy is not None and form.policy_path and autoscaled(model, form, profile):
            yield Scaled(form.policy_path, form.policy, (form,))
