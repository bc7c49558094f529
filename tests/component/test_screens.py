"""What the commands look like in a terminal: wide and narrow, with long names, with nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from tests.builders import backend, booster_object
from tests.commands import run, run_in_terminal
from tests.component.running import DEPLOYING, is_in, running
from tests.played_pods import (
    NODE_NAME,
    RUNNING,
    PlayedNode,
    container,
    play_pods,
    ready,
    report,
    unschedulable,
)
from tests.screens import check
from tests.world import Admin

pytestmark = pytest.mark.anyio

LONG = "deepseek-r1-distill-qwen-32b-canary-with-"
NAMES = (f"{LONG}a", f"{LONG}b", "gemma")
DOWNLOAD = (
    "Fetching 10 files:  40%|####      | 4/10 [00:20<00:30,  5.00s/it]\r"
    "model-00001.safetensors:  50%|#####     | 2.00G/4.00G [00:20<00:20, 100MB/s]\r"
)
NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@pytest.fixture
async def fleet(
    kubeconfig: Path, namespace: str, admin: Admin, node: PlayedNode
) -> AsyncIterator[None]:
    """One model that serves, one that downloads, and one that finds no GPU."""

    def play() -> None:
        for name in NAMES:
            admin.create(MODEL_BOOSTER, booster_object(name, backend("b1")))
            admin.until(MODEL_BOOSTER, name, is_in(DEPLOYING))
        (stuck,) = play_pods(admin, f"{LONG}a-b1")
        unschedulable(admin, stuck, NO_ROOM)
        (fetching,) = play_pods(admin, f"{LONG}b-b1", node=NODE_NAME)
        downloader = container("model-downloader", RUNNING)
        report(admin, fetching, phase="Pending", initContainerStatuses=[downloader])
        node.logs[fetching, "model-downloader", False] = DOWNLOAD
        (serving,) = play_pods(admin, "gemma-b1", node=NODE_NAME)
        ready(admin, serving, "engine", "runtime")
        admin.serve(MODEL_SERVING, "gemma-b1")
        admin.until(MODEL_BOOSTER, "gemma", is_in(("TTF", "ModelAvailable")))

    async with running(kubeconfig, namespace):
        await asyncio.to_thread(play)
        yield


@pytest.mark.parametrize("columns", [80, 200])
async def test_screens_of_a_fleet(fleet: None, kubeconfig: Path, columns: int) -> None:
    async def screen(*args: str, **environment: str) -> str:
        shown, code = await asyncio.to_thread(
            run_in_terminal, kubeconfig, *args, columns=columns, **environment
        )
        assert code == 0
        return shown.replace("\x1b", "ESC")

    plain = await screen("status", NO_COLOR="1")
    assert "ESC" not in plain
    assert max(map(len, plain.splitlines())) <= columns
    check(f"status-{columns}", plain)
    check(f"status-{columns}-colour", await screen("status"))
    ascii_only = await screen("status", NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert ascii_only.isascii()
    check(f"status-{columns}-ascii", ascii_only)
    listed = await screen("get", "mb")
    assert max(map(len, listed.splitlines())) <= columns
    wide = await screen("get", "mb", "-o", "wide")
    assert max(map(len, wide.splitlines())) <= columns
    check(f"get-{columns}", f"{listed}\n{wide}")
    check(f"describe-{columns}", (await screen("describe", "gemma")).partition("Status:\n")[2])


async def test_screens_with_nothing_there_and_without_a_cluster(
    kubeconfig: Path, namespace: str
) -> None:
    nothing = await asyncio.to_thread(run, kubeconfig, "status")
    assert (nothing.stdout, nothing.code) == ("", 0)
    assert nothing.stderr == f"There is no ModelBooster in namespace {namespace}.\n"
    everywhere = await asyncio.to_thread(run, kubeconfig, "status", "none-of-this-name")
    assert (everywhere.stderr, everywhere.code) == (
        f'Error: ModelBooster "none-of-this-name" does not exist in namespace {namespace}\n',
        1,
    )
    for command in (["status"], ["get"], ["describe", "x"], ["wait", "x"], ["logs", "x"]):
        alone = await asyncio.to_thread(run, "/missing", *command)
        assert (alone.stdout, alone.code) == ("", 1)
        assert alone.stderr == (
            "Error: no cluster is configured: there is no file in KUBECONFIG and no "
            "~/.kube/config; name a kubeconfig with --kubeconfig\n"
        )
