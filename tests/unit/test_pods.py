"""Problems of pods, by the statuses that kubelets and schedulers write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import BACKEND_NAME, MANAGED_BY, MODEL_UID, WORKLOAD
from app.values.meta import Object
from controller.status.pod_problems import PodProblem, ProblemKind, problem_of
from controller.status.pod_records import (
    MAX_SUMMARY_LENGTH,
    backend_name,
    booster_uid,
    pod_record,
    problem_summary,
    recorded_problem,
)
from controller.status.readiness import backend_reports
from tests.builders import backend, model

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

IMAGE = "vllm/vllm-openai:v99"
RPC = "rpc error: code = NotFound desc = "
PULL = f'failed to pull and unpack image "docker.io/{IMAGE}": docker.io/{IMAGE}: not found'
NODES = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available"
)
CLAIM = '0/1 nodes are available: persistentvolumeclaim "models" not found. not eligible'
NOT_READY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
SCHEDULED = {"type": "PodScheduled", "status": "True"}
SANDBOX = {"type": "PodReadyToStartContainers", "status": "True"}


def pod(
    *containers: Object,
    init: tuple[Object, ...] = (),
    conditions: tuple[Object, ...] = (SANDBOX, NOT_READY, SCHEDULED),
    name: str = "m-b1-0-leader-0-0",
    version: str = "1",
    scheduler: str = "default-scheduler",
    **status: Any,
) -> Object:
    """Returns a pod as read; pending by default."""
    labels = {MODEL_UID: "uid-of-m", BACKEND_NAME: "b1", MANAGED_BY: WORKLOAD, "other": "x"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": version,
            "labels": labels,
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {
            "schedulerName": scheduler,
            "initContainers": [
                {
                    "name": "model-downloader",
                    "args": ["--source", "hf://a/b", "--output-dir", "/x"],
                },
                {"name": "prepare", "args": ["--source"]},
                {"name": "wait"},
            ],
            "containers": [{"name": "runtime"}, {"name": "engine"}],
        },
        "status": {
            "phase": "Pending",
            "conditions": [*conditions],
            "initContainerStatuses": [*init],
            "containerStatuses": [*containers],
            **status,
        },
    }


def container(name: str = "engine", *, ready: bool = False, restarts: int = 0, **of: Any) -> Object:
    return {"name": name, "image": IMAGE, "ready": ready, "restartCount": restarts, **of}


def waiting(reason: str, message: str | None = None) -> Object:
    said = {} if message is None else {"message": message}
    return {"state": {"waiting": {"reason": reason, **said}}}


def ended(code: int, reason: str = "Error", message: str = "") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


RUNS: Object = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
BACK_OFF = waiting("CrashLoopBackOff", "back-off 2m40s restarting failed container=engine pod=m")


def crashed(code: int, reason: str = "Error", message: str = "", **of: Any) -> Object:
    """Returns a container in CrashLoopBackOff."""
    return container(restarts=3, **BACK_OFF, lastState=ended(code, reason, message), **of)


WELL = [
    pytest.param(pod(conditions=()), id="just made"),
    pytest.param(pod(container(**waiting("ContainerCreating"))), id="starting"),
    pytest.param(
        pod(container(**waiting("PodInitializing")), init=(container("wait", state=RUNS),)),
        id="downloading",
    ),
    pytest.param(pod(container(state=RUNS), phase="Running"), id="loading the model"),
    pytest.param(
        pod(container(**waiting("PodInitializing"), lastState=ended(255, "Unknown"))),
        id="restarting after its node",
    ),
    pytest.param(
        pod(init=(container("wait", ready=True, state=ended(0), lastState=ended(1)),)),
        id="init container that succeeded at the second try",
    ),
    pytest.param(
        pod(
            container(ready=True, restarts=9, state=RUNS, lastState=ended(1)),
            conditions=({"type": "Ready", "status": "True"},),
            phase="Running",
        ),
        id="ready after many crashes",
    ),
    pytest.param(
        pod(
            container(state=RUNS),
            container("runtime", ready=True, restarts=9, state=RUNS, lastState=ended(1)),
        ),
        id="the container that crashed is ready, another one not yet",
    ),
]


@pytest.mark.parametrize("obj", WELL)
def test_a_pod_without_problem(obj: Object) -> None:
    assert problem_of(obj) is None


def test_a_terminating_pod_has_no_problem() -> None:
    obj = pod(crashed(1))
    assert problem_of(obj) is not None
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert problem_of(obj) is None


LOG = "see kubectl logs -n ns m-b1-0-leader-0-0 -c"
DESCRIBE = "see kubectl describe pod -n ns m-b1-0-leader-0-0"
CHECK = "check the image, its registry, and the pull secrets of the service account"
FETCH = "check the source, its credentials and the way there; " + LOG
PENDING = {"type": "PodScheduled", "status": "False"}


@pytest.mark.parametrize(
    ("obj", "kind", "want"),
    [
        pytest.param(
            pod(container(**waiting("ErrImagePull", RPC + PULL))),
            ProblemKind.IMAGE,
            f'image "{IMAGE}" of engine cannot be pulled: {PULL}; {CHECK}',
            id="pull failed",
        ),
        pytest.param(
            pod(
                container(
                    **waiting(
                        "ImagePullBackOff",
                        f'Back-off pulling image "{IMAGE}": ErrImagePull: {RPC}{PULL}',
                    )
                )
            ),
            ProblemKind.IMAGE,
            f'image "{IMAGE}" of engine cannot be pulled: {PULL}; {CHECK}',
            id="back-off",
        ),
        pytest.param(
            pod(container(**waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'))),
            ProblemKind.IMAGE,
            f'image "{IMAGE}" of engine cannot be pulled; {CHECK}',
            id="back-off before 1.32",
        ),
        pytest.param(
            pod(
                container(
                    **waiting(
                        "InvalidImageName", 'couldn\'t parse image name "a b": invalid format'
                    )
                )
            ),
            ProblemKind.IMAGE,
            f'image "{IMAGE}" of engine is no valid name: couldn\'t parse image name "a b": '
            f"invalid format; {CHECK}",
            id="name of an image",
        ),
        pytest.param(
            pod(init=(container("model-downloader", **waiting("ErrImageNeverPull")),)),
            ProblemKind.IMAGE,
            f'image "{IMAGE}" of model-downloader is not on the node, and may not be pulled; '
            f"{CHECK}",
            id="image that may not be pulled",
        ),
        pytest.param(
            pod(crashed(1, message="Traceback:\n  ...\nValueError: no GPU\n"), phase="Running"),
            ProblemKind.CRASH,
            "engine keeps ending with exit code 1: Traceback: ... ValueError: no GPU; "
            f"{LOG} engine --previous",
            id="crash loop",
        ),
        pytest.param(
            pod(container(state=ended(2))),
            ProblemKind.CRASH,
            f"engine ended with exit code 2; {LOG} engine --previous",
            id="first crash",
        ),
        pytest.param(
            pod(container(restarts=1, state=RUNS, lastState=ended(2))),
            ProblemKind.CRASH,
            f"engine ended with exit code 2; {LOG} engine --previous",
            id="running again",
        ),
        pytest.param(
            pod(container(restarts=2, state=RUNS, lastState=ended(2))),
            ProblemKind.CRASH,
            f"engine keeps ending with exit code 2; {LOG} engine --previous",
            id="running again for the second time",
        ),
        pytest.param(
            pod(crashed(137)),
            ProblemKind.CRASH,
            f"engine keeps ending with exit code 137 (SIGKILL); {LOG} engine --previous",
            id="killed, but not for its memory",
        ),
        pytest.param(
            pod(crashed(0, "Completed")),
            ProblemKind.CRASH,
            f"engine keeps ending with exit code 0; {LOG} engine --previous",
            id="exits with code 0",
        ),
        pytest.param(
            pod(container(restarts=3, **BACK_OFF)),
            ProblemKind.CRASH,
            f"engine keeps ending; {LOG} engine --previous",
            id="unknown exit code",
        ),
        pytest.param(
            pod(crashed(137, "OOMKilled")),
            ProblemKind.OUT_OF_MEMORY,
            "engine ran out of memory (OOMKilled); "
            "raise resources.limits.memory of the worker, if the node has that much",
            id="out of memory",
        ),
        pytest.param(
            pod(init=(container("model-downloader", state=ended(137, "OOMKilled")),)),
            ProblemKind.OUT_OF_MEMORY,
            "model-downloader ran out of memory (OOMKilled); "
            "raise the memory of the downloaders (setting downloader_resources)",
            id="downloader out of memory",
        ),
        pytest.param(
            pod(
                container(**waiting("PodInitializing")),
                init=(container("model-downloader", state=ended(1, message="401: hf://a/b")),),
            ),
            ProblemKind.DOWNLOAD,
            "model-downloader could not fetch hf://a/b, it ended with exit code 1: 401: hf://a/b; "
            f"{FETCH} model-downloader",
            id="download failed",
        ),
        pytest.param(
            pod(init=(container("model-downloader", state=RUNS, lastState=ended(1)),)),
            ProblemKind.DOWNLOAD,
            "model-downloader could not fetch hf://a/b, it ended with exit code 1; "
            f"{FETCH} model-downloader",
            id="download retry",
        ),
        pytest.param(
            pod(init=(container("prepare", **BACK_OFF, lastState=ended(3)),)),
            ProblemKind.INIT,
            f"init container prepare failed with exit code 3; {LOG} prepare",
            id="an init container that fetches nothing",
        ),
        pytest.param(
            pod(container(**waiting("CreateContainerConfigError", 'secret "hf-token" not found'))),
            ProblemKind.CONFIG,
            'engine lacks what it refers to: secret "hf-token" not found; '
            "make that in namespace ns, or correct env and envFrom",
            id="missing Secret",
        ),
        pytest.param(
            pod(container(**waiting("RunContainerError", "no such device: nvidia0."))),
            ProblemKind.START,
            f"engine cannot start (RunContainerError): no such device: nvidia0; {DESCRIBE}",
            id="an unknown reason",
        ),
        pytest.param(
            pod(
                container(state=ended(137)),
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: memory.",
            ),
            ProblemKind.EVICTED,
            "it was evicted from its node: The node was low on resource: memory; "
            "give the node room, or request what the pod uses so that others go first",
            id="evicted, containers killed",
        ),
        pytest.param(
            pod(phase="Failed", reason="UnexpectedAdmissionError", message="Pod was rejected"),
            ProblemKind.FAILED,
            f"it failed (UnexpectedAdmissionError): Pod was rejected; {DESCRIBE}",
            id="refused by its node",
        ),
        pytest.param(
            pod(conditions=({**PENDING, "reason": "Unschedulable", "message": NODES + "."},)),
            ProblemKind.UNSCHEDULABLE,
            f"it cannot be scheduled: {NODES}; add or free such nodes, or ask for less",
            id="unschedulable",
        ),
        pytest.param(
            pod(conditions=({**PENDING, "reason": "SchedulingGated", "message": "gates"},)),
            ProblemKind.UNSCHEDULABLE,
            "it cannot be scheduled: gates; see who has put schedulingGates into the pod",
            id="gated",
        ),
        pytest.param(
            pod(conditions=({**PENDING, "reason": "Unschedulable", "message": CLAIM},)),
            ProblemKind.VOLUME,
            f"it cannot be scheduled: {CLAIM}; see kubectl get pvc -n ns, and cacheURI",
            id="pending volume",
        ),
        pytest.param(
            pod(conditions=(), scheduler="volcano"),
            ProblemKind.NO_SCHEDULER,
            'no scheduler "volcano" has taken it up; install it, or name another schedulerName',
            id="a scheduler that may not be installed",
        ),
        pytest.param(
            pod(conditions=(SCHEDULED, {**SANDBOX, "status": "False"})),
            ProblemKind.NODE,
            "its node has not made its volumes and network ready yet; if that lasts, " + DESCRIBE,
            id="volumes that are not mounted",
        ),
        pytest.param(
            pod(container("runtime", **waiting("CrashLoopBackOff")), crashed(1)),
            ProblemKind.CRASH,
            f"engine keeps ending with exit code 1; {LOG} engine --previous",
            id="engine and sidecar",
        ),
        pytest.param(
            pod(container("a", **waiting("ErrImagePull")), crashed(1)),
            ProblemKind.CRASH,
            f"engine keeps ending with exit code 1; {LOG} engine --previous",
            id="the most important problem first",
        ),
    ],
)
def test_problem(obj: Object, kind: ProblemKind, want: str) -> None:
    problem = problem_of(obj)
    assert problem is not None
    assert problem.kind is kind
    assert problem_summary([pod_record(obj)]) == f"pod m-b1-0-leader-0-0: {want}"


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_every_kind_of_problem_is_documented(kind: ProblemKind) -> None:
    section = PAGE.split("## Pods")[1].split("\n## ")[0]
    word = {
        ProblemKind.OUT_OF_MEMORY: "ran out of memory",
        ProblemKind.DOWNLOAD: "could not fetch",
        ProblemKind.INIT: "init container",
        ProblemKind.CRASH: "keeps ending",
        ProblemKind.CONFIG: "lacks what it refers to",
        ProblemKind.IMAGE: "cannot be pulled",
        ProblemKind.START: "cannot start",
        ProblemKind.EVICTED: "was evicted",
        ProblemKind.FAILED: "it failed",
        ProblemKind.VOLUME: "persistentvolumeclaim",
        ProblemKind.UNSCHEDULABLE: "cannot be scheduled",
        ProblemKind.NO_SCHEDULER: "has taken it up",
        ProblemKind.NODE: "volumes and network",
    }[kind]
    assert any(line.startswith("| `") and word in line for line in section.splitlines())


def test_a_record_holds_only_what_is_used() -> None:
    record = pod_record(pod(crashed(1)))
    facts = {"problem", "download", "ready", "role", "group", "created", "server"}
    assert record.keys() == {"metadata", *facts}
    assert record["metadata"] == {
        "namespace": "ns",
        "name": "m-b1-0-leader-0-0",
        "uid": "uid-of-m-b1-0-leader-0-0",
        "resourceVersion": "1",
        "labels": {MODEL_UID: "uid-of-m", BACKEND_NAME: "b1"},
    }
    assert (booster_uid(record), backend_name(record)) == ("uid-of-m", "b1")


def test_a_pod_without_our_other_labels_has_no_owner() -> None:
    obj = pod()
    obj["metadata"]["labels"] = {MANAGED_BY: WORKLOAD}
    assert (booster_uid(pod_record(obj)), backend_name(pod_record(obj))) == ("", "")


def rounds(*objs: Object) -> list[PodProblem | None]:
    """Returns the problem of a pod after each of several events."""
    record, known = None, []
    for obj in objs:
        record = pod_record(obj, record)
        known.append(recorded_problem(record))
    return known


def test_a_crash_loop_does_not_change_the_problem() -> None:
    last = ended(1, message="no GPU")
    turns = [
        pod(container(restarts=n, **of), version=f"{n}{i}")
        for n in range(2, 6)
        for i, of in enumerate(
            (
                {"state": last},
                {**waiting("CrashLoopBackOff", f"back-off {n}0s"), "lastState": last},
                {"state": RUNS, "lastState": last},
            )
        )
    ]
    assert len(set(rounds(*turns))) == 1


def test_another_exit_code_changes_the_problem() -> None:
    first, second = rounds(pod(crashed(1, message="no GPU")), pod(crashed(1, message="no disk")))
    assert first != second


@pytest.mark.parametrize(
    "pause",
    [
        pytest.param(f'Back-off pulling image "{IMAGE}": ErrImagePull: {RPC}{PULL}', id="1.32"),
        pytest.param(f'Back-off pulling image "{IMAGE}"', id="1.30"),
    ],
)
def test_a_failing_pull_changes_the_problem_once(pause: str) -> None:
    failed = pod(container(**waiting("ErrImagePull", RPC + PULL)))
    paused = pod(container(**waiting("ImagePullBackOff", pause)))
    assert len(set(rounds(failed, paused, failed, paused))) == 1


def test_the_reason_of_another_image_is_not_kept() -> None:
    other = {"image": "other:1"}
    _, later = rounds(
        pod(container(**waiting("ErrImagePull", PULL))),
        pod(
            {
                **container(**waiting("ImagePullBackOff", 'Back-off pulling image "other:1"')),
                **other,
            }
        ),
    )
    assert later is not None
    assert later.detail == ""


def records(*objs: Object) -> list[Object]:
    return [pod_record(obj) for obj in objs]


def test_pods_with_the_same_problem_are_counted_and_one_is_named() -> None:
    said = problem_summary(
        records(
            pod(container(**waiting("ErrImagePull", "x")), name="m-2"),
            pod(crashed(1, message="first"), name="m-4"),
            pod(crashed(1, message="second"), name="m-3"),
            pod(crashed(2), name="m-1"),
            pod(name="m-0"),
        )
    )
    assert said == (
        "pod m-3 and 1 more: engine keeps ending with exit code 1: second; "
        "see kubectl logs -n ns m-3 -c engine --previous"
    )


def test_pods_without_problem_have_no_summary() -> None:
    assert problem_summary([]) == ""
    assert problem_summary(records(pod(), pod(container(state=RUNS)))) == ""


LONG = "begin " + "\x00\x1b[31mé\u202e{pod}\n" * 2000 + "the end"
LONGEST = [
    pod(crashed(1, message=LONG)),
    pod({**container(**waiting("ErrImagePull", LONG)), "image": "i" * 4000}, name="p" * 253),
    pod(conditions=({**PENDING, "message": LONG},), name="p" * 253),
    pod(phase="Failed", reason="R" * 1000, message=LONG),
    pod(conditions=(), scheduler="s" * 253, name="p" * 253),
]


@pytest.mark.parametrize("obj", LONGEST, ids=range(len(LONGEST)))
@pytest.mark.parametrize("room", [MAX_SUMMARY_LENGTH, 400])
def test_a_summary_is_short_for_any_pod(obj: Object, room: int) -> None:
    said = problem_summary([pod_record(obj)], room)
    assert 100 < len(said) <= room
    assert said.isprintable()
    assert said.startswith("pod ")


def test_start_and_end_of_a_long_message_are_kept() -> None:
    said = problem_summary(records(pod(crashed(1, message=LONG))))
    assert ": begin " in said
    assert " ... " in said
    assert "the end; see kubectl logs -n ns m-b1-0-leader-0-0 -c engine" in said


def serving(**status: Any) -> Object:
    return {
        "kind": "ModelServing",
        "metadata": {"name": "m-b1", "generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "replicas": 2, **status},
    }


def available(status: bool) -> list[Object]:
    return [{"type": "Available", "status": str(status)}]


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(
            serving(availableReplicas=1, conditions=available(False)),
            "1/2 replicas ready; pod m-b1-0-leader-0-0: engine ran out",
            id="not ready",
        ),
        pytest.param(
            serving(), "the serving controller reports no condition; pod m-b1-0", id="not known"
        ),
        pytest.param(serving(conditions=available(True)), "", id="ready"),
        pytest.param({**serving(), "spec": {"replicas": 0}}, "", id="scaled to zero"),
    ],
)
def test_an_unready_backend_reports_the_problem_of_its_pods(obj: Object, want: str) -> None:
    pods = [pod_record(pod(crashed(137, "OOMKilled")))]
    report, other = backend_reports(
        model("m", backend("b1"), backend("b2")),
        {"m-b1": obj, "m-b2": serving(conditions=available(False))},
        {},
        {},
        {},
        pods,
    )
    assert report.message.startswith(want)
    assert bool(report.message) is bool(want)
    assert other.message == "0/2 replicas ready"  # its pods have no problem


def test_the_message_of_a_backend_has_a_limit() -> None:
    (report,) = backend_reports(
        model("m", backend("b1")), {"m-b1": serving()}, {}, {}, {}, [pod_record(LONGEST[1])]
    )
    assert 400 < len(report.message) <= MAX_SUMMARY_LENGTH
