"""Rules about replicas and autoscaling."""

from __future__ import annotations

from collections.abc import Iterator

from app.convert.scaling_metrics import metric_name, metric_target
from app.model.forms import PolicyScope
from app.validation.inputs import RuleInputs
from app.validation.rules.facts import fault_of
from app.validation.rules.shape import policies
from app.values.fields import FieldError, Path, forbidden, invalid, required

MAX_REPLICAS = 1_000_000


def replicas_add_up(inputs: RuleInputs) -> Iterator[FieldError]:
    """All backends together have at most a million replicas.

    Upstream's A4.
    """
    total = sum([backend.max_replicas for backend in inputs.model.backends])
    if total > MAX_REPLICAS:
        yield invalid(
            inputs.backends_path,
            total,
            f"sum of maxReplicas across all backends ({total}) cannot exceed {MAX_REPLICAS}",
        )


def one_level_of_policies(inputs: RuleInputs) -> Iterator[FieldError]:
    """Either the model has a policy, or its backends do, not both.

    Upstream's B11.
    """
    if inputs.spec.autoscaling_policy is None:
        return
    if any(backend.autoscaling_policy for _, backend in inputs.all_backends):
        other = "spec.backend" if inputs.spec.backends is None else "spec.backends[]"
        yield forbidden(
            Path("spec.autoscalingPolicy"),
            f"spec.autoscalingPolicy and {other}.autoscalingPolicy cannot both be set; "
            "choose model-level or backend-level autoscaling, not both",
        )


def bounds_are_equal_without_policy(inputs: RuleInputs) -> Iterator[FieldError]:
    """Without any policy, ``minReplicas`` and ``maxReplicas`` are the same number.

    Upstream's B5. If any backend has a policy, the others only get a warning.
    """
    if inputs.model.policy_scope is not PolicyScope.NONE:
        return
    for form, backend in inputs.backends:
        least, most = backend.min_replicas, backend.max_replicas
        # ``replica_bounds_in_order`` reports bounds in the wrong order.
        if backend.replicas is None and least is not None and most is not None and least < most:
            yield invalid(
                form.path,
                f"minReplicas={least}, maxReplicas={most}",
                "minReplicas and maxReplicas must be equal and > 0 when no autoscaling is set",
            )


def replicas_are_bounds_under_policy(inputs: RuleInputs) -> Iterator[FieldError]:
    """A backend with a policy sets ``minReplicas`` and ``maxReplicas``, not ``replicas``."""
    for form, backend in inputs.backends:
        if backend.replicas is not None and inputs.model.is_autoscaled(form):
            yield forbidden(
                form.path.child("replicas"),
                "replicas must not be set together with autoscalingPolicy; "
                "set minReplicas and maxReplicas instead",
            )


def backend_policy_keeps_one_replica(inputs: RuleInputs) -> Iterator[FieldError]:
    """A backend in ``backends`` with its own policy keeps at least one replica.

    Upstream's B4. ``spec.backend`` may scale to 0, as in kthena v0.2.0 and later.
    """
    if inputs.has_model_policy or inputs.spec.backends is None:
        return
    for form, backend in inputs.backends:
        if form.policy is not None and backend.min_replicas == 0:
            yield invalid(
                form.path.child("minReplicas"),
                0,
                "minReplicas must be >= 1 when backend-level autoscaling is set",
            )


def model_policy_keeps_one_replica(inputs: RuleInputs) -> Iterator[FieldError]:
    """With a policy of the model, at least one backend keeps a replica.

    Upstream's B9.
    """
    if not _by_cost(inputs):
        return
    bounds = [b.min_replicas for _, b in inputs.backends if b.min_replicas is not None]
    # ``replicas_or_bounds`` reports backends without bounds.
    if bounds and sum(bounds) < 1:
        yield invalid(
            Path("spec.backends"),
            0,
            "sum of all minReplicas must be >= 1 when model-level autoscaling is set",
        )


def model_policy_has_costs(inputs: RuleInputs) -> Iterator[FieldError]:
    """With a policy of the model, every backend sets its ``scalingCost``.

    Upstream's B7.
    """
    if not _by_cost(inputs):
        return
    for form, _ in inputs.backends:
        if form.scaling_cost == 0:
            yield required(
                form.path.child("scalingCost"),
                "scalingCost must be provided when model-level autoscaling is set",
            )


def costs_have_model_policy(inputs: RuleInputs) -> Iterator[FieldError]:
    """``scalingCost`` is set only with a policy of the model.

    Upstream's B1.
    """
    if inputs.spec.autoscaling_policy is not None or inputs.spec.backends is None:
        return
    for form, _ in inputs.backends:
        if form.scaling_cost != 0:
            yield forbidden(
                form.path.child("scalingCost"),
                "scalingCost must not be provided when model-level autoscaling is not set",
            )


def grace_period_has_model_policy(inputs: RuleInputs) -> Iterator[FieldError]:
    """``scaleToZeroGracePeriod`` is set only with a policy of the model.

    Upstream's B2.
    """
    if inputs.spec.autoscaling_policy is not None or inputs.spec.backends is None:
        return
    for form, backend in inputs.backends:
        if backend.scale_to_zero_grace_period is not None:
            yield forbidden(
                form.path.child("scaleToZeroGracePeriod"),
                "scaleToZeroGracePeriod must not be provided "
                "when model-level autoscaling is not set",
            )


def metric_names_differ(inputs: RuleInputs) -> Iterator[FieldError]:
    """Each metric of a policy has a name of its own.

    kthena's webhook for AutoscalingPolicies makes the same check.
    """
    for path, policy in policies(inputs):
        earlier: set[str] = set()
        for position, metric in enumerate(policy.metrics):
            at = path.child("metrics").index(position)
            if fault := fault_of(metric_name, metric, at, earlier):
                yield fault
            earlier.add(metric.metric_name)


def metric_targets_are_positive(inputs: RuleInputs) -> Iterator[FieldError]:
    """A metric's ``targetValue`` is greater than 0.

    kthena's webhook for AutoscalingPolicies makes the same check.
    """
    for path, policy in policies(inputs):
        for position, metric in enumerate(policy.metrics):
            if fault := fault_of(metric_target, metric, path.child("metrics").index(position)):
                yield fault


def _by_cost(inputs: RuleInputs) -> bool:
    """Whether the policy of the model is the only policy."""
    return inputs.has_model_policy and not any(b.policy for b in inputs.model.backends)
