"""Warnings about valid objects that may surprise, with figures and a way out.

They depend on the object alone. Whether a claim or a Secret exists is seen when the pods start,
because files may be applied in any order.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import Profile
from app.model.canonical import GANG_SCHEDULER
from app.model.connector import CONNECTORS, transfer_config
from app.model.forms import PolicyScope, WorkerForm
from app.model.roles import SERVED_TYPES, is_disaggregated
from app.validation.inputs import RuleInputs


def types_are_served(inputs: RuleInputs) -> Iterator[str]:
    """The API reserves types that are not served yet."""
    for form, _ in inputs.backends:
        if form.type not in SERVED_TYPES:
            yield (
                f"{form.path}.type: {form.type} is not served yet; nothing is made for it, because "
                "kthena's ModelServer knows only vLLM and SGLang"
            )


def connectors_are_known(inputs: RuleInputs) -> Iterator[str]:
    """The router does not take part in the transfer of an unknown connector."""
    for form, worker in inputs.served_workers:
        if not is_disaggregated(form):
            continue
        name = _connector(worker)
        if name is not None and name not in CONNECTORS:
            yield (
                f'{worker.path}.config: kv_connector "{name}" is unknown to the router; '
                f"it knows {', '.join(CONNECTORS)}"
            )


def autoscaler_finds_pods(inputs: RuleInputs) -> Iterator[str]:
    """The autoscaler of kthena v0.1.0 only finds pods with the role leader."""
    if inputs.context.profile is not Profile.A:
        return
    for form, _ in inputs.backends:
        if is_disaggregated(form) and inputs.model.is_autoscaled(form):
            yield (
                f"{form.path}: the kthena release in this cluster cannot scale vLLMDisaggregated; "
                f"it stays at {form.min_replicas} replicas"
            )


def somebody_wakes_it(inputs: RuleInputs) -> Iterator[str]:
    """Without pods there are no metrics, so the autoscaler never scales up."""
    for form, _ in inputs.backends:
        if form.type not in SERVED_TYPES or form.min_replicas > 0:
            continue
        if form.policy is not None:
            yield (
                f"{form.path}: once scaled to zero nothing wakes it, since no pod is left to "
                "report metrics; minReplicas: 1 keeps one"
            )
        elif not inputs.has_model_policy:
            yield f"{form.path}: with 0 replicas nothing serves requests"
        elif inputs.context.profile is Profile.A:
            yield (
                f"{form.path}.minReplicas: the installed kthena v0.1.0 scales each backend by "
                "itself and adds no replica to 0, so it stays there; write 1 or more"
            )


def bounds_have_policy(inputs: RuleInputs) -> Iterator[str]:
    """Other backends have a policy; the policy of this one may have been forgotten."""
    if inputs.model.policy_scope is PolicyScope.NONE:
        return
    for form, _ in inputs.backends:
        if not inputs.model.is_autoscaled(form) and form.min_replicas != form.max_replicas:
            yield (
                f"{form.path}: without an autoscalingPolicy of its own it stays at minReplicas, "
                f"{form.min_replicas}; maxReplicas is ignored"
            )


def cost_rate_has_policy(inputs: RuleInputs) -> Iterator[str]:
    """Upstream's B3; only a warning, because the stored default outlasts the policy."""
    if inputs.spec.cost_expansion_rate_percent is not None and not inputs.has_model_policy:
        yield "spec.costExpansionRatePercent is ignored: there is no policy of the model"


def gangs_have_their_scheduler(inputs: RuleInputs) -> Iterator[str]:
    """Other schedulers do not support gang scheduling."""
    for form, _ in inputs.backends:
        if form.gang_scheduling and form.scheduler_name != GANG_SCHEDULER:
            yield (
                f"{form.path}.gangScheduling: no gang is formed by scheduler "
                f'"{form.scheduler_name}"; only {GANG_SCHEDULER} knows them'
            )


def counts_are_not_zero(inputs: RuleInputs) -> Iterator[str]:
    """Upstream creates no pods for a count of 0."""
    for form, backend in inputs.backends:
        for position, written in enumerate(backend.workers):
            if written.replicas == 0:
                yield f"{form.workers[position].path}.replicas: 0 counts as 1"
            if written.pods == 0:
                yield f"{form.workers[position].path}.pods: 0 counts as 1"


def pods_mean_something(inputs: RuleInputs) -> Iterator[str]:
    """Each replica of a disaggregated role is one pod."""
    for form, worker in inputs.served_workers:
        if is_disaggregated(form) and worker.pods > 1:
            yield f"{worker.path}.pods: {worker.pods} is ignored for type {form.type}; it is 1"


def nodes_share_no_host_path(inputs: RuleInputs) -> Iterator[str]:
    """Each node has its own disk."""
    for form, _ in inputs.backends:
        if not (form.cache_uri or "").startswith("hostpath://"):
            continue
        pods = max(form.max_replicas, form.min_replicas) * sum(
            worker.replicas * (1 if is_disaggregated(form) else worker.pods)
            for worker in form.workers
        )
        if pods > 1:
            yield (
                f"{form.path}.cacheURI: a folder of the node; each node that runs one of up to "
                f"{pods} pods downloads the model once"
            )


def _connector(worker: WorkerForm) -> str | None:
    try:
        config = transfer_config(worker) or {}
    except ValueError:
        return None
    name = config.get("kv_connector")
    return name if isinstance(name, str) else None
