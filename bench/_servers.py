"""Runs server processes under load and measures their CPU and memory."""

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

from bench._processes import cpu_seconds
from tests.controlplane.binaries import go_environment

HERE = Path(__file__).parent
PATIENCE_SECONDS = 60.0


def processors() -> tuple[int, int]:
    """Returns the CPU of the server and the CPU of the client; the same if there is only one."""
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
    """A server process and its resource usage."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._proc = Path(f"/proc/{process.pid}")

    def cpu_seconds(self) -> float:
        """Returns the CPU time of all threads in seconds, with nanosecond resolution."""
        return cpu_seconds(self.process.pid)

    def memory_bytes(self) -> int:
        """Returns the resident memory in bytes."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Returns the peak resident memory in bytes, since ``forget_peak`` if called."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Resets the peak."""
        (self._proc / "clear_refs").write_text("5")

    def _status(self, field: str) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise LookupError(field)


@contextmanager
def running(command: list[str], port: int, processor: int) -> Iterator[Server]:
    """Runs a server on one CPU until the block ends."""
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
    """Sends reviews; returns their cost and latency.

    Args:
        peer: the client program; it runs on the CPU of the caller.
        server: the server under load.
        url: path of the webhook.
        bodies: file with a JSON list of reviews; ``ca`` in the same folder is the CA certificate.
        new: whether each review uses a new connection.
        connections: number of concurrent connections.
        count: number of reviews.
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
    """Sends raw bytes; returns the status code of the reply, or 0 if there is none."""
    trust = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as raw,
        trust.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        with suppress(OSError):  # the server may close the connection early
            for piece in pieces:
                connection.sendall(piece)
        with suppress(OSError):
            return int(connection.recv(2**16).split()[1])
    return 0
