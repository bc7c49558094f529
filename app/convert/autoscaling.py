"""Converts autoscaling policies into AutoscalingPolicies and their bindings.

The profiles differ in field names and in which of the two kinds holds the targets;
``FIELDS_BY_PROFILE`` lists the differences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from app.apis.autoscaling import AutoscalingPolicySpec, Metric
from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_SERVING,
    ROLE,
    Profile,
)
from app.convert.core_v1 import compact
from app.convert.options import Options
from app.model.children import Draft
from app.model.forms import BackendForm, Model, PolicyScope
from app.model.names import backend_child_name
from app.model.ports import RUNTIME_PORT, runtime_port
from app.model.roles import autoscaled, is_disaggregated, served
from app.values.fields import Path, SpecError, invalid, required
from app.values.meta import Object
from app.values.quantity import canonical_quantity, parse_quantity


class PolicyFields(NamedTuple):
    """The field names of autoscaling in one profile.

    Args:
        metric_name: field for the name of a metric.
        single_target: field for the only target of a policy.
        weighted_targets: field for targets that are scaled together, by cost.
        has_binding: whether a binding holds the targets; otherwise the policy holds them.
    """

    metric_name: str
    single_target: str
    weighted_targets: str
    has_binding: bool


FIELDS_BY_PROFILE = {
    Profile.A: PolicyFields(
        "metricName", "scalingConfiguration", "optimizerConfiguration", has_binding=True
    ),
    Profile.B: PolicyFields(
        "metricName", "homogeneousTarget", "heterogeneousTarget", has_binding=True
    ),
    Profile.C: PolicyFields("name", "homogeneousTarget", "heterogeneousTarget", has_binding=False),
}


class PolicyInputs(NamedTuple):
    """One policy and the backends that it scales.

    Args:
        name: name of the AutoscalingPolicy and of its binding.
        policy: its spec.
        path: the field that holds the spec.
        backend: the backend that the policy belongs to; None for the policy of the model.
        backends: the backends to scale. A policy of the model scales them by cost.
    """

    name: str
    policy: AutoscalingPolicySpec
    path: Path
    backend: BackendForm | None
    backends: tuple[BackendForm, ...]


def autoscaling_policies(model: Model, profile: Profile, _options: Options) -> Iterator[Draft]:
    """Yields the policy of the model, or one policy for each backend that has its own."""
    fields = FIELDS_BY_PROFILE[profile]
    for inputs in _policy_inputs(model, profile):
        spec = compact(
            tolerancePercent=inputs.policy.tolerance_percent,
            metrics=_metrics(inputs, fields),
            behavior=_behavior(),
        )
        if not fields.has_binding:
            spec |= _targets(model, inputs, profile)
        yield Draft(AUTOSCALING_POLICY, inputs.name, spec, inputs.backend)


def autoscaling_policy_bindings(
    model: Model, profile: Profile, _options: Options
) -> Iterator[Draft]:
    """Yields one binding per policy, in profiles where a binding holds the targets."""
    if not FIELDS_BY_PROFILE[profile].has_binding:
        return
    for inputs in _policy_inputs(model, profile):
        spec = {"policyRef": {"name": inputs.name}, **_targets(model, inputs, profile)}
        yield Draft(AUTOSCALING_POLICY_BINDING, inputs.name, spec, inputs.backend)


def _behavior() -> Object:
    """Returns the scaling behavior: kthena's own defaults, with panic mode off.

    Every field is set, because the defaults of kthena's schema and webhook differ, and kthena
    v0.1.0 has neither.
    """
    return {
        "scaleUp": {
            "stablePolicy": _pace(instances=4, window="0s"),
            "panicPolicy": {
                "percent": 0,
                "period": "0s",
                "panicThresholdPercent": 200,
                "panicModeHold": "0s",
            },
        },
        "scaleDown": _pace(instances=0, window="5m0s"),
    }


def _pace(*, instances: int, window: str) -> Object:
    return {
        "instances": instances,
        "percent": 100,
        "period": "1m0s",
        "selectPolicy": "Or",
        "stabilizationWindow": window,
    }


def _policy_inputs(model: Model, profile: Profile) -> Iterator[PolicyInputs]:
    if model.policy_scope is PolicyScope.NONE:
        return
    backends = tuple(b for b in served(model) if autoscaled(model, b, profile))
    if model.policy is not None:
        if backends:
            path = Path("spec.autoscalingPolicy")
            yield PolicyInputs(model.name, model.policy, path, None, backends)
        return
    for backend in backends:
        if backend.policy is not None and backend.policy_path is not None:
            name = backend_child_name(model, backend)
            yield PolicyInputs(name, backend.policy, backend.policy_path, backend, (backend,))


def _metrics(inputs: PolicyInputs, fields: PolicyFields) -> list[Object]:
    """Returns the metrics of a policy.

    Raises:
        SpecError: kthena's webhook would reject one of them.
    """
    by_name: dict[str, Object] = {}
    for position, metric in enumerate(inputs.policy.metrics):
        path = inputs.path.child("metrics").index(position)
        name = metric_name(metric, path, by_name)
        by_name[name] = {fields.metric_name: name, "targetValue": metric_target(metric, path)}
    return list(by_name.values())


def metric_name(metric: Metric, path: Path, earlier: Collection[str]) -> str:
    """Returns the name of a metric; raises SpecError if it has none of its own.

    Args:
        metric: one of a policy's metrics.
        path: its path.
        earlier: the names of the policy's metrics before it.
    """
    name, at = metric.metric_name, path.child("metricName")
    if not name:
        raise SpecError(required(at, "a metric needs a name"))
    if name in earlier:
        raise SpecError(invalid(at, name, f"duplicate metric name {name} is not allowed"))
    return name


def metric_target(metric: Metric, path: Path) -> str:
    """Returns the target value of a metric as a canonical quantity.

    Raises:
        SpecError: it is not a quantity greater than 0.
    """
    value = parse_quantity(metric.target_value)
    if value is None or value <= 0:
        detail = "metric target value must be greater than 0 and not equal to infinity"
        raise SpecError(invalid(path.child("targetValue"), metric.target_value, detail))
    return canonical_quantity(metric.target_value)


def _targets(model: Model, inputs: PolicyInputs, profile: Profile) -> Object:
    fields, metrics = (
        FIELDS_BY_PROFILE[profile],
        [metric.metric_name for metric in inputs.policy.metrics],
    )
    is_weighted = inputs.backend is None
    params = [
        compact(
            cost=(backend.scaling_cost or None) if is_weighted else None,
            minReplicas=backend.min_replicas,
            maxReplicas=backend.max_replicas,
            target=_target(model, backend, profile, metrics),
        )
        for backend in inputs.backends
    ]
    if not is_weighted:
        return {fields.single_target: params[0]}
    return {
        fields.weighted_targets: {
            "costExpansionRatePercent": model.cost_expansion_rate_percent,
            "params": params,
        }
    }


def _target(model: Model, backend: BackendForm, profile: Profile, metrics: list[str]) -> Object:
    """Returns one target: the ModelServing to scale and the endpoint of its pods' metrics."""
    name, port = backend_child_name(model, backend), runtime_port(backend)
    # The schema sets the defaults of an endpoint only if the field is present, even if empty.
    other_port = port if port != RUNTIME_PORT else None
    target: Object = {"targetRef": {"kind": MODEL_SERVING.kind, "name": name}}
    if profile is Profile.A:
        return target | {
            "additionalMatchLabels": {ROLE: "leader"},
            "metricEndpoint": compact(port=other_port),
        }
    if profile is Profile.B:
        endpoint = compact(port=other_port, labelSelector=_selector(backend))
        return target | {"metricEndpoint": endpoint}
    return target | {
        "metricSources": {
            metric: {"pod": compact(uri="/metrics", port=port, labelSelector=_selector(backend))}
            for metric in metrics
        }
    }


def _selector(backend: BackendForm) -> Object | None:
    """Returns the selector of the pods to scrape; None for a disaggregated backend.

    The pods of a disaggregated backend have no role ``leader``. Without a selector the autoscaler
    scrapes the first pod of each group.
    """
    return None if is_disaggregated(backend) else {"matchLabels": {ROLE: "leader"}}
