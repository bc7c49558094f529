"""What the status says about warm-ups: how far they are, and why one failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.values.meta import Object
from app.values.text import shortened
from app.values.untyped import as_dict, as_list
from controller.status.downloads import failure_in
from controller.status.texts import clean
from controller.warmup.planner import RETRY_SECONDS, WarmupPlan

MAX_NAMES = 3
"""How many nodes, and how many failures, are named in a message."""

MAX_REASON = 300
"""Longest reason of one failure, in characters."""


def progress_message(plan: WarmupPlan, reasons: Sequence[str], namespace: str) -> str:
    """Returns how far the Jobs of a backend are; ``""`` if all of them are complete.

    Args:
        plan: the Jobs.
        reasons: why the first of the failed Jobs failed.
        namespace: their namespace.
    """
    if not plan.desired:
        return "no node that pods can be scheduled to has the labels of cacheWarmup.nodeSelector"
    parts = []
    if plan.failed:
        parts.append(_failures(plan.failed, reasons, namespace))
    if plan.running:
        where = f" to {_names(plan.running)}" if plan.running[0] else ""
        parts.append(f"downloading{where}")
    return "; ".join(parts)


def waiting_message(plan: WarmupPlan, message: str, *, is_new: bool) -> str:
    """Returns what the pods of a backend wait for.

    Args:
        plan: the Jobs of the backend.
        message: how far they are.
        is_new: whether the backend has no ModelServing yet.
    """
    what = "its pods are created" if is_new else "its pods get the new model"
    done = f" ({plan.ready}/{plan.desired} done)" if plan.desired else ""
    counted = f"{what} once the cache is warm{done}"
    rest = "" if not plan.failed else "; not to wait, set cacheWarmup.policy: Background"
    return f"{counted}: {message}{rest}"


def _failures(failed: Sequence[Object], reasons: Sequence[str], namespace: str) -> str:
    told = []
    for job, reason in zip(failed[:MAX_NAMES], reasons, strict=False):
        where = f" on node {job['node']}" if job["node"] else ""
        told.append(f"the download{where} failed: {reason}")
    if len(failed) > MAX_NAMES:
        told.append(f"{len(failed) - MAX_NAMES} more failed")
    names = " ".join(job["metadata"]["name"] for job in failed[:MAX_NAMES])
    after = f"it is tried again {RETRY_SECONDS / 60:.0f} min after the failure"
    return "; ".join([*told, f"{after}; now: kubectl delete job -n {namespace} {names}"])


def failure_reason(job: Object, pods: Iterable[Object]) -> str:
    """Returns why a Job failed, in the words of the downloader if it left any.

    Args:
        job: the record of the Job.
        pods: its pods, as read.
    """
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    for pod in reversed(newest):
        status = as_dict(pod.get("status"))
        for field in ("containerStatuses", "initContainerStatuses"):
            for entry in map(as_dict, as_list(status.get(field))):
                ended = as_dict(as_dict(entry.get("state")).get("terminated"))
                if ended.get("exitCode") not in (None, 0):
                    return shortened(_words(ended), MAX_REASON)
    return shortened(job["message"] or job["reason"] or "the Job failed", MAX_REASON)


def _words(ended: Object) -> str:
    text = str(ended.get("message") or "")
    told = str(failure_in(text) or clean(text))
    return told or f"{ended.get('reason') or 'Error'}, exit code {ended.get('exitCode')}"


def _names(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - MAX_NAMES} more" if len(nodes) > MAX_NAMES else ""
    return ", ".join(nodes[:MAX_NAMES]) + more
