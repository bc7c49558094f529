"""The pods of ModelBoosters: what is kept of each, and what is said of several at once.

They tell why a backend is not ready, never whether it is: that is for its ModelServing to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from sys import intern

from app.apis.kinds import BACKEND_NAME, MODEL_UID
from app.values.meta import Object, Resource, key_of, labels_of
from controller.status.pod_problems import PodProblem, ProblemKind, problem_of, shorten

POD = Resource("", "v1", "pods", "Pod")

MAX_SUMMARY_LENGTH = 512
"""Longest message of a backend."""

_MIN_DETAIL_LENGTH = 20
"""Fewer characters of what others say would say nothing."""


def pod_record(pod: Object, before: Object | None = None) -> Object:
    """Returns the record of a pod.

    Args:
        pod: the pod as the server tells it.
        before: its record so far. Servers before 1.32 say only between two pauses why an image
            cannot be pulled; what they said once is kept for the pauses.
    """
    metadata, labels, trouble = pod["metadata"], labels_of(pod), problem_of(pod)
    if trouble is not None and trouble.kind is ProblemKind.IMAGE and not trouble.words:
        old = recorded_problem(before)
        if old is not None and replace(old, words="") == trouble:
            trouble = old
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
        "trouble": trouble,
    }


def recorded_problem(record: Object | None) -> PodProblem | None:
    """Returns what is wrong with a pod, None if nothing is or there is no such pod."""
    return None if record is None else record["trouble"]


def booster_uid(record: Object) -> str:
    """Returns the uid of the ModelBooster that a pod says it is of."""
    uid: str = record["metadata"]["labels"][MODEL_UID]
    return uid


def backend_name(record: Object) -> str:
    """Returns the name of the backend that a pod says it is of."""
    name: str = record["metadata"]["labels"][BACKEND_NAME]
    return name


def problem_summary(records: Iterable[Object], room: int = MAX_SUMMARY_LENGTH) -> str:
    """Returns the most telling trouble of some pods in a sentence, ``""`` if there is none.

    Args:
        records: of the pods of one backend.
        room: how long the sentence may be.
    """
    groups: dict[tuple[ProblemKind, bool, str], list[Object]] = {}
    for record in records:
        if trouble := recorded_problem(record):
            groups.setdefault((*trouble.rank, trouble.cause), []).append(record)
    if not groups:
        return ""
    _, pods = min(groups.items(), key=lambda item: (item[0][:2], -len(item[1]), item[0][2]))
    first = min(pods, key=key_of)  # the same one as long as it is there
    (namespace, name), told = key_of(first), first["trouble"]
    more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
    begin = f"pod {name}{more}: {told.cause}"
    end = "; " + told.advice.replace("{namespace}", namespace).replace("{pod}", name)
    left = room - len(begin) - len(end) - len(": ")
    words = f": {shorten(told.words, left)}" if told.words and left >= _MIN_DETAIL_LENGTH else ""
    return shorten(begin + words + end, room)
