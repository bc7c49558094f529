"""Why the backends of a ModelBooster are not ready, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from app.values.meta import Object, uid_of
from app.values.quantity import parse_quantity
from app.values.untyped import as_dict, as_list
from controller.status.pod_problems import ProblemKind
from controller.status.podless import PODLESS_SECONDS, advice
from modelbooster.observe.columns import age_seconds, serving_status, status_of
from modelbooster.observe.explanation import Explanation
from modelbooster.observe.pods.findings import PodReport
from modelbooster.observe.reading import Family

Reports = Mapping[str, Sequence[PodReport]]
"""What the pods do, by name of their ModelServing."""


def backend_explanations(
    family: Family, reports: Reports, now: datetime, quotas: Sequence[Object]
) -> list[Explanation]:
    """Returns an explanation for each backend that is not ready.

    Args:
        family: the ModelBooster and what belongs to it.
        reports: what its pods do.
        now: the time of the reading.
        quotas: the ResourceQuotas that were read.
    """
    entries = [*map(as_dict, as_list(status_of(family.booster).get("backendStatuses")))]
    servings = {c["metadata"]["name"]: c for c in family.children if c["kind"] == "ModelServing"}
    found = []
    for entry in entries:
        if entry.get("ready") is True:
            continue
        name = str(entry.get("modelServing", ""))
        begin = f"backend {entry.get('name')}: " if len(entries) > 1 else ""
        serving, pods = servings.get(name), reports.get(name, ())
        if serving is not None and not pods and family.has_pods_read:
            cause = _podless(serving, entry, family.events.get(uid_of(serving), []), now, quotas)
        else:
            cause = _backend(entry, serving, pods)
        found.append(Explanation(begin + cause.why, cause.todo))
    return found


def _backend(entry: Object, serving: Object | None, pods: Sequence[PodReport]) -> Explanation:
    reported = _reported(entry)
    if serving is None or not pods:
        return Explanation(reported)
    if worst := worst_problem(pods):
        return worst
    waiting = [pod for pod in pods if not pod.is_ready]
    for pod in waiting:
        for name, progress in pod.downloads.items():
            text = f"pod {pod.name} downloads the model: {progress.done:.0%}, {progress.text}"
            return Explanation(text if name == "model-downloader" else f"{text} ({name})", "wait")
    for pod in waiting:
        if pod.phase == "Downloading":
            return Explanation(f"pod {pod.name} downloads the model", "wait")
        if pod.phase == "Starting":
            return Explanation(
                f"the engine of pod {pod.name} starts and loads the model",
                f"wait; model-booster logs {_owner(serving)} -f shows how far it is",
            )
    is_moving = waiting or serving_status(serving) in ("Updating", "Progressing")
    return Explanation(reported, "wait" if is_moving else "")


def worst_problem(pods: Sequence[PodReport]) -> Explanation | None:
    """Returns the most important problem of some pods, with the number of pods that have it."""
    having = [(pod.kind, pod) for pod in pods if pod.kind is not None]
    if not having:
        return None
    kind = min(kind for kind, _ in having)
    same = [pod for other, pod in having if other is kind]
    first = same[0].problem or Explanation("")
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    todo = first.todo
    if kind is ProblemKind.NODE and not todo:
        todo = "wait"
    return Explanation(f"pod {same[0].name}{more}: {first.why}", todo)


def _podless(
    serving: Object,
    entry: Object,
    events: Sequence[Object],
    now: datetime,
    quotas: Sequence[Object],
) -> Explanation:
    name, namespace = serving["metadata"]["name"], serving["metadata"]["namespace"]
    seconds = age_seconds(serving, now) or 0
    if events:
        message = str(events[0].get("message", ""))
        todo = "raise that ResourceQuota, or delete other pods of the namespace"
        if "quota" not in message:
            todo = f"see kubectl describe modelserving -n {namespace} {name}"
        return Explanation(f"no pod of ModelServing {name} is created: {message}", todo)
    if seconds < PODLESS_SECONDS:
        return Explanation(f"the pods of ModelServing {name} are not created yet", "wait")
    if not status_of(serving):
        return Explanation(
            f"no controller acts on ModelServing {name}",
            "check that kthena's controller manager runs: model-booster doctor",
        )
    if used_up := [*_used_up(quotas, namespace)]:
        return Explanation(
            f"no pod of ModelServing {name} is created; {'; '.join(used_up)}",
            "raise the ResourceQuota, or delete other pods of the namespace",
        )
    reported = _reported(entry)
    why, _, todo = advice(namespace).partition("; ")
    return Explanation(f"{reported}; {why}" if why not in reported else reported, todo)


def _reported(entry: Object) -> str:
    """Returns what the operator says of a backend."""
    return str(entry.get("message") or "it is not ready")


def _used_up(quotas: Sequence[Object], namespace: str) -> Iterator[str]:
    for quota in quotas:
        if quota["metadata"].get("namespace") != namespace:
            continue
        status = status_of(quota)
        hard, used = as_dict(status.get("hard")), as_dict(status.get("used"))
        for resource, limit in hard.items():
            most, now = parse_quantity(limit), parse_quantity(used.get(resource, "0"))
            if most is not None and now is not None and now >= most:
                name = quota["metadata"]["name"]
                yield f'ResourceQuota "{name}" is used up: {now} of {most} {resource}'


def _owner(serving: Object) -> str:
    refs = as_list(serving["metadata"].get("ownerReferences"))
    return next((str(ref.get("name")) for ref in refs if ref.get("kind") == "ModelBooster"), "NAME")
