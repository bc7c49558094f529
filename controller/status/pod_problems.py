"""What is wrong with a pod, and what to do about it.

A crashing container cycles through terminated, waiting and running. A failing image pull alternates
between two reasons. A problem is worded so that it stays equal during such a cycle. So a comparison
with the previous problem tells whether there is news.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum

from app.values.meta import Object, is_terminating
from app.values.value import hashable_value
from controller.status.downloads import failure_in, source_of
from controller.status.texts import MAX_DETAIL_LENGTH, clean, shorten

_LOGS = "see kubectl logs -n {namespace} {pod} -c %s"
_EXITS = {134: " (SIGABRT)", 137: " (SIGKILL)", 139: " (SIGSEGV)", 143: " (SIGTERM)"}
_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_NORMAL_REASONS = frozenset({"", "ContainerCreating", "PodInitializing"})
# A failed pull and the back-off after it have the text behind these words in common (since 1.32).
_PULL_NOISE = re.compile(
    r'^Back-off pulling image "[^"]*"(: )?(\w+: )?|rpc error: code = \w+ desc = '
)


class ProblemKind(IntEnum):
    """Kinds of problems; the one that says most about the cause comes first."""

    OUT_OF_MEMORY = 1
    DOWNLOAD = 2
    INIT = 3
    CRASH = 4
    CONFIG = 5
    IMAGE = 6
    START = 7
    EVICTED = 8
    FAILED = 9
    VOLUME = 10
    UNSCHEDULABLE = 11
    NO_SCHEDULER = 12
    NODE = 13


@hashable_value
class PodProblem:
    """What is wrong with a pod.

    Args:
        kind: kind of the problem.
        cause: what is wrong; pods with the same cause have the same problem.
        detail: message of the node, the scheduler or the program; may be empty.
        advice: what to do, with the placeholders ``{namespace}`` and ``{pod}``.
        container: name of the container; empty if the problem is the pod's.
    """

    kind: ProblemKind
    cause: str
    detail: str
    advice: str
    container: str = ""

    @property
    def rank(self) -> tuple[ProblemKind, bool]:
        """Sort key, most important first. The sidecar mostly fails because its engine does."""
        return self.kind, self.container == "runtime"


def problem_of(pod: Object) -> PodProblem | None:
    """Returns the problem of a pod; None if it has none.

    A ready pod has no problem, whatever happened before. Neither has a pod that is being deleted.
    """
    status = pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if is_terminating(pod) or conditions.get("Ready", {}).get("status") == "True":
        return None
    # A problem of the pod explains the problems of its containers.
    found = [*_of_pod(pod, status, conditions)] or [*_of_containers(pod, status)]
    return min(found, key=lambda problem: problem.rank, default=None)


def _of_pod(pod: Object, status: Object, conditions: dict[str, Object]) -> Iterator[PodProblem]:
    phase, reason, message = status.get("phase"), status.get("reason", ""), _message_of(status)
    if phase == "Failed" and reason == "Evicted":
        advice = "give the node room, or request what the pod uses so that others go first"
        yield PodProblem(ProblemKind.EVICTED, "it was evicted from its node", message, advice)
    elif phase == "Failed" and reason:
        advice = "see kubectl describe pod -n {namespace} {pod}"
        yield PodProblem(ProblemKind.FAILED, f"it failed ({reason})", message, advice)
    if phase != "Pending":
        return
    scheduled = conditions.get("PodScheduled")
    scheduler = pod["spec"].get("schedulerName", "default-scheduler")
    if scheduled is None:
        # The default scheduler is always there. A missing one leaves no other trace than this.
        if scheduler != "default-scheduler" and not pod["spec"].get("nodeName"):
            cause = f'no scheduler "{scheduler}" has taken it up'
            yield PodProblem(
                ProblemKind.NO_SCHEDULER, cause, "", "install it, or name another schedulerName"
            )
    elif scheduled.get("status") == "False":
        message, advice = _message_of(scheduled), "add or free such nodes, or ask for less"
        kind = ProblemKind.UNSCHEDULABLE
        if scheduled.get("reason") == "SchedulingGated":
            advice = "see who has put schedulingGates into the pod"
        elif "persistentvolume" in message.lower() or "volume node affinity" in message:
            kind, advice = ProblemKind.VOLUME, "see kubectl get pvc -n {namespace}, and cacheURI"
        yield PodProblem(kind, "it cannot be scheduled", message, advice)
    elif conditions.get("PodReadyToStartContainers", {}).get("status") == "False":
        cause = "its node has not made its volumes and network ready yet"
        advice = "if that lasts, see kubectl describe pod -n {namespace} {pod}"
        yield PodProblem(ProblemKind.NODE, cause, "", advice)


def _of_containers(pod: Object, status: Object) -> Iterator[PodProblem]:
    for field, is_init in (("initContainerStatuses", True), ("containerStatuses", False)):
        for container in status.get(field) or ():
            if not container.get("ready") and (found := _of_container(pod, container, is_init)):
                yield found


def _of_container(pod: Object, container: Object, is_init: bool) -> PodProblem | None:
    name, state = container["name"], container.get("state") or {}
    waiting = state.get("waiting")
    if waiting is not None and waiting.get("reason") != "CrashLoopBackOff":
        return _of_waiting(name, container.get("image", ""), waiting)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended is None and waiting is None:
        return None  # it is running, but not ready yet
    ended = ended or {}
    code = ended.get("exitCode")
    if is_init and code == 0:
        return None
    end = "" if code is None else f" with exit code {code}{_EXITS.get(code, '')}"
    if ended.get("reason") == "OOMKilled":
        advice = "raise resources.limits.memory of the worker, if the node has that much"
        if is_init:
            advice = "raise the memory of the downloaders (setting downloader_resources)"
        return PodProblem(
            ProblemKind.OUT_OF_MEMORY, f"{name} ran out of memory (OOMKilled)", "", advice, name
        )
    message, advice = _message_of(ended), _LOGS % name
    if is_init:
        source = _source(pod, name)
        if source is None:
            return PodProblem(
                ProblemKind.INIT, f"init container {name} failed{end}", message, advice, name
            )
        if failure := failure_in(ended.get("message", "")):
            cause = f"{name} could not fetch {source}"
            step = failure.step or advice
            return PodProblem(ProblemKind.DOWNLOAD, cause, failure.message, step, name)
        advice = f"check the source, its credentials and the way there; {advice}"
        return PodProblem(
            ProblemKind.DOWNLOAD,
            f"{name} could not fetch {source}, it ended{end}",
            message,
            advice,
            name,
        )
    # The restart count would make the problem change with every restart.
    keeps = "keeps ending" if container.get("restartCount", 0) > 1 else "ended"
    return PodProblem(
        ProblemKind.CRASH, f"{name} {keeps}{end}", message, f"{advice} --previous", name
    )


def _of_waiting(name: str, image: str, waiting: Object) -> PodProblem | None:
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _NORMAL_REASONS:
        return None
    if reason in _IMAGE_REASONS:
        message = _PULL_NOISE.sub("", message)
        fault = {
            "InvalidImageName": "is no valid name",
            "ErrImageNeverPull": "is not on the node, and may not be pulled",
        }.get(reason, "cannot be pulled")
        advice = "check the image, its registry, and the pull secrets of the service account"
        cause = f'image "{shorten(image, MAX_DETAIL_LENGTH // 2)}" of {name} {fault}'
        return PodProblem(ProblemKind.IMAGE, cause, clean(message), advice, name)
    if reason == "CreateContainerConfigError":
        advice = "make that in namespace {namespace}, or correct env and envFrom"
        return PodProblem(
            ProblemKind.CONFIG, f"{name} lacks what it refers to", clean(message), advice, name
        )
    advice = "see kubectl describe pod -n {namespace} {pod}"
    return PodProblem(
        ProblemKind.START, f"{name} cannot start ({reason})", clean(message), advice, name
    )


def _source(pod: Object, container: str) -> str | None:
    """Returns the source that a downloader fetches; None if the container is no downloader."""
    templates = pod["spec"].get("initContainers") or ()
    return next((source_of(each) for each in templates if each["name"] == container), None)


def _message_of(part: Object) -> str:
    return clean(part.get("message", ""))
