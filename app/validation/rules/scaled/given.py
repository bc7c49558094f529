"""The metrics of policies, with the backends that they scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.apis.autoscaling import AutoscalingPolicySpec, Metric
from app.model.forms import BackendForm
from app.model.roles import autoscaled
from app.validation.inputs import RuleInputs
from app.values.fields import Path


class Scaled(NamedTuple):
    """A policy, its path, and the backends that it scales."""

    path: Path
    policy: AutoscalingPolicySpec
    backends: tuple[BackendForm, ...]

    def metrics(self) -> Iterator[tuple[Path, Metric]]:
        """Yields path and content of each metric."""
        for position, metric in enumerate(self.policy.metrics):
            yield self.path.child("metrics").index(position), metric


def scaled(inputs: RuleInputs) -> Iterator[Scaled]:
    """Yields the policies that scale something with the installed kthena."""
    model, profile = inputs.model, inputs.context.release_profile
    if model.policy is not None:
        backends = [form for form in inputs.served_backends if autoscaled(model, form, profile)]
        yield Scaled(Path("spec.autoscalingPolicy"), model.policy, tuple(backends))
        return
    for form in inputs.served_backends:
        if form.policy is not None and form.policy_path and autoscaled(model, form, profile):
            yield Scaled(form.policy_path, form.policy, (form,))
