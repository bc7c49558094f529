"""The demo works, reports a failure and leaves no processes behind."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane import processes
from tests.demo.stage import NotAsExpected, Stage
from tests.e2e.installation import ROOT, eventually

COMMAND = [sys.executable, "-m", "tests.demo"]


def _left(folder: Path) -> list[str]:
    """Returns the processes that still use something below a folder."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


@pytest.mark.slow
def test_demo_runs_to_the_end(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "KEEP": ""}
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout  # not a terminal, so no colours
    assert re.search(r"every command behaved as expected\.$", done.stdout)
    assert done.stdout.count("is invalid: ") == 5
    assert len(done.stdout.encode()) > PIPE_BYTES
    assert _left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


PIPE_BYTES = 4096
"""The smallest pipe buffer, less than the demo prints: it cannot end before it is read."""


@pytest.mark.slow
def test_interrupted_demo_leaves_no_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "KEEP": ""}
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=processes.accept_interrupts,
    )
    assert process.stdout
    # Nobody reads before the interrupt. So the demo waits in the middle, and cannot end too early.
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        eventually(lambda: any("kube-apiserver" in words for words in _left(tmp_path)), seconds=60)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        shown, said = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "every command behaved as expected" not in shown
    assert said == "\n   interrupted; all processes and files were removed\n"
    assert _left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage({"sh": Path("/bin/sh")}, {"PATH": "/usr/bin:/bin"}, tmp_path)


def test_command_is_printed_with_its_output(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run("sh -c 'echo one; echo two >&2; exit 3'", "one", r"tw.\b", code=3)
    assert capsys.readouterr().out == (
        "\n   $ sh -c 'echo one; echo two >&2; exit 3'\n   one\n   two\n"
    )


@pytest.mark.parametrize(
    ("command", "says", "why"),
    [
        ("sh -c 'exit 1'", "", "expected exit code 0, got 1"),
        ("sh -c 'echo one'", "two", "the output does not match 'two'"),
    ],
)
def test_unexpected_output_ends_the_demo(stage: Stage, command: str, says: str, why: str) -> None:
    with pytest.raises(NotAsExpected, match=re.escape(why)):
        stage.run(command, says)
    with pytest.raises(NotAsExpected, match="no such number"):
        stage.expect([], "no such number")


def test_command_is_repeated_until_it_succeeds(stage: Stage, tmp_path: Path) -> None:
    stage.run("sh -c 'cat seen; echo x >> seen'", "x\nx", seconds=10)
