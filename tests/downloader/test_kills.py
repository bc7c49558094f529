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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from downloader.manifest import faults, read_manifest
from tests.controlplane.credentials import Authority
from tests.downloader.conftest import FILES, URI, Downloader, contents
from tests.downloader.hub import Hub

LARGE = "model-00001.safetensors"

Run = Callable[[float | None], int]
"""Runs the downloader once, and kills it after so many seconds, None for not at all.

Returns its status for ``os.waitstatus_to_exitcode``.
"""


@pytest.fixture
def environment(downloader: Downloader, hub: Hub, tmp_path: Path) -> dict[str, str]:
    """Variables of the downloader. It trusts one authority: to read 140 is half of a short run."""
    trusted = {"SSL_CERT_FILE": str(Authority(tmp_path).ca_file)}
    return downloader.environment({**hub.environment(), **trusted})


@pytest.fixture
def arguments(cache: Path) -> list[str]:
    return ["-s", URI, "-o", str(cache / "m"), "-w", "4"]


@pytest.fixture
def forked(environment: dict[str, str], arguments: list[str], tmp_path: Path) -> Iterator[Run]:
    """Each run is a fork of a process that has loaded the program."""
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.downloader.forks"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def run(kill_after: float | None) -> int:
        stdin.write(json.dumps(arguments) + "\n")
        stdin.flush()
        child = int(stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            # If it has ended, its number is still its own: waitpid has not been called yet.
            os.kill(child, signal.SIGKILL)
        stdin.write("\n")
        stdin.flush()
        return int(stdout.readline())

    with process:
        yield run
        stdin.close()


@pytest.fixture
def started(environment: dict[str, str], arguments: list[str], tmp_path: Path) -> Run:
    """Each run is the program, started as in a pod."""

    def run(kill_after: float | None) -> int:
        with (tmp_path / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "downloader", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(process.pid, signal.SIGKILL)
        status = os.waitpid(process.pid, 0)[1]
        process.returncode = os.waitstatus_to_exitcode(status)
        return status

    return run


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("program", "kills"),
    [
        ("forked", 6),
        pytest.param("forked", 200, marks=pytest.mark.slow),
        pytest.param("started", 3, marks=pytest.mark.slow),
    ],
)
def test_a_model_is_whole_or_away_after_every_kill(
    request: pytest.FixtureRequest, hub: Hub, cache: Path, program: str, kills: int
) -> None:
    run: Run = request.getfixturevalue(program)
    dice = random.Random(kills)
    run(None)  # loads the program
    shutil.rmtree(cache / "m")
    hub.faults.pause = 0.02
    began = time.monotonic()
    run(None)
    # Some of all 200 reach into the last steps of a run; a few need not.
    longest = 1.2 * (time.monotonic() - began) if kills != 6 else 0.4
    shutil.rmtree(cache / "m")
    killed = wholes = 0
    is_damaged = False
    while killed < kills:
        status = run(dice.uniform(0, longest))
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
    assert os.waitstatus_to_exitcode(run(None)) == 0
    assert contents(cache / "m") == FILES
    assert wholes or kills < 200
