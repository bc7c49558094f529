"""Child processes that end with this one, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def launch(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a program in the background, its output appended to ``log``.

    It has a session of its own, so that Ctrl-C reaches only this process, which may still need
    its servers to clean up. The kernel kills the program when the thread that launched it ends,
    so call this from a thread that lives long, such as the main thread.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def accept_interrupts() -> None:
    """Restores the default of SIGINT; a ``preexec_fn`` for programs that a test interrupts.

    A shell starts background jobs with SIGINT ignored, and every child inherits that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(process: subprocess.Popen[bytes], *, grace_seconds: float = 0) -> None:
    """Stops a program and waits until it has ended.

    Args:
        process: the program.
        grace_seconds: how long it may take to end by itself after SIGTERM; 0 kills it at once.
    """
    if grace_seconds:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    process.kill()
    process.wait()
