"""What the status says while Jobs download ahead of the pods; the node of the Jobs is played."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.apis.kinds import JOB, MODEL_BOOSTER, MODEL_SERVER
from app.convert.options import Options
from app.values.meta import Object, labels_of
from controller.status.pod_records import POD
from tests import audit
from tests.builders import backend, booster_object
from tests.commands import run
from tests.component.downloading import (
    LOADER,
    SOURCE,
    download,
    log_requests,
    print_line,
    until_told,
    write_status_often,
)
from tests.component.running import AGENT, condition, running, until_idle, written
from tests.controlplane.plane import ControlPlane
from tests.played_jobs import bind, finish, jobs_of
from tests.played_pods import NODE_NAME, RUNNING, PlayedNode, container, report
from tests.world import World

pytestmark = pytest.mark.anyio

OPTIONS = Options(cache_warmup=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    write_status_often(monkeypatch)


async def started(world: World) -> tuple[Object, str]:
    """Creates a ModelBooster with a claim as its cache; returns its Job and the pod on the node."""
    given = {"cacheURI": "pvc://models", "cacheWarmup": {}, "modelURI": SOURCE}
    await world.put(MODEL_BOOSTER, booster_object("m", backend("b", **given)))
    job = (await jobs_of(world, ""))[""]
    return job, await bind(world, job, NODE_NAME)


async def tell(world: World, pod: str, state: Object) -> None:
    """Plays the kubelet: the state of the downloader of a pod."""
    status = [container(LOADER, state)]
    await asyncio.to_thread(report, world.admin, pod, phase="Running", containerStatuses=status)


def progress(done: int) -> Object:
    """Returns what a downloader prints of its progress."""
    return {"bytesDone": done, "bytesTotal": 4000, "bytesPerSecond": 100, "secondsLeft": 30}


async def test_the_status_tells_how_far_a_job_is_until_it_is_done(
    kubeconfig: Path, world: World, node: PlayedNode, plane: ControlPlane
) -> None:
    controlled = running(kubeconfig, world.namespace, options=OPTIONS, download_log_seconds=0.1)
    async with controlled as controller:
        job, pod = await started(world)
        print_line(node, pod, progress(1000))
        await tell(world, pod, RUNNING)
        booster = await until_told(world, bytesDone=1000)
        assert download(booster) == {
            "phase": "Downloading",
            "pod": pod,
            "pods": 1,
            "source": SOURCE,
            "bytesDone": 1000,
            "bytesTotal": 4000,
            "bytesPerSecond": 100,
            "secondsLeft": 30,
        }
        assert condition(booster, "Initialized")["reason"] == "WaitingForCache"
        shown = await asyncio.to_thread(run, kubeconfig, "status", "m")
        (row,) = [row for row in shown.stdout.splitlines() if f"─Pod/{pod}" in row]
        assert "25% ███░░░░░░░░░ 1 kB of 4 kB, 100 B/s, about 30 s left" in " ".join(row.split())

        # No request goes to the pod: it has no label that a ModelServer selects by.
        server = await world.until(MODEL_SERVER, "m-b")
        (found,) = await world.list(POD, f"job-name={job['metadata']['name']}")
        wanted = server["spec"]["workloadSelector"]["matchLabels"]
        assert not wanted.items() <= labels_of(found).items()

        print_line(node, pod, progress(2000))
        await until_told(world, bytesDone=2000)
        await finish(world, [job])
        await world.until(
            MODEL_BOOSTER,
            "m",
            lambda b: (
                not download(b) and b["status"]["backendStatuses"][0]["cacheWarmup"]["ready"] == 1
            ),
        )

        # Now nothing downloads, so nothing is asked and nothing written.
        await until_idle(controller)
        asked, begun = log_requests(plane, world.namespace), audit.now(plane)
        assert asked > 0
        await asyncio.sleep(0.5)
        assert log_requests(plane, world.namespace) == asked
        assert written(plane, world.namespace, begun) == []


async def test_a_job_of_before_a_start_goes_on_and_is_told_without_its_log(
    kubeconfig: Path, world: World, node: PlayedNode, plane: ControlPlane
) -> None:
    scope: Object = {"options": OPTIONS, "download_log_seconds": None}
    async with running(kubeconfig, world.namespace, **scope):
        job, pod = await started(world)
        print_line(node, pod, progress(1000))
        await tell(world, pod, RUNNING)
        await until_told(world, phase="Downloading", pod=pod)
    before = await world.get(MODEL_BOOSTER, "m")
    assert before is not None
    assert download(before) == {"phase": "Downloading", "pod": pod, "pods": 1, "source": SOURCE}

    begun = audit.now(plane)
    async with running(kubeconfig, world.namespace, **scope) as second:
        await until_idle(second)
        # With controller.readDownloadLogs: false there is no request for a log.
        assert log_requests(plane, world.namespace) == 0
        assert await world.get(JOB, job["metadata"]["name"]) is not None
        await tell(world, pod, {"terminated": {"exitCode": 1, "reason": "Error"}})
        await world.until(MODEL_BOOSTER, "m", lambda b: not download(b))
    assert not any("jobs" in line for line in written(plane, world.namespace, begun))


async def test_without_a_watch_of_pods_no_pod_of_a_job_is_watched(
    kubeconfig: Path, world: World, node: PlayedNode, plane: ControlPlane
) -> None:
    scope: Object = {"options": OPTIONS, "watch_pods": False}
    async with running(kubeconfig, world.namespace, **scope) as controller:
        _, pod = await started(world)
        await tell(world, pod, RUNNING)
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda b: condition(b, "Initialized")["reason"] == "WaitingForCache"
        )
        await until_idle(controller)
    assert download(booster) == {}
    requests = audit.requests(plane, namespace=world.namespace)
    assert not [r for r in requests if r.agent.startswith(AGENT) and r.resource == "pods"]
