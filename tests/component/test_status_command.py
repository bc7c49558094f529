"""`model-booster status` on the real API server: why a model does not serve, for its user."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from tests.builders import backend, booster_object, worker
from tests.commands import run
from tests.component.running import DEPLOYING, is_in
from tests.played_pods import (
    NODE_NAME,
    RUNNING,
    PlayedNode,
    container,
    ended,
    play_pods,
    ready,
    report,
    unschedulable,
    waiting,
)
from tests.screens import check
from tests.world import Admin

pytestmark = pytest.mark.anyio

POD_NAME = "qwen-b1-0-leader-0-0"
GPUS = {"limits": {"nvidia.com/gpu": 4}}


async def _deployed(admin: Admin, obj: Object) -> None:
    await asyncio.to_thread(admin.create, MODEL_BOOSTER, obj)
    name = obj["metadata"]["name"]
    await asyncio.to_thread(admin.until, MODEL_BOOSTER, name, is_in(DEPLOYING))


def _qwen(uri: str = "hf://google/gemma-2-2b-it") -> Object:
    return booster_object("qwen", backend(modelURI=uri, workers=[worker(resources=GPUS)]))


async def _status(kubeconfig: Path, *args: str) -> str:
    said = await asyncio.to_thread(run, kubeconfig, "status", *args)
    assert (said.stderr, said.code) == ("", 0)
    return said.stdout


async def test_status_explains_a_pod_that_cannot_be_scheduled(
    served: None, admin: Admin, kubeconfig: Path
) -> None:
    await _deployed(admin, _qwen())
    admin.serve(MODEL_SERVING, "qwen-b1", "Progressing")
    play_pods(admin, "qwen-b1")
    unschedulable(
        admin,
        POD_NAME,
        "0/3 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}, "
        "2 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 Preemption is not "
        "helpful for scheduling.",
    )

    text = await _status(kubeconfig, "qwen")
    check("status-unschedulable", text)


async def test_status_explains_an_image_that_cannot_be_pulled(
    served: None, admin: Admin, kubeconfig: Path, node: PlayedNode
) -> None:
    await _deployed(admin, _qwen())
    play_pods(admin, "qwen-b1", node=NODE_NAME)
    image = "vllm/vllm-openai:v0.99.0"
    message = (
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = '
        f'failed to pull and unpack image "docker.io/{image}": docker.io/{image}: not found'
    )
    report(
        admin,
        POD_NAME,
        phase="Pending",
        containerStatuses=[
            container("engine", waiting("ImagePullBackOff", message), image=image),
            container("runtime", waiting("PodInitializing")),
        ],
    )
    text = await _status(kubeconfig, "qwen")
    check("status-image", text)


async def test_status_explains_a_download_that_was_refused(
    served: None, admin: Admin, kubeconfig: Path, node: PlayedNode
) -> None:
    await _deployed(admin, _qwen())
    play_pods(admin, "qwen-b1", node=NODE_NAME)
    report(
        admin,
        POD_NAME,
        phase="Pending",
        initContainerStatuses=[
            {
                **container("model-downloader", waiting("CrashLoopBackOff"), restarts=3),
                "lastState": ended(1),
            }
        ],
    )
    node.logs[POD_NAME, "model-downloader", False] = (
        "2026-11-29 14:00:01 - INFO - Downloading google/gemma-2-2b-it\n"
        "2026-11-29 14:00:02 - ERROR - An error occurred: 401 Client Error. (Request ID: "
        "Root=1-688b505e)\n\nCannot access gated repo for url "
        "https://huggingface.co/google/gemma-2-2b-it/resolve/main/config.json.\nAccess to model "
        "google/gemma-2-2b-it is restricted. You must have access to it and be authenticated to "
        "access it. Please log in.\n"
    )
    text = await _status(kubeconfig, "qwen")
    check("status-refused-download", text)


async def test_status_shows_how_far_a_download_is(
    served: None, admin: Admin, kubeconfig: Path, node: PlayedNode
) -> None:
    await _deployed(admin, _qwen())
    play_pods(admin, "qwen-b1", node=NODE_NAME)
    report(
        admin,
        POD_NAME,
        phase="Pending",
        initContainerStatuses=[container("model-downloader", RUNNING)],
    )
    node.logs[POD_NAME, "model-downloader", False] = (
        "Fetching 10 files:   0%|          | 0/10 [00:00<?, ?it/s]\r"
        "model-00001.safetensors:  50%|#####     | 2.00G/4.00G [00:20<00:20, 100MB/s]\r"
        "Fetching 10 files:  40%|####      | 4/10 [00:20<00:30,  5.00s/it]\r"
    )
    text = await _status(kubeconfig, "qwen")
    check("status-downloading", text)


async def test_status_shows_a_model_that_serves(
    served: None, admin: Admin, kubeconfig: Path, node: PlayedNode
) -> None:
    await _deployed(admin, _qwen())
    play_pods(admin, "qwen-b1", node=NODE_NAME)
    ready(admin, POD_NAME, "engine", "runtime")
    admin.serve(MODEL_SERVING, "qwen-b1")
    await asyncio.to_thread(admin.until, MODEL_BOOSTER, "qwen", is_in(("TTF", "ModelAvailable")))
    check("status-active", await _status(kubeconfig, "qwen"))
    check("status-list", await _status(kubeconfig))


async def test_status_shows_how_far_a_roll_out_is(
    served: None, admin: Admin, kubeconfig: Path, node: PlayedNode
) -> None:
    three = backend(minReplicas=3, maxReplicas=3)
    await _deployed(admin, booster_object("qwen", three))
    for pod in play_pods(admin, "qwen-b1", replicas=3, node=NODE_NAME):
        ready(admin, pod, "engine", "runtime")
    admin.serve(MODEL_SERVING, "qwen-b1", "UpdateInProgress", ready=2)
    admin.patch(MODEL_SERVING, "qwen-b1", {"status": {"updatedReplicas": 1}}, subresource="status")
    await asyncio.to_thread(
        admin.until,
        MODEL_BOOSTER,
        "qwen",
        lambda obj: "update" in obj["status"]["backendStatuses"][0]["message"],
    )
    check("status-rollout", await _status(kubeconfig, "qwen"))
