"""Server processes under load: where they run, what they use, and what is sent to them."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.controlplane.binaries import go_environment

HERE = Path(__file__).parent
PATIENCE_SECONDS = 60.0


def processors() -> tuple[int, int]:
    """Returns which processor serves and which one puts load on; the same if there is one only."""
    there = sorted(os.sched_getaffinity(0))
    return there[0], there[-1]


def built_peer(folder: Path) -> Path:
    """Builds the Go peer."""
    target = folder / "peer"
    subprocess.run(
        ["go", "build", "-o", str(target), "."],
        cwd=HERE / "peer",
        env={**go_environment(), "CGO_ENABLED": "0"},
        check=True,
    )
    return target


class Server:
    """A server process, and what it has used."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._proc = Path(f"/proc/{process.pid}")

    def cpu_seconds(self) -> float:
        """Returns the processor time of all its threads, in steps of nanoseconds."""
        tasks = (self._proc / "task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory_bytes(self) -> int:
        """Returns its resident memory."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Returns the most that it ever had, or had since ``forget_peak``."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Begins anew with the peak."""
        (self._proc / "clear_refs").write_text("5")

    def _status(self, field: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise LookupError(field)


@contextmanager
def running(command: list[str], port: int, processor: int) -> Iterator[Server]:
    """Runs a server on one processor until the block ends."""
    process = subprocess.Popen(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {processor}),
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _listens(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{command[0]} does not listen on port {port}")
            time.sleep(0.05)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def load(
    peer: Path, server: Server, url: str, bodies: Path, *, new: bool, connections: int, count: int
) -> dict[str, float]:
    """Sends reviews, and returns what they cost and how long their answers took.

    Args:
        peer: what sends; it runs where its caller does.
        server: who answers.
        url: the path.
        bodies: a file with a JSON list of reviews, sent in turn; the authority's certificate lies
            beside it.
        new: whether each one is sent on a new connection.
        connections: how many are open at a time.
        count: how many reviews are sent.
    """
    before = server.cpu_seconds()
    done = subprocess.run(
        [
            str(peer),
            "load-new" if new else "load",
            f"https://localhost:{server.port}{url}",
            str(bodies.parent / "ca"),
            str(bodies),
            str(connections),
            str(count),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    used = server.cpu_seconds() - before
    result: dict[str, float] = json.loads(done.stdout)
    return {**result, "cpu_us": used / count * 1e6, "per_cpu_second": count / used}


def sent(server: Server, authority: Path, pieces: list[bytes]) -> int:
    """Sends a request as it is; returns the status of the answer, 0 if there is none."""
    trust = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        with suppress(OSError):  # whoever has heard enough hangs up
            for piece in pieces:
                connection.sendall(piece)
        with suppress(OSError):
            return int(connection.recv(2**16).split()[1])
    return 0
