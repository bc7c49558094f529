"""A webhook process of its own, and clients that are as many and as bad as a test wants.

It is the real program on the real API server; clients and server share nothing but sockets, so what
the server takes can be read off its process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import httpx

from certs.pki import new_authority, new_leaf
from tests import loopback
from tests.controlplane import processes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK, Port
from tests.e2e.installation import eventually
from tests.webhook import Client

NAME = "model-booster-webhook.default.svc"
MIB = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")
NEVER_READ = b"\x01\0\0\0\0\0\0\0"
"""SO_LINGER that makes the end of a connection a reset."""


class Certificate:
    """A folder with a serving certificate, and who trusts it."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        authority = new_authority("test", now, timedelta(days=1))
        leaf = new_leaf(authority, [NAME], now, timedelta(days=1))
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tls.crt").write_bytes(leaf.cert)
        (folder / "tls.key").write_bytes(leaf.key)
        self.trust = ssl.create_default_context(cadata=authority.cert.decode())


@dataclass(frozen=True)
class Webhook:
    """A running process of the webhook."""

    process: subprocess.Popen[bytes]
    port: int
    probe_port: int
    certificate: Certificate
    log: Path

    async def connect(self) -> Client:
        """Returns a new connection with its handshake done."""
        reader, writer = await asyncio.open_connection(
            LOOPBACK, self.port, ssl=self.certificate.trust, server_hostname=NAME
        )
        return Client(reader, writer)

    def blocking(self, timeout: float | None = None) -> ssl.SSLSocket:
        """Returns a new connection for a thread."""
        raw = socket.create_connection((LOOPBACK, self.port), timeout)
        return self.certificate.trust.wrap_socket(raw, server_hostname=NAME)

    async def silent(self) -> Client:
        """Returns a connection on which nothing was said, not even for TLS."""
        return Client(*await asyncio.open_connection(LOOPBACK, self.port))

    def is_ready(self) -> bool:
        """Whether the kubelet would say so."""
        url = f"http://{LOOPBACK}:{self.probe_port}/readyz"
        try:
            return loopback.get(url, seconds=2).status_code == 200
        except httpx.TransportError:
            return False

    def until_ready(self) -> None:
        """Waits until requests are answered."""
        eventually(lambda: self.process.poll() is not None or self.is_ready())
        assert self.process.poll() is None, self.log.read_text()

    def stop(self) -> None:
        """Asks it to end, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    @property
    def memory(self) -> int:
        """Bytes of memory that it has now."""
        return int(self._proc("statm").split()[1]) * PAGE

    @property
    def peak(self) -> int:
        """Bytes of memory that it has had at most since ``forget_peak``."""
        (line,) = (row for row in self._proc("status").splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Lets the peak begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    @property
    def sockets(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


class Webhooks:
    """Starts processes of the webhook, and ends them.

    Args:
        plane: the API server that they belong to.
        folder: where logs and certificates go.
    """

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._plane = plane
        self._folder = folder
        self._running: list[Webhook] = []

    @cached_property
    def certificate(self) -> Certificate:
        """The one that all of them serve."""
        return Certificate(self._folder / "certificate")

    def start(self, *, drain_seconds: float = 0) -> Webhook:
        """Starts one, and waits until it is ready."""
        ports = Port(), Port()
        for port in ports:
            port.release()
        settings = {
            "PROBE_HOST": LOOPBACK,
            "PROBE_PORT": ports[0],
            "WEBHOOK_HOST": LOOPBACK,
            "WEBHOOK_PORT": ports[1],
            "CERTIFICATE_MODE": "provided",
            "CERTIFICATE_DIR": self.certificate.folder,
            "DRAIN_SECONDS": drain_seconds,
        }
        environment = {f"MODELBOOSTER_{name}": str(value) for name, value in settings.items()}
        log = self._folder / f"webhook-{len(self._running)}.log"
        config = self._plane.kubeconfig
        command = [sys.executable, "-m", "modelbooster", "webhook", "--kubeconfig", str(config)]
        process = processes.launch(command, log, {"PATH": os.environ["PATH"], **environment})
        made = Webhook(process, ports[1].number, ports[0].number, self.certificate, log)
        self._running.append(made)
        made.until_ready()
        return made

    def end(self) -> None:
        """Ends all of them."""
        for webhook in self._running:
            processes.end(webhook.process)


def started(plane: ControlPlane, folder: Path) -> Iterator[Webhooks]:
    """Yields a maker of processes that ends them."""
    made = Webhooks(plane, folder)
    try:
        yield made
    finally:
        made.end()
