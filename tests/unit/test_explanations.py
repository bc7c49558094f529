"""What pods, logs and conditions mean for the user of a ModelBooster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.values.meta import Object
from modelbooster.observe.pods.crashes import explain_crash, last_words
from modelbooster.observe.pods.downloads import last_error, progress_in, refusal_in
from modelbooster.observe.pods.images import explain_image
from modelbooster.observe.pods.scheduling import explain_unschedulable
from modelbooster.observe.reading import Family
from modelbooster.observe.verdict import State, verdict_of
from tests.builders import stored_object

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HUB = "https://huggingface.co/o/m"


@pytest.mark.parametrize(
    ("log", "want"),
    [
        ("", None),
        ("Downloading o/m\n", None),
        (
            "Fetching 10 files:  40%|####      | 4/10 [00:20<00:30,  5.00s/it]\r"
            "a.safetensors:  50%|#####     | 2.00G/4.00G [00:20<00:20, 100MB/s]\r",
            (0.45, "4/10 files, 2 GB, 100MB/s"),
        ),
        (
            "Downloading [m.bin]:  25%|##5  | 250M/1.00G [00:03<00:09, 83.1MB/s]",
            (0.25, "250 MB of 1 GB, 83.1MB/s"),
        ),
        (
            "Completed 1.5 GiB/6.0 GiB (95.3 MiB/s) with 5 file(s) remaining\r",
            (0.25, "1.61 GB of 6.44 GB, 95.3 MiB/s"),
        ),
        (
            "  1,234,567  42%   95.00MB/s    0:01:20 (xfr#1, to-chk=6/8)",
            (0.25, "1.23 MB, 95.00MB/s"),
        ),
    ],
    ids=["empty", "none", "hub", "modelscope", "s3", "rsync"],
)
def test_progress_of_a_download(log: str, want: tuple[float, str] | None) -> None:
    found = progress_in(log)
    assert (None if found is None else (round(found.done, 4), found.text)) == want


@pytest.mark.parametrize(
    ("log", "why", "todo"),
    [
        (
            f"403 Client Error. (Request ID: x)\n\nCannot access gated repo for url {HUB}.",
            "the model is gated and the hub refused the download (403)",
            f"accept its licence at {HUB}",
        ),
        (
            f"401 Client Error. (Request ID: x)\n\nRepository Not Found for url: {HUB}.\nIf you "
            "are trying to access a private or gated repo, make sure you are authenticated.",
            "the hub has no repository o/m that this token may see (401)",
            "check the spelling of modelURI",
        ),
        ("404 Client Error.\nRevision Not Found for url", "has no such revision", "HF_REVISION"),
        ("OSError: [Errno 28] No space left on device", "no space left", "larger volume"),
        ("PermissionError: [Errno 13] Permission denied: '/c'", "may not write", "writable"),
        ("ValueError: Missing credentials", "keys of the object storage", "ACCESS_KEY"),
        ("(AccessDenied) when calling ListObjectsV2", "refused the download (403)", "check"),
        ("(NoSuchBucket) when calling ListObjectsV2", "does not exist (404)", "modelURI"),
        ("429 Client Error: Too Many Requests", "limits the rate", "wait"),
        ("Failed to resolve 'huggingface.co'", "name of the source", "check DNS"),
        ("ConnectionRefusedError: Connection refused", "cannot be reached", "check DNS"),
    ],
)
def test_refused_download(log: str, why: str, todo: str) -> None:
    found = refusal_in(f"INFO begins\nERROR - An error occurred: {log}", "hf://o/m")
    assert found is not None
    assert why in found.why
    assert todo in found.todo


def test_unknown_failure_of_a_download_is_quoted() -> None:
    log = "INFO a\nERROR - An error occurred: something odd\n"
    assert refusal_in(log, "hf://o/m") is None
    assert last_error(log) == "something odd"


def _pod(**limits: str) -> Object:
    containers = [{"name": "engine", "resources": {"limits": limits}}]
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": containers}}


@pytest.mark.parametrize(
    ("message", "why", "todo"),
    [
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are "
            "available: 3 No preemption victims found for incoming pod.",
            "it cannot be scheduled: 3 of 3 nodes have too little free nvidia.com/gpu, the pod "
            "asks for 4",
            "add or free a node with 4 nvidia.com/gpu, or ask for less in the resources of the "
            "worker",
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.",
            "it cannot be scheduled: 1 of 1 nodes have the taint {gpu: yes}, which the pod does "
            "not tolerate",
            "add a toleration for gpu to tolerations of the worker",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "it cannot be scheduled: 2 of 2 nodes have other labels than affinity asks for",
            "label a node, or correct affinity of the worker",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "models" not found.',
            'it cannot be scheduled: the PersistentVolumeClaim "models" does not exist',
            "create it in namespace ns, or correct cacheURI",
        ),
        (
            "something new",
            "it cannot be scheduled: something new",
            "add or free nodes that meet this, or ask for less",
        ),
    ],
    ids=["gpu", "taint", "labels", "claim", "unknown"],
)
def test_unschedulable_pod(message: str, why: str, todo: str) -> None:
    assert explain_unschedulable(_pod(**{"nvidia.com/gpu": "4"}), message) == (why, todo)


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ("docker.io/x/y:1: not found", "has no such image"),
        ("401 Unauthorized", "refuses the pull"),
        ("dial tcp: lookup r on 1.1.1.1:53: no such host", "cannot reach the registry"),
        ("toomanyrequests: You have reached your pull rate limit", "limits the rate"),
    ],
)
def test_image_that_cannot_be_pulled(detail: str, why: str) -> None:
    found = explain_image("image", detail, "ns")
    assert found is not None
    assert why in found.why


def test_last_words_of_an_engine_are_its_error() -> None:
    log = (
        "INFO 11-29 12:00:00 [utils.py:1] non-default args: {}\n"
        "(EngineCore pid=7) ERROR 11-29 12:00:00 [core.py:700] torch.OutOfMemoryError: CUDA out "
        "of memory. Tried to allocate 2 GiB\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above\n"
    )
    assert last_words(log) == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    found = explain_crash(log)
    assert found is not None
    assert "gpu-memory-utilization" in found.todo
    usage = "usage: vllm serve [-h]\nvllm serve: error: unrecognized arguments: --maxModelLen 1\n"
    assert last_words(usage) == "vllm serve: error: unrecognized arguments: --maxModelLen 1"
    assert explain_crash("") is None


def _verdict(*conditions: tuple[str, str, str, str], **booster: Any) -> tuple[State, str, str]:
    obj = stored_object("m")
    obj["status"] = {
        "observedGeneration": 1,
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": message}
            for kind, status, reason, message in conditions
        ],
    }
    obj["metadata"] |= {"creationTimestamp": "2026-11-29T11:00:00Z", **booster}
    verdict = verdict_of(Family(obj), {}, NOW)
    first = verdict.explanations[0] if verdict.explanations else ("", "")
    return verdict.state, first[0], first[1]


@pytest.mark.parametrize(
    ("reason", "message", "todo"),
    [
        ("ChildApplyFailed", "QuotaExceeded: ModelServing m-b1: quota", "raise that ResourceQuota"),
        ("ChildApplyFailed", "Rejected: ModelServing m-b1: no", "correct the field"),
        ("ChildApplyFailed", "KindUnavailable: kthena is not installed", "install kthena's"),
        ("ChildNameConflict", 'ModelRoute "m" exists', "delete the other object, or rename"),
        ("ConflictingController", 'ModelServing "m-b1" is changed', "let only one of the two"),
        ("ValidationFailed", "spec.backends: Required value", "kubectl edit modelbooster m"),
    ],
)
def test_failed_model_booster_has_a_remedy(reason: str, message: str, todo: str) -> None:
    state, why, found = _verdict(("Failed", "True", reason, message))
    assert (state, why) == (State.FAILED, message)
    assert todo in found


def test_states_without_a_problem_of_a_pod() -> None:
    assert _verdict(generation=2)[:2] == (
        State.WAITING,
        "the operator has not handled this ModelBooster",
    )
    assert _verdict(deletionTimestamp="2026-11-29T11:59:00Z", finalizers=["x/y"]) == (
        State.DELETING,
        "its deletion waits for the finalizers x/y",
        "find the controller that owns them",
    )
    held = (
        ("Active", "True", "ModelAvailable", "ModelBooster is ready"),
        ("Initialized", "True", "RolloutHeld", "the pods keep their template"),
    )
    assert _verdict(*held)[:2] == (
        State.ACTIVE,
        "a restart of pods is held: the pods keep their template",
    )
    zero = ("Active", "True", "ScaledToZero", "every backend has 0 replicas")
    assert _verdict(zero)[0] is State.SCALED_TO_ZERO


def test_another_definition_is_named() -> None:
    obj = stored_object("m")
    verdict = verdict_of(Family(obj), {}, NOW, missing_fields=["spec.backends", "a", "b", "c"])
    assert verdict.state is State.FAILED
    assert verdict.explanations[0].why == (
        "another definition of ModelBooster is installed, which lacks spec.backends, a, b and 1 "
        "more; nothing is written until ours is back"
    )


def _podless(**family: Any) -> str:
    obj = stored_object("m")
    backends = [{"name": "b1", "modelServing": "m-b1", "ready": False, "message": "0/1 ready"}]
    obj["status"] = {
        "observedGeneration": 1,
        "conditions": [{"type": "Active", "status": "False", "reason": "ModelProcessing"}],
        "backendStatuses": backends,
    }
    obj["metadata"]["creationTimestamp"] = "2026-11-29T11:00:00Z"
    serving = {
        "kind": "ModelServing",
        "metadata": {
            "name": "m-b1",
            "namespace": "default",
            "uid": "s",
            "creationTimestamp": "2026-11-29T11:00:00Z",
        },
        "status": {"replicas": 1},
        **family.pop("serving", {}),
    }
    quotas = family.pop("quotas", ())
    verdict = verdict_of(Family(obj, (serving,), **family), {}, NOW, quotas=quotas)
    return verdict.explanations[0].why


def test_backend_without_pods() -> None:
    quota = {
        "metadata": {"name": "q", "namespace": "default"},
        "status": {"hard": {"limits.cpu": "10"}, "used": {"limits.cpu": "10"}},
    }
    assert _podless(quotas=[quota]) == (
        'no pod of ModelServing m-b1 is created; ResourceQuota "q" is used up: 10 of 10 limits.cpu'
    )
    assert _podless(serving={"status": {}}) == "no controller acts on ModelServing m-b1"
    refused = {"s": [{"message": "exceeded quota: q"}]}
    assert _podless(events=refused) == ("no pod of ModelServing m-b1 is created: exceeded quota: q")
    assert _podless().startswith("0/1 ready; no pod has been created, something may refuse them")
    assert _podless(has_pods_read=False) == "0/1 ready"
