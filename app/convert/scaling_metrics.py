"""The metrics of a policy: their names and targets, and the pods that the autoscaler asks.

kthena adds up a metric over all pods that a selector matches, and divides the sum by the target.
The result is a number of replicas. A target is meant per pod, so exactly one role is asked, and
the target is multiplied by the pods of that role in a replica.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from app.apis.autoscaling import Metric
from app.model.forms import BackendForm
from app.model.roles import is_disaggregated
from app.values.fields import Path, SpecError, invalid, required
from app.values.quantity import canonical_quantity, parse_quantity

LEADER, PREFILL, DECODE = "leader", "prefill", "decode"

_OF_DECODE = (
    "cache_usage",
    "decode",
    "e2e_request",
    "gen_throughput",
    "generation",
    "inter_token",
    "output_token",
    "running",
    "token_usage",
)
"""Parts of the names of metrics about generating tokens, which decode pods do."""


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


def metric_target(metric: Metric, path: Path, pods: int = 1) -> str:
    """Returns the target value of a metric for a replica, as a canonical quantity.

    Args:
        metric: one of a policy's metrics.
        path: its path.
        pods: how many pods of a replica are asked.

    Raises:
        SpecError: it is not a quantity greater than 0.
    """
    value = parse_quantity(metric.target_value)
    if value is None or value <= 0:
        detail = "metric target value must be greater than 0 and not equal to infinity"
        raise SpecError(invalid(path.child("targetValue"), metric.target_value, detail))
    return canonical_quantity(metric.target_value, pods)


def asked_role(backend: BackendForm, metrics: Iterable[str]) -> str:
    """Returns the role whose pods the autoscaler asks for metrics.

    Requests wait at the prefill pods. Only if all metrics are about generating tokens, decode pods
    are asked.

    Args:
        backend: the backend.
        metrics: the names of the metrics that are asked together.
    """
    if not is_disaggregated(backend):
        return LEADER
    stems = (name.rpartition(":")[2] for name in metrics)
    return DECODE if all(any(part in stem for part in _OF_DECODE) for stem in stems) else PREFILL


def pods_asked(backend: BackendForm, role: str) -> int:
    """Returns how many pods of a role answer requests in each replica of a backend."""
    worker = backend.worker("server" if role == LEADER else role)
    return worker.replicas if worker is not None else 1
