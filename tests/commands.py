"""Runs the program as a user does: with a kubeconfig, in a pipe or in a terminal."""

from __future__ import annotations

import os
import pty
import re
import struct
import termios
from fcntl import ioctl
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from modelbooster.cli.main import main
from tests.conftest import Ran
from tests.forked_program import ProgramProcess

PATIENCE_SECONDS = 100

_AGE = re.compile(r"(?<!\[)\b(?:\d+[ydhms]){1,2}\b( {2,})?")


def run(kubeconfig: Path | str, *args: str, stdin: str = "", **environment: str) -> Ran:
    """Runs the program with its output in files.

    Args:
        kubeconfig: its ``KUBECONFIG``.
        args: its arguments.
        stdin: its standard input.
        environment: further variables.
    """
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        files = (given.fileno(), out.fileno(), err.fileno())
        process = ProgramProcess(args, _environment(kubeconfig, environment), files)
        code = process.wait(PATIENCE_SECONDS)
        for file in (out, err):
            file.seek(0)
        return Ran(out.read().decode(), err.read().decode(), code)


def run_in_process(
    capsys: pytest.CaptureFixture[str], *args: str
) -> tuple[int | str | None, str, str]:
    """Runs a command in this process; returns exit code, stdout and stderr."""
    code: int | str | None = 0
    try:
        main(args)
    except SystemExit as ended:
        code = ended.code or 0
    out = capsys.readouterr()
    return code, out.out, out.err


def run_in_terminal(
    kubeconfig: Path | str, *args: str, columns: int, **environment: str
) -> tuple[str, int]:
    """Runs the program in a terminal; returns what it shows and its exit code.

    Args:
        kubeconfig: its ``KUBECONFIG``.
        args: its arguments.
        columns: width of the terminal.
        environment: further variables.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    variables = _environment(kubeconfig, {"TERM": "xterm-256color", **environment})
    process = ProgramProcess(args, variables, (theirs, theirs, theirs))
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the program has closed its end
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait(PATIENCE_SECONDS)


def aged(text: str) -> str:
    """Returns an output with every age the same; columns keep their width."""

    def same(match: re.Match[str]) -> str:
        return "9s".ljust(len(match[0])) if match[1] else "9s"

    return _AGE.sub(same, text)


def _environment(kubeconfig: Path | str, more: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(kubeconfig),
        **more,
    }
