"""What a pod does, and what is wrong with it, from its status, its Events and its logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.values.meta import Object, is_terminating
from app.values.untyped import as_dict, as_list
from controller.status.downloads import Failure, download_of
from controller.status.pod_problems import PodProblem, ProblemKind, problem_of
from controller.status.pod_records import is_ready
from modelbooster.observe.explanation import Explanation
from modelbooster.observe.pods.crashes import explain_crash
from modelbooster.observe.pods.downloads import (
    last_error,
    progress_in,
    refusal_in,
)
from modelbooster.observe.pods.images import explain_image
from modelbooster.observe.pods.progress import Progress, stored_progress
from modelbooster.observe.pods.scheduling import explain_unschedulable

_FROM_LOG = {ProblemKind.DOWNLOAD, ProblemKind.INIT, ProblemKind.CRASH}


class LogRef(NamedTuple):
    """A log that tells more about a pod.

    Args:
        container: name of the container.
        previous: whether it is the log of the instance before the running one.
    """

    container: str
    previous: bool = False


Logs = Mapping[LogRef, str]
"""The last lines of containers of one pod."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a pod does.

    Args:
        pod: the pod.
        phase: a word or two, as in the STATUS column of kubectl.
        ready: ready containers and all of them, ``1/2``.
        is_ready: whether it gets requests.
        problem: what is wrong; None if nothing is.
        kind: kind of the problem.
        downloads: progress of its downloaders by name of the container.
    """

    pod: Object
    phase: str
    ready: str
    is_ready: bool
    problem: Explanation | None
    kind: ProblemKind | None
    downloads: Mapping[str, Progress]

    @property
    def name(self) -> str:
        """The name of the pod."""
        return str(self.pod["metadata"]["name"])


def logs_wanted(pod: Object, *, is_told: bool = False) -> list[LogRef]:
    """Returns the logs that tell more about a pod; none if its status says everything.

    Args:
        pod: the pod.
        is_told: whether the status of its ModelBooster tells how far its download is.
    """
    wanted = []
    problem = None if _own_failure(pod) else problem_of(pod)
    statuses = {str(s.get("name")): s for s in _statuses(pod)}
    if problem is not None and problem.kind in _FROM_LOG:
        state = as_dict(statuses.get(problem.container, {}).get("state"))
        wanted.append(LogRef(problem.container, previous="running" in state))
    for name in _downloaders(pod):
        if not is_told and "running" in as_dict(statuses.get(name, {}).get("state")):
            wanted.append(LogRef(name))
    return wanted


def _own_failure(pod: Object) -> Failure | None:
    """Returns why our downloader has failed in a pod; None if it has not, or is not ours."""
    download = download_of(pod)
    failure = None if download is None or download.is_running else download.failure
    return failure if failure is not None and failure.reason else None


def report_pod(
    pod: Object,
    logs: Logs | None = None,
    events: Sequence[Object] = (),
    stored: Object | None = None,
) -> PodReport:
    """Returns what a pod does and what is wrong with it.

    Args:
        pod: the pod.
        logs: those of ``logs_wanted`` that could be read.
        events: its Warning Events, the newest first.
        stored: what the status of its ModelBooster says of its download; None if nothing.
    """
    given = logs or {}
    found = problem_of(pod)
    problem = None if found is None else _explained(pod, found, given, events)
    downloads = {}
    for name in _downloaders(pod):
        if (progress := progress_in(given.get(LogRef(name), ""))) is not None:
            downloads[name] = progress
    running = download_of(pod)
    if stored and running is not None and running.is_running:
        downloads.setdefault(running.container, stored_progress(stored))
    containers = as_list(as_dict(pod.get("status")).get("containerStatuses"))
    ready = sum(as_dict(container).get("ready") is True for container in containers)
    return PodReport(
        pod=pod,
        phase=_phase(pod, found),
        ready=f"{ready}/{len(as_list(as_dict(pod.get('spec')).get('containers')))}",
        is_ready=is_ready(pod),
        problem=problem,
        kind=None if found is None else found.kind,
        downloads=downloads,
    )


def _explained(
    pod: Object, problem: PodProblem, logs: Logs, events: Sequence[Object]
) -> Explanation:
    advice = problem.advice.replace("{namespace}", pod["metadata"].get("namespace", ""))
    advice = advice.replace("{pod}", pod["metadata"]["name"])
    detail = problem.detail
    log = next((text for ref, text in logs.items() if ref.container == problem.container), "")
    match problem.kind:
        case ProblemKind.UNSCHEDULABLE | ProblemKind.VOLUME if detail:
            return explain_unschedulable(pod, _scheduler_message(pod) or detail)
        case ProblemKind.IMAGE:
            namespace = pod["metadata"].get("namespace", "")
            if image := explain_image(problem.cause, detail, namespace):
                return image
        case ProblemKind.DOWNLOAD if own := _own_failure(pod):
            return Explanation(f"{problem.cause}: {own.message}", own.step or advice)
        case ProblemKind.DOWNLOAD:
            source = source_of(pod, problem.container)
            refusal = refusal_in(f"{detail}\n{log}", source)
            begin = f"{problem.container} could not fetch {source}"
            if refusal is not None:
                return Explanation(f"{begin}: {refusal.why}", refusal.todo)
            words = last_error(log) or detail
            return Explanation(f"{problem.cause}: {words}" if words else problem.cause, advice)
        case ProblemKind.CRASH | ProblemKind.INIT:
            crash = explain_crash(log or detail)
            if crash is not None:
                return Explanation(f"{problem.cause}; {crash.why}", crash.todo or advice)
        case ProblemKind.NODE | ProblemKind.START:
            # Only Events tell which volume cannot be mounted.
            detail = detail or next((str(e.get("message", "")) for e in events), "")
    return Explanation(f"{problem.cause}: {detail}" if detail else problem.cause, advice)


def source_of(pod: Object, container: str) -> str:
    """Returns the source that a downloader fetches; ``""`` if the container is no downloader."""
    for template in as_list(as_dict(pod.get("spec")).get("initContainers")):
        args = as_list(as_dict(template).get("args"))
        if template.get("name") == container and "--source" in args[:-1]:
            return str(args[args.index("--source") + 1])
    return ""


def _downloaders(pod: Object) -> Iterator[str]:
    for template in as_list(as_dict(pod.get("spec")).get("initContainers")):
        name = str(as_dict(template).get("name"))
        if source_of(pod, name):
            yield name


def _statuses(pod: Object) -> Iterator[Object]:
    status = as_dict(pod.get("status"))
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from map(as_dict, as_list(status.get(field)))


def _scheduler_message(pod: Object) -> str:
    """Returns the whole message of the scheduler; a problem has only its beginning and end."""
    for condition in map(as_dict, as_list(as_dict(pod.get("status")).get("conditions"))):
        if condition.get("type") == "PodScheduled":
            return str(condition.get("message") or "")
    return ""


def _phase(pod: Object, problem: PodProblem | None) -> str:
    """Returns what the pod does now, close to the STATUS of ``kubectl get pods``."""
    status = as_dict(pod.get("status"))
    if is_terminating(pod):
        return "Terminating"
    if problem is not None:
        return _PHASES[problem.kind]
    init = {
        str(s.get("name")): s for s in map(as_dict, as_list(status.get("initContainerStatuses")))
    }
    for name in _downloaders(pod):
        if "running" in as_dict(init.get(name, {}).get("state")):
            return "Downloading"
    if status.get("phase") == "Running" and not is_ready(pod):
        return "Starting"
    return str(status.get("phase") or "Unknown")


_PHASES = {
    ProblemKind.OUT_OF_MEMORY: "OOMKilled",
    ProblemKind.DOWNLOAD: "DownloadFailed",
    ProblemKind.INIT: "InitFailed",
    ProblemKind.CRASH: "Crashed",
    ProblemKind.CONFIG: "ConfigError",
    ProblemKind.IMAGE: "ImageError",
    ProblemKind.START: "StartError",
    ProblemKind.EVICTED: "Evicted",
    ProblemKind.FAILED: "Failed",
    ProblemKind.VOLUME: "Unschedulable",
    ProblemKind.UNSCHEDULABLE: "Unschedulable",
    ProblemKind.NO_SCHEDULER: "NoScheduler",
    ProblemKind.NODE: "NodePreparing",
}
