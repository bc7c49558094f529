"""The process is killed at random moments; what is in place is whole or not there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloader.manifest import faults, read_manifest
from tests.downloader.conftest import FILES, URI, Downloader, contents
from tests.downloader.hub import Hub

LARGE = "model-00001.safetensors"


@pytest.fixture
def forks(downloader: Downloader, hub: Hub, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.downloader.forks"],
            env=downloader.environment(hub.environment()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            yield process
            assert process.stdin is not None
            process.stdin.close()


def run(forks: subprocess.Popen[str], cache: Path, kill_after: float | None = None) -> int:
    """Runs the downloader once, and returns its status for ``os.waitstatus_to_exitcode``."""
    assert forks.stdin is not None
    assert forks.stdout is not None
    arguments = ["-s", URI, "-o", str(cache / "m"), "-w", "4"]
    forks.stdin.write(json.dumps(arguments) + "\n")
    forks.stdin.flush()
    child = int(forks.stdout.readline())
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)  # a zombie if it has ended: nobody has waited for it
    forks.stdin.write("\n")
    forks.stdin.flush()
    return int(forks.stdout.readline())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_a_model_is_whole_or_away_after_every_kill(
    forks: subprocess.Popen[str], hub: Hub, cache: Path, tmp_path: Path, kills: int
) -> None:
    dice = random.Random(kills)
    hub.faults.pause = 0.02
    began = time.monotonic()
    run(forks, cache)
    # All 60 reach into the last steps of a run; a few need not.
    longest = 1.2 * (time.monotonic() - began) if kills > 50 else 0.4
    shutil.rmtree(cache / "m")
    killed = wholes = 0
    is_damaged = False
    while killed < kills:
        status = run(forks, cache, kill_after=dice.uniform(0, longest))
        killed += os.WIFSIGNALED(status)
        manifest = read_manifest(str(cache / "m"))
        if manifest is None:
            # It is away or being repaired, and what is there is right.
            for path, data in contents(cache / "m").items():
                assert FILES[path] == data
            continue
        found = faults(str(cache / "m"), manifest.files, full=True)
        if is_damaged and found == [f"{LARGE} is missing"]:
            continue  # the run was killed before it repaired anything
        assert not found
        assert contents(cache / "m") == FILES
        wholes += 1
        is_damaged = dice.random() < 0.5
        if is_damaged:
            (cache / "m" / LARGE).unlink()
        else:
            shutil.rmtree(cache / "m")

    hub.faults.pause = 0.0
    assert os.waitstatus_to_exitcode(run(forks, cache)) == 0
    assert contents(cache / "m") == FILES
    assert wholes or kills < 50
