"""What benchmarks ask of processes that run."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import urlopen

_LOOK_SECONDS = 0.01


def free_port() -> int:
    """Returns a port of loopback that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def is_ready(probe_port: int) -> bool:
    """Returns whether a process of ours says that it is ready."""
    with suppress(OSError, HTTPError), urlopen(f"http://127.0.0.1:{probe_port}/readyz") as answer:
        return bool(answer.status == 200)
    return False


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started and that still run."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process."""
    return _memory(pid, "Rss")


def private_bytes(pid: int) -> int:
    """Returns the resident memory that a process shares with no other."""
    return _memory(pid, "Private_Clean", "Private_Dirty")


def _memory(pid: int, *names: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)
    }
    return 1024 * sum(kib[name] for name in names)


def whole_cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process, with its threads that have ended, to ten milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of the threads of a process that still run, in seconds.

    Its resolution is a nanosecond; that of ``/proc/PID/stat`` is ten milliseconds.
    """
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Busy:
    """Looks, a hundred times a second, whether a process works: whether a thread of it runs or
    waits for a processor.

    Use it as a context manager.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._looks: list[tuple[float, bool]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def share(self, begin: float, end: float) -> float:
        """Returns in which share of a time it worked.

        Args:
            begin: begin of the time, in seconds since 1970.
            end: its end.
        """
        found = [works for at, works in self._looks if begin <= at <= end]
        return sum(found) / len(found)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._looks.append((time.time(), any(map(_works, self._tasks.iterdir()))))


def _works(task: Path) -> bool:
    with suppress(OSError):  # a thread that has ended
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    return False
