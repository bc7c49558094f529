"""What is wrong with a pod, and the next thing to do about it.

A container that crashes goes round from terminated to waiting to running and back, and a pull that
fails takes turns between two reasons. A trouble is worded so that it stays the same all the way
round: whoever compares what a pod had with what it has learns whether there is anything new to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from app.values.meta import Object, is_terminating

_MAX_WORDS = 240
"""So much is kept of what others say, and half of it of a name: a pod's author may write much."""

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
_USUAL_REASONS = frozenset({"", "ContainerCreating", "PodInitializing"})
# Behind these words stands what a failed pull and the pause after it have in common (since 1.32).
_PULL_NOISE = re.compile(
    r'^Back-off pulling image "[^"]*"(: )?(\w+: )?|rpc error: code = \w+ desc = '
)


class ProblemKind(IntEnum):
    """What can be wrong with a pod; what tells most about the cause comes first."""

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


@dataclass(frozen=True, slots=True)
class PodProblem:
    """What is wrong with a pod.

    Args:
        kind: which sort of trouble.
        cause: what is wrong; two pods of which this is the same have the same trouble.
        words: what the node, the scheduler or the program itself says about it; may be empty.
        advice: the next thing to do, with ``{namespace}`` and ``{pod}`` where those are named.
        container: which one is concerned; empty if the whole pod is.
    """

    kind: ProblemKind
    cause: str
    words: str
    advice: str
    container: str = ""

    @property
    def rank(self) -> tuple[ProblemKind, bool]:
        """Less for what tells more; the sidecar mostly suffers from what its engine has."""
        return self.kind, self.container == "runtime"


def problem_of(pod: Object) -> PodProblem | None:
    """Returns what is wrong with a pod, None if nothing is.

    A pod that is ready has no trouble, whatever happened before; one that is going has none either.
    """
    status = pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if is_terminating(pod) or conditions.get("Ready", {}).get("status") == "True":
        return None
    # What happened to the pod as a whole explains what became of its containers.
    found = [*_of_pod(pod, status, conditions)] or [*_of_containers(pod, status)]
    return min(found, key=lambda trouble: trouble.rank, default=None)


def _of_pod(pod: Object, status: Object, conditions: dict[str, Object]) -> Iterator[PodProblem]:
    phase, reason, said = status.get("phase"), status.get("reason", ""), _said(status)
    if phase == "Failed" and reason == "Evicted":
        advice = "give the node room, or request what the pod uses so that others go first"
        yield PodProblem(ProblemKind.EVICTED, "it was evicted from its node", said, advice)
    elif phase == "Failed" and reason:
        advice = "see kubectl describe pod -n {namespace} {pod}"
        yield PodProblem(ProblemKind.FAILED, f"it failed ({reason})", said, advice)
    if phase != "Pending":
        return
    scheduled = conditions.get("PodScheduled")
    scheduler = pod["spec"].get("schedulerName", "default-scheduler")
    if scheduled is None:
        # The usual scheduler is there; of another one this may be all that is ever seen.
        if scheduler != "default-scheduler" and not pod["spec"].get("nodeName"):
            cause = f'no scheduler "{scheduler}" has taken it up'
            yield PodProblem(
                ProblemKind.NO_SCHEDULER, cause, "", "install it, or name another schedulerName"
            )
    elif scheduled.get("status") == "False":
        said, advice = _said(scheduled), "add or free such nodes, or ask for less"
        kind = ProblemKind.UNSCHEDULABLE
        if scheduled.get("reason") == "SchedulingGated":
            advice = "see who has put schedulingGates into the pod"
        elif "persistentvolume" in said.lower() or "volume node affinity" in said:
            kind, advice = ProblemKind.VOLUME, "see kubectl get pvc -n {namespace}, and cacheURI"
        yield PodProblem(kind, "it cannot be scheduled", said, advice)
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
        return None  # it runs, and is not ready yet
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
    said, advice = _said(ended), _LOGS % name
    if is_init:
        source = _source(pod, name)
        if source is None:
            return PodProblem(
                ProblemKind.INIT, f"init container {name} failed{end}", said, advice, name
            )
        advice = f"check the source, its credentials and the way there; {advice}"
        return PodProblem(
            ProblemKind.DOWNLOAD,
            f"{name} could not fetch {source}, it ended{end}",
            said,
            advice,
            name,
        )
    # Whether it keeps doing so is told once: the count itself would be news at every turn.
    keeps = "keeps ending" if container.get("restartCount", 0) > 1 else "ended"
    return PodProblem(ProblemKind.CRASH, f"{name} {keeps}{end}", said, f"{advice} --previous", name)


def _of_waiting(name: str, image: str, waiting: Object) -> PodProblem | None:
    reason, said = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _USUAL_REASONS:
        return None
    if reason in _IMAGE_REASONS:
        said = _PULL_NOISE.sub("", said)
        fault = {
            "InvalidImageName": "is no valid name",
            "ErrImageNeverPull": "is not on the node, and may not be pulled",
        }.get(reason, "cannot be pulled")
        advice = "check the image, its registry, and the pull secrets of the service account"
        cause = f'image "{shorten(image, _MAX_WORDS // 2)}" of {name} {fault}'
        return PodProblem(ProblemKind.IMAGE, cause, _clean(said), advice, name)
    if reason == "CreateContainerConfigError":
        advice = "make that in namespace {namespace}, or correct env and envFrom"
        return PodProblem(
            ProblemKind.CONFIG, f"{name} lacks what it refers to", _clean(said), advice, name
        )
    advice = "see kubectl describe pod -n {namespace} {pod}"
    return PodProblem(
        ProblemKind.START, f"{name} cannot start ({reason})", _clean(said), advice, name
    )


def _source(pod: Object, container: str) -> str | None:
    """Returns what a downloader was told to fetch; None if the container is no downloader."""
    for template in pod["spec"].get("initContainers") or ():
        args = template.get("args") or []
        if template["name"] == container and "--source" in args[:-1]:
            return shorten(args[args.index("--source") + 1], _MAX_WORDS // 2)
    return None


def _said(part: Object) -> str:
    return _clean(part.get("message", ""))


def _clean(text: str) -> str:
    """Makes one short line of what may be many, and may hold anything."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shorten(line.rstrip(" .;"), _MAX_WORDS)


def shorten(text: str, room: int) -> str:
    """Leaves out the middle of what is too long: what went wrong mostly stands at the end."""
    if len(text) <= room:
        return text
    head = (room - 5) // 3
    return f"{text[:head]} ... {text[len(text) - (room - 5 - head) :]}"
