"""Converts autoscaling policies into AutoscalingPolicies and their bindings.

The profiles differ in field names and in which of the two kinds holds the targets;
``FIELDS_BY_PROFILE`` lists the differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    ENTRY,
    MODEL_SERVING,
    ROLE,
    Profile,
)
from app.convert.core_v1 import compact
from app.convert.options import Options
from app.convert.scaling_behavior import behavior
from app.convert.scaling_metrics import asked_role, metric_name, metric_target, pods_asked
from app.model.children import Draft
from app.model.forms import BackendForm, Model, PolicyScope
from app.model.names import backend_child_name
from app.model.ports import RUNTIME_PORT, runtime_port
from app.model.roles import autoscaled, served
from app.values.fields import Path
from app.values.meta import Object


class PolicyFields(NamedTuple):
    """The field names of autoscaling in one profile.

    Args:
        metric_name: field for the name of a metric.
        single_target: field for the only target of a policy.
        weighted_targets: field for targets that are scaled together, by cost; None if the
            autoscaler does not read them. Then each backend is scaled by itself.
        has_binding: whether a binding holds the targets; otherwise the policy holds them.
    """

    metric_name: str
    single_target: str
    weighted_targets: str | None
    has_binding: bool


FIELDS_BY_PROFILE = {
    # The schema has optimizerConfiguration, but kthena v0.1.0 never reads its targets.
    Profile.A: PolicyFields("metricName", "scalingConfiguration", None, has_binding=True),
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
        backend: the only backend that the policy scales; None if it scales several by cost.
        backends: the backends to scale.
    """

    name: str
    policy: AutoscalingPolicySpec
    path: Path
    backend: BackendForm | None
    backends: tuple[BackendForm, ...]


def autoscaling_policies(model: Model, profile: Profile, options: Options) -> Iterator[Draft]:
    """Yields the policy of the model, or one policy for each backend that has its own."""
    fields = FIELDS_BY_PROFILE[profile]
    for inputs in _policy_inputs(model, profile):
        spec = compact(
            tolerancePercent=inputs.policy.tolerance_percent,
            metrics=_metrics(inputs, profile),
            behavior=behavior(profile, options, is_weighed=inputs.backend is None),
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


def _policy_inputs(model: Model, profile: Profile) -> Iterator[PolicyInputs]:
    if model.policy_scope is PolicyScope.NONE:
        return
    backends = tuple(b for b in served(model) if autoscaled(model, b, profile))
    path = Path("spec.autoscalingPolicy")
    if model.policy is not None and FIELDS_BY_PROFILE[profile].weighted_targets is not None:
        if backends:
            yield PolicyInputs(model.name, model.policy, path, None, backends)
        return
    for backend in backends:
        policy = model.policy or backend.policy
        if policy is not None:
            name, at = backend_child_name(model, backend), backend.policy_path or path
            yield PolicyInputs(name, policy, at, backend, (backend,))


def _metrics(inputs: PolicyInputs, profile: Profile) -> list[Object]:
    """Returns the metrics of a policy.

    Raises:
        SpecError: kthena's webhook would reject one of them.
    """
    field = FIELDS_BY_PROFILE[profile].metric_name
    names = [metric.metric_name for metric in inputs.policy.metrics]
    by_name: dict[str, Object] = {}
    for position, metric in enumerate(inputs.policy.metrics):
        path = inputs.path.child("metrics").index(position)
        name = metric_name(metric, path, by_name)
        pods = common_pods(inputs.backends, (name,) if profile is Profile.C else names) or 1
        by_name[name] = {field: name, "targetValue": metric_target(metric, path, pods)}
    return list(by_name.values())


def common_pods(backends: Iterable[BackendForm], metrics: Iterable[str]) -> int | None:
    """Returns how many pods of each replica are asked; None if backends differ.

    Args:
        backends: the backends that one policy scales.
        metrics: the metrics that are asked together. Before profile C these are all of a policy.
    """
    names = tuple(metrics)
    counts = {pods_asked(backend, asked_role(backend, names)) for backend in backends}
    return counts.pop() if len(counts) == 1 else None


def _targets(model: Model, inputs: PolicyInputs, profile: Profile) -> Object:
    fields = FIELDS_BY_PROFILE[profile]
    metrics = [metric.metric_name for metric in inputs.policy.metrics]
    params = [
        compact(
            cost=(backend.scaling_cost or None) if inputs.backend is None else None,
            minReplicas=backend.min_replicas,
            maxReplicas=backend.max_replicas,
            target=_target(model, backend, profile, metrics),
        )
        for backend in inputs.backends
    ]
    if inputs.backend is not None or fields.weighted_targets is None:
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
        # Later releases add the entry label themselves. Followers have no sidecar to ask.
        return target | {
            "additionalMatchLabels": {ROLE: asked_role(backend, metrics), ENTRY: "true"},
            "metricEndpoint": compact(port=other_port),
        }
    if profile is Profile.B:
        endpoint = compact(port=other_port, labelSelector=_selector(backend, metrics))
        return target | {"metricEndpoint": endpoint}
    return target | {
        "metricSources": {
            metric: {
                "pod": compact(
                    uri="/metrics", port=port, labelSelector=_selector(backend, (metric,))
                )
            }
            for metric in metrics
        }
    }


def _selector(backend: BackendForm, metrics: Iterable[str]) -> Object:
    return {"matchLabels": {ROLE: asked_role(backend, metrics)}}
