"""The parent of the webhook's process: which child it starts again, and how it ends itself."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CHILD = """
import os, signal, socket, sys, time

from modelbooster.supervise import inheritance, supervise

code = supervise()
if code is not None:
    sys.exit(code)
given = inheritance()
how, end = sys.argv[1:]
listening = given.listening or socket.create_server(("127.0.0.1", 0))
if how == "ready":
    given.keep(listening)
if end == "told":
    signal.signal(signal.SIGTERM, lambda *_: (listening.close(), print("closed", flush=True)))
print(given.restarts, given.reason, listening.getsockname()[1], flush=True)
if end == "told":
    sys.stdin.read()
    sys.exit(7)
code = int(end)
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", CHILD, *arguments]


@pytest.mark.parametrize(
    ("how", "end", "children", "code"),
    [
        pytest.param("ready", -9, 4, 137, id="the fourth that is killed is the last"),
        pytest.param("ready", 1, 4, 1, id="so is the fourth that fails"),
        pytest.param("early", -11, 1, 139, id="one that was never ready"),
        pytest.param("ready", 0, 1, 0, id="one that ends"),
        pytest.param("ready", 2, 1, 2, id="one with invalid settings"),
    ],
)
def test_children_that_are_started_again(how: str, end: int, children: int, code: int) -> None:
    done = subprocess.run(
        command(how, str(end)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (code, "")
    said = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [number for number, _ in said] == [str(number) for number in range(children)]
    reason = {-9: "was killed by SIGKILL", 1: "ended with exit code 1"}.get(end, "")
    assert all(line.startswith(reason) for _, line in said[1:])
    assert len({line.rpartition(" ")[2] for _, line in said}) == 1, "each has the same port"


def test_a_signal_reaches_the_child_which_closes_the_port() -> None:
    process = subprocess.Popen(
        command("ready", "told"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[-1])
        socket.create_connection(("127.0.0.1", port), timeout=60).close()

        process.terminate()

        assert process.stdout.readline() == "closed\n"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=60)
        process.stdin.close()
        assert process.wait(60) == 7
