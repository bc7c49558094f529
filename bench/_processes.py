"""What benchmarks ask of processes that run."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen


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


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of the threads of a process that still run, in seconds.

    Its resolution is a nanosecond; that of ``/proc/PID/stat`` is ten milliseconds.
    """
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
