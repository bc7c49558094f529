"""Records of the Jobs that warm up caches, of their pods, and of the nodes that they are for.

A record is a small object with the same identity: a Job repeats the environment of its backend, and
a node lists all images that it has.
"""

from __future__ import annotations

from typing import Any

from app.apis.kinds import BACKEND_NAME, MODEL_UID
from app.convert.warmup import WARMUP_MODEL, WARMUP_NODE
from app.values.meta import Object, annotations_of, labels_of, owner_references
from app.values.untyped import as_dict, as_list
from controller.status.downloads import ALL_CONTAINERS, download_of
from controller.status.pod_records import pod_record

JOB_NAME = "job-name"
"""Label that Kubernetes gives every pod of a Job: the name of the Job."""

COMPLETE, FAILED, RUNNING = "Complete", "Failed", "Running"
"""Phases of a Job."""

_KEPT = ("namespace", "name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")


def job_record(job: Object) -> Object:
    """Returns the record of a Job: its phase, why it failed and when, and the node it is for."""
    metadata, annotations, labels = job["metadata"], annotations_of(job), labels_of(job)
    status = as_dict(job.get("status"))
    conditions = {c.get("type"): c for c in map(as_dict, as_list(status.get("conditions")))}
    done = next((k for k in (COMPLETE, FAILED) if _is_true(conditions.get(k))), RUNNING)
    why = conditions.get(done, {})
    return {
        "metadata": {
            **{key: metadata[key] for key in _KEPT if key in metadata},
            "labels": {key: labels.get(key, "") for key in (MODEL_UID, BACKEND_NAME)},
            "ownerReferences": [*owner_references(job)],
        },
        "phase": done,
        "reason": str(why.get("reason") or ""),
        "message": str(why.get("message") or ""),
        "ended": str(why.get("lastTransitionTime") or ""),
        "failures": status.get("failed") or 0,
        "model": annotations.get(WARMUP_MODEL, ""),
        "node": annotations.get(WARMUP_NODE, ""),
    }


def job_facts(record: Object) -> Any:
    """Returns what a pass reads of a Job that can change."""
    return record["phase"], bool(record["failures"]), "deletionTimestamp" in record["metadata"]


def warmup_pod_record(pod: Object, job: Object | None, before: Object | None = None) -> Object:
    """Returns the record of a pod of a Job: only its download counts.

    Its labels are those of the Job, because the template of the Job has no uid of the ModelBooster.
    What has failed, the Job tells: each attempt is a pod of its own.

    Args:
        pod: the pod as read.
        job: the record of its Job; None if the Job is not known or not ours. Then the record
            belongs to no ModelBooster.
        before: the previous record of the pod.
    """
    record = pod_record(pod)
    labels = job["metadata"]["labels"] if job else {MODEL_UID: "", BACKEND_NAME: ""}
    download = download_of(pod, before["download"] if before else None, ALL_CONTAINERS)
    return {
        **record,
        "metadata": {**record["metadata"], "labels": dict(labels)},
        "problem": None,
        "ready": False,
        "download": download if download is not None and download.is_running else None,
    }


def node_record(node: Object) -> Object:
    """Returns the record of a node: what decides whether a pod can be scheduled to it."""
    metadata, spec = node["metadata"], as_dict(node.get("spec"))
    return {
        "metadata": {
            **{key: metadata[key] for key in ("name", "uid", "resourceVersion")},
            "labels": labels_of(node),
        },
        "unschedulable": spec.get("unschedulable") is True,
        "taints": [
            {key: taint.get(key, "") for key in ("key", "value", "effect")}
            for taint in map(as_dict, as_list(spec.get("taints")))
            if taint.get("effect") in ("NoSchedule", "NoExecute")
        ],
    }


def node_facts(record: Object) -> Any:
    """Returns what can change of a node, apart from its heartbeats."""
    taints = sorted(tuple(taint.values()) for taint in record["taints"])
    return (
        record["unschedulable"],
        tuple(taints),
        tuple(sorted(record["metadata"]["labels"].items())),
    )


def _is_true(condition: Object | None) -> bool:
    return condition is not None and condition.get("status") == "True"
