"""Warnings about metrics that say nothing, and targets that are never reached.

Each rule ends at once for a model without a policy.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import Profile
from app.convert.autoscaling import common_pods
from app.engines.release import release
from app.model.engine import engine
from app.model.forms import BackendForm
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import value_of, whole
from app.validation.rules.scaled.given import scaled
from app.values.quantity import parse_quantity

WAITING = frozenset(
    {"kthena:num_requests_waiting", "vllm:num_requests_waiting", "sglang:num_queue_reqs"}
)
"""The metrics that kthena's router reads too."""

_HISTOGRAMS = ("_seconds", "_tokens", "iteration_tokens_total")
"""Endings of the names of histograms."""

_COUNTER = "_total"

_PARTS = ("_bucket", "_count", "_created", "_sum")
"""Endings of the series of a histogram; the autoscaler only knows the histogram's own name."""

_SHOW_HIDDEN = "show-hidden-metrics-for-version"

_CAME = {
    "vllm:inter_token_latency_seconds": (release("0.10.2"), "vllm:time_per_output_token_seconds"),
    "vllm:kv_cache_usage_perc": (release("0.9.2"), "vllm:gpu_cache_usage_perc"),
}
"""The first vLLM release that exports a metric, and what to read before it."""

_GONE = {
    "kthena:time_per_output_token_seconds": (release("0.12.0"), "vllm:inter_token_latency_seconds"),
    "vllm:gpu_cache_usage_perc": (release("0.11.0"), "vllm:kv_cache_usage_perc"),
    "vllm:time_per_output_token_seconds": (release("0.12.0"), "vllm:inter_token_latency_seconds"),
}
"""The first vLLM release that hides a metric or no longer has it, and what to read instead."""


def targets_are_below_the_limit(inputs: RuleInputs) -> Iterator[str]:
    """The router sends a pod no requests from a number of waiting ones on."""
    limit = inputs.context.options.max_waiting_requests
    for each in scaled(inputs):
        for position, metric in each.metrics:
            target = parse_quantity(metric.target_value)
            if metric.metric_name in WAITING and target is not None and target >= limit:
                yield (
                    f"{each.target_at(position)}: {metric.target_value} is hardly exceeded: once "
                    f"{limit} requests wait at every pod (maxWaitingRequests), kthena's router "
                    f"answers 400; write a target below {limit}, for example {limit // 2 or '500m'}"
                )


def metrics_go_up_and_down(inputs: RuleInputs) -> Iterator[str]:
    """The autoscaler compares counters by their raw value, which only grows."""
    for each in scaled(inputs):
        for position, metric in each.metrics:
            name = metric.metric_name
            if name.endswith(_PARTS):
                whole_name = name.rpartition("_")[0]
                yield (
                    f"{each.name_at(position)}: {name} is a part of a histogram, which the "
                    f"autoscaler does not read; write {whole_name}, its 95th percentile"
                )
            elif name.endswith(_COUNTER) and not name.endswith(_HISTOGRAMS):
                yield (
                    f"{each.name_at(position)}: {name} counts up forever, so the autoscaler only "
                    "adds replicas; use a metric that goes down too, such as "
                    "kthena:num_requests_waiting"
                )


def engines_export_metrics(inputs: RuleInputs) -> Iterator[str]:
    """Each engine has metrics of its own, and they change with its releases."""
    for each in scaled(inputs):
        for position, metric in each.metrics:
            for form in each.backends:
                if text := _not_exported(form, metric.metric_name):
                    yield f"{each.name_at(position)}: {text}"
                    break


def _not_exported(form: BackendForm, name: str) -> str | None:
    prefix = name.partition(":")[0]
    for worker in form.workers:
        of = engine(worker)
        if prefix in ("vllm", "sglang") and prefix != of.name:
            return (
                f'the engines of backend "{form.name}" do not export {name}; write a metric whose '
                f"name begins with kthena: or {of.name}:"
            )
        if of.name != "vllm" or of.release is None:
            continue
        came, gone = _CAME.get(name), _GONE.get(name)
        if came is not None and of.release < came[0]:
            return f"vLLM {of.release} does not export {name} yet; write {came[1]}"
        if gone is not None and of.release >= gone[0] and not value_of(worker, _SHOW_HIDDEN):
            return f"vLLM {of.release} no longer exports {name}; write {gone[1]}"
    return None


def ranks_are_added_up(inputs: RuleInputs) -> Iterator[str]:
    """Engines with several data parallel ranks export a gauge once for each rank."""
    if inputs.context.release_profile is Profile.C:
        return
    for each in scaled(inputs):
        ranks = max((_ranks(form) for form in each.backends), default=1)
        if ranks < 2:
            continue
        for position, metric in each.metrics:
            if metric.metric_name.endswith((*_HISTOGRAMS, _COUNTER, *_PARTS)):
                continue
            yield (
                f"{each.name_at(position)}: each of {ranks} data parallel ranks exports it, and "
                "the autoscaler of the installed kthena reads only the first; set the target for "
                "one rank, or upgrade kthena to v1.0.0"
            )


def _ranks(form: BackendForm) -> int:
    sizes = [whole(worker, "data-parallel-size", "dp-size") or 1 for worker in form.workers]
    return max(sizes, default=1)


def one_target_fits_all(inputs: RuleInputs) -> Iterator[str]:
    """One target counts for all backends of a policy of the model."""
    profile = inputs.context.release_profile
    if inputs.model.policy is None or profile is Profile.A:
        return
    for each in scaled(inputs):
        names = [metric.metric_name for _, metric in each.metrics]
        for position, metric in each.metrics:
            together = (metric.metric_name,) if profile is Profile.C else names
            if len(each.backends) > 1 and common_pods(each.backends, together) is None:
                yield (
                    f"{each.target_at(position)}: it counts for the sum over the pods of a "
                    "replica, because the backends have different numbers of them "
                    "(workers[].replicas); use equal numbers, or a policy for each backend"
                )
