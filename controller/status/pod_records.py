"""Records of pods, and the message about the problems of several pods.

Pods explain why a backend is not ready. Whether it is ready is up to its ModelServing; a backend
whose pods are all unready gets no requests (``controller.status.availability``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from sys import intern
from typing import Any

from app.apis.kinds import BACKEND_NAME, GROUP_NAME, MODEL_UID, POD_SERVER, ROLE
from app.cache.records import Record
from app.values.meta import Object, Resource, annotations_of, is_terminating, key_of, labels_of
from controller.status.downloads import download_of
from controller.status.pod_problems import PodProblem, ProblemKind, problem_of
from controller.status.texts import shorten

POD = Resource("", "v1", "pods", "Pod")

MAX_SUMMARY_LENGTH = 512
"""Longest message of a backend, in characters."""

_PAIRED_ROLES = ("prefill", "decode")

_FACTS = ("problem", "download", "ready", "role", "created", "server", "group")
"""The fields of a record besides its metadata."""

_MIN_DETAIL_LENGTH = 20
"""Shortest detail worth adding to a message, in characters."""


def pod_record(pod: Object, before: Object | None = None) -> Object:
    """Returns the record of a pod, a small object with the same identity.

    Args:
        pod: the pod as read.
        before: its previous record. Before Kubernetes 1.32, the status tells why an image cannot be
            pulled only between two back-offs. The record keeps the reason during back-offs. It
            also keeps how far a download is.
    """
    metadata, labels, problem = pod["metadata"], labels_of(pod), problem_of(pod)
    if problem is not None and problem.kind is ProblemKind.IMAGE and not problem.detail:
        old = recorded_problem(before)
        if old is not None and replace(old, detail="") == problem:
            problem = old
    return {
        "metadata": {
            "namespace": intern(metadata.get("namespace", "")),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "labels": {
                MODEL_UID: intern(labels.get(MODEL_UID, "")),
                BACKEND_NAME: intern(labels.get(BACKEND_NAME, "")),
            },
        },
        "problem": problem,
        "download": download_of(pod, before["download"] if before else None),
        "ready": is_ready(pod),
        # Prefill and decode of one replica belong together.
        "role": intern(labels.get(ROLE, "")),
        "created": intern(metadata.get("creationTimestamp") or ""),
        "server": annotations_of(pod).get(POD_SERVER, ""),
        "group": labels.get(GROUP_NAME, "") if labels.get(ROLE) in _PAIRED_ROLES else "",
    }


def pod_facts(record: Object) -> tuple[Any, ...]:
    """Returns the values of a record without its identity: the dicts take five times the memory."""
    labels = record["metadata"]["labels"]
    return (labels[MODEL_UID], labels[BACKEND_NAME], *(record[name] for name in _FACTS))


def restore_pod(stored: Record) -> Object:
    """Returns the record of a pod of what a store keeps of it."""
    model_uid, backend, *facts = stored.facts
    namespace, name = stored.key
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": stored.uid,
            "resourceVersion": stored.version,
            "labels": {MODEL_UID: model_uid, BACKEND_NAME: backend},
        },
        **dict(zip(_FACTS, facts, strict=True)),
    }


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready and stays; the router sends requests to such pods only."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_so = any(c["type"] == "Ready" and c.get("status") == "True" for c in conditions)
    return is_so and not is_terminating(pod)


def recorded_problem(record: Object | None) -> PodProblem | None:
    """Returns the problem of a pod; None if it has none, or without a record."""
    return None if record is None else record["problem"]


def booster_uid(record: Object) -> str:
    """Returns the uid of the ModelBooster in the labels of a pod."""
    uid: str = record["metadata"]["labels"][MODEL_UID]
    return uid


def backend_name(record: Object) -> str:
    """Returns the name of the backend in the labels of a pod."""
    name: str = record["metadata"]["labels"][BACKEND_NAME]
    return name


def problem_summary(records: Iterable[Object], max_length: int = MAX_SUMMARY_LENGTH) -> str:
    """Returns a sentence about the most important problem of some pods; ``""`` if none has one.

    Args:
        records: the records of the pods of one backend.
        max_length: longest sentence, in characters.
    """
    groups: dict[tuple[ProblemKind, bool, str], list[Object]] = {}
    for record in records:
        if problem := recorded_problem(record):
            groups.setdefault((*problem.rank, problem.cause), []).append(record)
    if not groups:
        return ""
    _, pods = min(groups.items(), key=lambda item: (item[0][:2], -len(item[1]), item[0][2]))
    first = min(pods, key=key_of)  # stable while that pod exists
    (namespace, name), problem = key_of(first), first["problem"]
    more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
    begin = f"pod {name}{more}: {problem.cause}"
    end = "; " + problem.advice.replace("{namespace}", namespace).replace("{pod}", name)
    left = max_length - len(begin) - len(end) - len(": ")
    words = (
        f": {shorten(problem.detail, left)}"
        if problem.detail and left >= _MIN_DETAIL_LENGTH
        else ""
    )
    return shorten(begin + words + end, max_length)
