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

A child is a fork of the parent, so it does not start Python a second time. The parent forks before
it has imported more than a little of the standard library: each child starts from the same state,
without threads, sockets of others or keys, and the memory of the parent, which counts in every pod,
stays small.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from types import FrameType

OPTION = "--supervised"
"""The option of ``webhook`` that asks for a parent."""

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
        channel: the socket by which it sends its listening socket.
        listening: the listening socket of the child before it; None if there is none.
        restarts: how many children there were before it.
        code: how the last of them ended: its exit code, or a signal as a negative number.
    """

    # No dataclass: its module needs 2 MiB.
    def __init__(
        self, channel: socket.socket, listening: socket.socket | None, restarts: int, code: int
    ) -> None:
        self._channel = channel
        self.listening = listening
        self.restarts = restarts
        self.code = code

    @property
    def reason(self) -> str:
        """How the child before it ended, for people."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        return f"was killed by {signal.Signals(-self.code).name}"

    def keep(self, listening: socket.socket) -> None:
        """Says that this child is ready, and gives the parent its listening socket."""
        with suppress(OSError):
            socket.send_fds(self._channel, [_READY], [listening.fileno()])


_inheritance: Inheritance | None = None


def inheritance() -> Inheritance | None:
    """Returns what this process has from its parent; None if it is no child of ``supervise``."""
    return _inheritance


def supervise() -> int | None:
    """Runs children of this process, until another child would not help.

    A signal that asks this process to end goes on to the child.

    Returns:
        None in each child, which does the work; the exit code in this process.
    """
    family, deaths = _Family(), list[float]()
    for number in SIGNALS:
        signal.signal(number, family.forward)
    kept: socket.socket | None = None
    code = 0
    while True:
        ended = family.run(kept, len(deaths), code)
        if ended is None:
            return None
        code, kept = ended
        if kept is None or family.is_told or code in (0, USAGE):
            break
        now = time.monotonic()
        deaths.append(now)
        if sum(now - death < WINDOW_SECONDS for death in deaths) > MAX_RESTARTS:
            break
    return code if code >= 0 else 128 - code


class _Family:
    """The child that runs at the moment."""

    def __init__(self) -> None:
        self.is_told = False
        """Whether this process was told to end."""
        self._child = 0
        self._channel: socket.socket | None = None

    def run(
        self, listening: socket.socket | None, restarts: int, code: int
    ) -> tuple[int, socket.socket | None] | None:
        """Runs a child to its end.

        Args:
            listening: the listening socket that it gets; it is closed here.
            restarts: how many children there were before.
            code: how the last of them ended.

        Returns:
            None in the child. Here: how it ended, and its listening socket; None for the socket if
            it was never ready or was told to end.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._channel = ours
        if self._fork():
            ours.close()
            global _inheritance
            _inheritance = Inheritance(theirs, listening, restarts, code)
            return None
        theirs.close()
        if listening is not None:
            listening.close()
        with ours:
            return self._wait(), _received(ours)

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """Passes a signal on.

        The child closes its port when it has drained, so it must not stay open here.
        """
        self.is_told = True
        if self._channel is not None and (kept := _received(self._channel)) is not None:
            kept.close()
        if self._child:
            with suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _fork(self) -> bool:
        """Starts a child; returns whether this is the child."""
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._child = os.fork()
            if not self._child:
                _become_child(parent)
            elif self.is_told:
                os.kill(self._child, signal.SIGTERM)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return not self._child

    def _wait(self) -> int:
        """Waits until the child has ended; returns its exit code, or a signal as a negative number.

        As the first process of a container it also waits for processes that lost their parent.
        """
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == self._child:
                self._child = 0
                return os.waitstatus_to_exitcode(status)


def _become_child(parent: int) -> None:
    """Ties the life of this process to its parent, and handles signals as any process does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)  # a terminal would signal both of us
    import ctypes  # which the parent does not need

    with suppress(AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(128 + signal.SIGKILL)


def _received(channel: socket.socket) -> socket.socket | None:
    """Returns the listening socket that a child has sent; None if there is none."""
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, len(_READY), 1)
    except OSError:
        return None
    return socket.socket(fileno=descriptors[0]) if descriptors else None
