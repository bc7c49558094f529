"""Rules about the metrics of engines, which autoscalers and the drain before a stop read."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.autoscaling import AutoscalingPolicySpec
from app.model.arguments import Argument
from app.model.forms import BackendForm, WorkerForm
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import switch_of
from app.validation.rules.shape import policies
from app.values.fields import FieldError, invalid

_ENGINE_PREFIXES = ("kthena:", "vllm:", "sglang:")
"""Beginnings of the names of what the engines count; the sidecar adds the first."""

_OTHER_PREFIXES = ("http_", "process_", "python_")
"""Beginnings of the names of the other metrics that the engines serve."""

_OF_SIDECAR = (
    "kthena:e2e_request_latency_seconds",
    "kthena:num_requests_waiting",
    "kthena:time_per_output_token_seconds",
    "kthena:time_to_first_token_seconds",
)
"""All metrics that the sidecar adds to those of the engines, in every release of kthena."""

_NAMES = (
    *_OF_SIDECAR,
    "sglang:gen_throughput",
    "sglang:num_queue_reqs",
    "sglang:num_running_reqs",
    "sglang:time_to_first_token_seconds",
    "sglang:token_usage",
    "vllm:e2e_request_latency_seconds",
    "vllm:gpu_cache_usage_perc",
    "vllm:inter_token_latency_seconds",
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:time_per_output_token_seconds",
    "vllm:time_to_first_token_seconds",
)
"""Names that people scale by, to suggest one for a typing error."""

_NEAR = 0.8


def scaled_engines_report_metrics(inputs: RuleInputs) -> Iterator[FieldError]:
    """An engine that a policy scales reports the metrics of the policy."""
    for form in inputs.readable_backends:
        policy = form.policy or inputs.model.policy
        if policy is None or not _reads_engine(policy):
            continue
        for off in filter(None, (_without_metrics(form, worker) for worker in form.workers)):
            detail = (
                "then the engine reports no metrics, and the autoscaler has nothing to scale by; "
                f"{_without(off)} or autoscalingPolicy"
            )
            yield invalid(off.path, off.value, detail)


def engines_report_metrics(inputs: RuleInputs) -> Iterator[str]:
    """Without metrics a pod does not know when its last request has ended."""
    for form, worker in inputs.served_workers:
        off = _without_metrics(form, worker)
        if off is not None:
            yield (
                f"{off.path}: the engine reports no metrics, so a stopping pod cannot wait for its "
                f"requests, and the router does not see its load; {_without(off)}"
            )


def metrics_are_known(inputs: RuleInputs) -> Iterator[str]:
    """The autoscaler never acts on a metric that no engine reports."""
    for path, policy in policies(inputs):
        for position, metric in enumerate(policy.metrics):
            name = metric.metric_name
            at = path.child("metrics").index(position).child("metricName")
            if not name.startswith((*_ENGINE_PREFIXES, *_OTHER_PREFIXES)):
                advice = _hint(name) or f"; names begin with {' or '.join(_ENGINE_PREFIXES)}"
                yield f'{at}: no engine reports "{name}", so the autoscaler never acts{advice}'
            elif name.startswith("kthena:") and name not in _OF_SIDECAR:
                advice = _hint(name) or f"; there are {', '.join(_OF_SIDECAR)}"
                yield f'{at}: the sidecar never exports "{name}"{advice}'
            elif name.startswith(_ENGINE_PREFIXES) and name not in _NAMES and (hint := _hint(name)):
                yield f'{at}: "{name}" may be misspelled{hint}'


def _without_metrics(form: BackendForm, worker: WorkerForm) -> Argument | None:
    """Returns the argument that turns the metrics of an engine off; None if they are on."""
    name, off = ("enable-metrics", False) if form.type == "SGLang" else ("disable-log-stats", True)
    found = switch_of(worker, name)
    return found[0] if found is not None and found[1] is off else None


def _without(off: Argument) -> str:
    return f"remove {off.key}"


def _reads_engine(policy: AutoscalingPolicySpec) -> bool:
    return any(metric.metric_name.startswith(_ENGINE_PREFIXES) for metric in policy.metrics)


def _hint(name: str) -> str:
    """Returns the known name that was meant, as the end of a message; ``""`` if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower().replace(".", ":"), _NAMES, 1, _NEAR)
    return f"; did you mean {near[0]}?" if near else ""
