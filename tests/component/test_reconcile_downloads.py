"""What the status says of running downloads, on the real API server, which asks the node for logs.

The test plays the pods and their node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from controller.controller import Controller
from controller.reconcile.events import EVENT
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
from tests.component.running import condition, running, until_idle
from tests.controlplane.plane import ControlPlane
from tests.played_pods import (
    NODE_NAME,
    RUNNING,
    PlayedNode,
    container,
    ended,
    play_pods,
    report,
    waiting,
)
from tests.proxy import Answer, Proxy, Rule
from tests.world import PATIENCE_SECONDS, World

pytestmark = pytest.mark.anyio

FIRST, SECOND = "m-b1-0-leader-0-0", "m-b1-1-leader-0-0"
GATED = json.dumps(
    {
        "result": "failed",
        "source": SOURCE,
        "reason": "Gated",
        "message": "owner/model is gated",
        "next": "accept its licence at https://hub.example/owner/model",
    }
)
DONE: Object = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@asynccontextmanager
async def two_pods(
    kubeconfig: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Controller]:
    """Runs a controller that reads logs often, with a ModelBooster of two pods on the node."""
    write_status_often(monkeypatch)
    async with running(kubeconfig, world.namespace, download_log_seconds=0.1) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", backend(replicas=2)))
        await asyncio.to_thread(play_pods, world.admin, "m-b1", 2, node=NODE_NAME)
        yield controller


async def tell(world: World, pod: str, state: Object, **fields: object) -> None:
    """Plays the kubelet: the state of the downloader of a pod."""
    status = {**container(LOADER, state), **fields}
    await asyncio.to_thread(
        report, world.admin, pod, phase="Pending", initContainerStatuses=[status]
    )


def progress(done: int) -> Object:
    """Returns what a downloader prints of its progress."""
    return {"bytesDone": done, "bytesTotal": 4000, "bytesPerSecond": 100, "file": "a.bin"}


async def test_the_status_tells_how_far_downloads_are(
    kubeconfig: Path,
    world: World,
    node: PlayedNode,
    plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_pods(kubeconfig, world, monkeypatch) as controller:
        await until_idle(controller)
        print_line(node, FIRST, progress(1000))
        await tell(world, FIRST, RUNNING)
        booster = await until_told(world, bytesDone=1000)
        assert download(booster) == {
            "phase": "Downloading",
            "pod": FIRST,
            "pods": 1,
            "source": SOURCE,
            "bytesDone": 1000,
            "bytesTotal": 4000,
            "bytesPerSecond": 100,
            "file": "a.bin",
        }
        # The command reads no log for that.
        log = node.logs.pop((FIRST, LOADER, False))
        shown = await asyncio.to_thread(run, kubeconfig, "status", "m")
        assert "downloads the model: 25%, 1 kB of 4 kB, 100 B/s, a.bin" in shown.stdout
        (row,) = [row for row in shown.stdout.splitlines() if "─model-downloader" in row]
        assert "25% ███░░░░░░░░░ 1 kB of 4 kB, 100 B/s, a.bin" in " ".join(row.split())
        node.logs[FIRST, LOADER, False] = log

        print_line(node, SECOND, progress(900), waitsFor=FIRST)
        await tell(world, SECOND, RUNNING)
        await until_told(world, pods=2, pod=FIRST)
        print_line(node, FIRST, progress(2000))
        await until_told(world, bytesDone=2000)
        await tell(world, FIRST, DONE)
        await until_told(world, phase="Waiting", pod=SECOND, bytesDone=900)
        await tell(world, SECOND, DONE)
        await world.until(MODEL_BOOSTER, "m", lambda booster: download(booster) == {})

        # Now nothing downloads, so nothing is asked.
        await until_idle(controller)
        asked = log_requests(plane, world.namespace)
        assert asked > 0
        await asyncio.sleep(0.5)
        assert log_requests(plane, world.namespace) == asked


async def test_the_status_tells_why_a_download_failed_and_what_to_do(
    kubeconfig: Path, world: World, node: PlayedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = f"backend b1 could not fetch {SOURCE}: owner/model is gated; accept its licence at "
    async with two_pods(kubeconfig, world, monkeypatch):
        last = {"restartCount": 1, "lastState": ended(1, GATED)}
        await tell(world, FIRST, waiting("CrashLoopBackOff"), **last)
        booster = await until_told(world, phase="Failed", reason="Gated", pod=FIRST)
        assert sentence in condition(booster, "Active")["message"]
        (entry,) = booster["status"]["backendStatuses"]
        assert "pod m-b1-0-leader-0-0: model-downloader could not fetch " in entry["message"]
        events = await world.until_listed(
            EVENT, lambda events: any(e["reason"] == "DownloadFailed" for e in events)
        )
        (event,) = [event for event in events if event["reason"] == "DownloadFailed"]
        assert (event["type"], sentence in event["note"]) == ("Warning", True)

        # The next attempt is no news before it gets somewhere.
        await tell(world, FIRST, RUNNING, restartCount=2, lastState=ended(1, GATED))
        print_line(node, FIRST, progress(10))
        await until_told(world, phase="Downloading", bytesDone=10)


async def test_without_the_right_to_read_logs_the_status_tells_that_pods_download(
    proxy: Proxy,
    world: World,
    node: PlayedNode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = proxy.add(Rule(Answer(403), resource="pods", subresource="log", times=None))
    async with two_pods(proxy.kubeconfig, world, monkeypatch) as controller:
        print_line(node, FIRST, progress(1000))
        await tell(world, FIRST, RUNNING)
        booster = await until_told(world, phase="Downloading")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not refused.acted:  # noqa: ASYNC110 - the proxy counts in another thread
                await asyncio.sleep(0.02)
        await until_idle(controller)
        assert "bytesDone" not in download(booster)
        await tell(world, FIRST, DONE)
        await world.until(MODEL_BOOSTER, "m", lambda booster: download(booster) == {})
    assert refused.acted == 1  # it is not asked again soon
    assert "may not read logs" in caplog.text
