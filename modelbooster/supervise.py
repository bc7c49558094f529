"""Keeps the webhook's port open while the process that serves it is started again.

When a process dies, its listening sockets close, and the API server is refused until the kubelet
has started the container again or the Service leaves it out. So ``model-booster webhook
--supervised`` is two processes. The parent only waits. The child serves; once it is ready it sends
its listening socket to the parent. If it then dies, the parent starts another child with that
socket. What connects meanwhile waits in the backlog of the socket.

The parent ends as its child did if another child would not help, or if crashes are no exception:
the child ended without an error or was told to, its settings are invalid, it was never ready, or it
is the fourth that died in ten minutes. Then the kubelet starts the container again, with its
back-off, and counts it.

The parent imports little of the standard library, because its memory counts in every pod.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from types import FrameType

OPTION = "--supervised"
VARIABLE = "MODEL_BOOSTER_SUPERVISOR"
"""Environment variable by which a child knows what it has from its parent, see ``Inheritance``."""

MAX_RESTARTS = 3
WINDOW_SECONDS = 600.0
"""At most so many children are started again in so much time."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
USAGE = 2
"""Exit code of invalid settings, which are the same for the next child."""

_READY = b"ready"
_PR_SET_PDEATHSIG = 1
"""From prctl(2)."""


class Inheritance:
    """What a child has from its parent.

    Args:
        channel: file descriptor of the socket by which it sends its listening socket.
        listening: file descriptor of the listening socket of the child before it; -1 if there is
            none.
        restarts: how many children there were before it.
        code: how the last of them ended: its exit code, or a signal as a negative number.
        parent: process id of the parent.
    """

    # No dataclass: its module needs 2 MiB.
    def __init__(
        self, channel: int, listening: int = -1, restarts: int = 0, code: int = 0, parent: int = 0
    ) -> None:
        self.channel = channel
        self.listening = listening
        self.restarts = restarts
        self.code = code
        self.parent = parent

    def __str__(self) -> str:
        values = self.channel, self.listening, self.restarts, self.code, self.parent
        return ",".join(map(str, values))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The file descriptors that there are."""
        return tuple(each for each in (self.channel, self.listening) if each >= 0)

    @property
    def reason(self) -> str:
        """How the child before it ended, for people."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        return f"was killed by {signal.Signals(-self.code).name}"

    def keep(self, listening: socket.socket) -> None:
        """Says that this child is ready, and gives the parent its listening socket."""
        with socket.socket(fileno=os.dup(self.channel)) as channel, suppress(OSError):
            socket.send_fds(channel, [_READY], [listening.fileno()])


def is_parent(command: list[str]) -> bool:
    """Returns whether a command line asks for ``supervise``, and this process is no child of it."""
    return command[1:2] == ["webhook"] and OPTION in command[2:] and VARIABLE not in os.environ


def inherit() -> Inheritance | None:
    """Returns what this process has from its parent, and ties its life to it.

    Returns:
        None if this process is no child of ``supervise``.
    """
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    given = Inheritance(*map(int, text.split(",")))
    for descriptor in given.descriptors:
        os.set_inheritable(descriptor, False)
    import ctypes  # which the parent does not need

    with suppress(AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != given.parent:  # it died before the call
        os._exit(128 + signal.SIGKILL)
    return given


def supervise() -> int:
    """Runs the command line of this process in children; returns the exit code.

    A signal that asks this process to end goes on to the child.
    """
    family, deaths = _Family(), list[float]()
    for number in SIGNALS:
        signal.signal(number, family.forward)
    code, kept = family.run(-1, 0, 0)
    while kept >= 0 and not family.is_told and code not in (0, USAGE):
        now = time.monotonic()
        deaths.append(now)
        if sum(now - death < WINDOW_SECONDS for death in deaths) > MAX_RESTARTS:
            break
        code, kept = family.run(kept, len(deaths), code)
    return code if code >= 0 else 128 - code


class _Family:
    """The child that runs at the moment."""

    def __init__(self) -> None:
        self.is_told = False
        """Whether this process was told to end."""
        self._child = 0
        self._channel: socket.socket | None = None

    def run(self, listening: int, restarts: int, code: int) -> tuple[int, int]:
        """Runs a child to its end.

        Args:
            listening: the listening socket that it gets, -1 for none. It is closed here.
            restarts: how many children there were before.
            code: how the last of them ended.

        Returns:
            How it ended, and its listening socket; -1 if it was never ready or was told to end.
        """
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with self._channel, theirs:
            self._start(Inheritance(theirs.fileno(), listening, restarts, code, os.getpid()))
            if listening >= 0:
                os.close(listening)
            ended = self._wait()
            kept = _received(self._channel)
        return ended, kept

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """Passes a signal on.

        The child closes its port when it has drained, so it must not stay open here.
        """
        self.is_told = True
        if self._channel is not None and (kept := _received(self._channel)) >= 0:
            os.close(kept)
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _start(self, given: Inheritance) -> None:
        """Starts a child, in a process group of its own: a terminal would signal both of us."""
        for descriptor in given.descriptors:
            os.set_inheritable(descriptor, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._child = os.posix_spawn(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                {**os.environ, VARIABLE: str(given)},
                setpgroup=0,
                setsigmask=(),
            )
            if self.is_told:
                os.kill(self._child, signal.SIGTERM)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _wait(self) -> int:
        """Waits until the child has ended; returns its exit code, or a signal as a negative number.

        As the first process of a container it also waits for processes that lost their parent.
        """
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == self._child:
                self._child = 0
                return os.waitstatus_to_exitcode(status)


def _received(channel: socket.socket) -> int:
    """Returns the listening socket that a child has sent; -1 if there is none."""
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, len(_READY), 1)
    except OSError:
        return -1
    return descriptors[0] if descriptors else -1
