"""Runs the command line in forks of one process that has loaded it.

Each run is a process of its own, with the arguments, variables and files that it is given, as if
the program had been started; only the imports, most of the time of a short command, happen once.
That the program itself starts is for ``tests/programs``.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TextIO

import modelbooster
from modelbooster.cli.commands import SUMMARIES, load
from modelbooster.cli.entry import run

PROGRAM = str(Path(sys.executable).with_name("model-booster"))
_MAX_REQUEST_BYTES = 1 << 20
STDERR = 2


class ProgramProcess:
    """A run of the program.

    Args:
        args: its arguments.
        environment: all of its variables.
        files: descriptors for its standard input, output and error.
    """

    def __init__(
        self,
        args: Sequence[str],
        environment: Mapping[str, str],
        files: tuple[int, int, int],
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(_server_address())
        request = {
            "arguments": [PROGRAM, *args],
            "environment": dict(environment),
            "folder": os.getcwd(),
        }
        socket.send_fds(self._connection, [json.dumps(request).encode()], list(files))

    def wait(self, seconds: float) -> int:
        """Waits for its end; returns the exit code, negative for a signal.

        Raises:
            TimeoutError: it has not ended after this time.
        """
        self._connection.settimeout(seconds)
        try:
            return int(self._connection.recv(100))
        finally:
            self._connection.close()


@cache
def _server_address() -> str:
    """Starts the process that loads the program, once; returns the address of its socket."""
    address = os.path.join(tempfile.mkdtemp(prefix="program."), "socket")
    ours, theirs = os.pipe()
    with os.fdopen(ours) as ready:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_program", address, str(theirs)],
            pass_fds=[theirs],
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs)
        atexit.register(process.kill)
        if ready.readline() != "ready\n":
            raise RuntimeError("the program could not be loaded")
    return address


def _serve(address: str, ready: int) -> list[str]:
    """Forks for each request; returns only in a child that runs the program: its arguments."""
    _load()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(address)
    server.listen(100)
    os.write(ready, b"ready\n")
    os.close(ready)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children here report by themselves
    while True:
        connection, _ = server.accept()
        if not os.fork():
            server.close()
            return _start(connection)
        connection.close()


def _load() -> None:
    """Imports what the commands import when they are used."""
    for name in SUMMARIES:
        load(name)
    for module in pkgutil.walk_packages(modelbooster.__path__, "modelbooster."):
        if "__main__" not in module.name:
            pkgutil.resolve_name(module.name)


def _start(connection: socket.socket) -> list[str]:
    """Becomes the program of one request, in a child; this process reports its exit code."""
    data, files, _, _ = socket.recv_fds(connection, _MAX_REQUEST_BYTES, 3)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        for file in files:
            os.close(file)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.send(str(code).encode())
        os._exit(0)
    connection.close()
    request = json.loads(data)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # As Python opens them at its start.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = _output(1, "surrogateescape")
    sys.stderr = _output(2, "backslashreplace")
    arguments: list[str] = request["arguments"]
    return arguments


def _output(number: int, errors: str) -> TextIO:
    is_line_buffered = number == STDERR or os.isatty(number)
    buffering = 1 if is_line_buffered else -1
    return open(number, "w", buffering, encoding="utf-8", errors=errors, closefd=False)


if __name__ == "__main__":
    sys.argv = _serve(sys.argv[1], int(sys.argv[2]))
    run()
