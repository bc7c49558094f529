"""The controller and the webhook as processes of a pod of the chart, on a real API server."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench._pods import can_be_a_pod, in_pod
from bench._processes import cpu_seconds, free_port, is_ready
from bench.ready import environment
from tests import chart
from tests.controlplane.plane import ControlPlane, User

PATIENCE_SECONDS = 600
LOOK_SECONDS = 0.01
IDLE_CPU_SECONDS = 0.15
"""CPU time in ``IDLE_LOOK_SECONDS`` of a process that only answers probes."""

IDLE_LOOK_SECONDS = 3.0


class Member:
    """The controller or the webhook.

    Args:
        plane: the API server.
        component: which of the two.
        user: whose token it has.
        checkout: the build, with an environment in .venv.
    """

    def __init__(self, plane: ControlPlane, component: str, user: User, checkout: Path) -> None:
        self.component = component
        self.user = user
        self.probe_port = free_port()
        self.log = plane.folder / f"{component}.log"
        self._plane = plane
        self._checkout = checkout
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Starts it; returns the seconds until it is ready."""
        began = time.monotonic()
        self.launch()
        self.wait()
        return time.monotonic() - began

    def launch(self) -> None:
        """Starts it, and does not wait."""
        python = str(self._checkout / ".venv/bin/python")
        command, variables = self._as_pod([python, "-m", "modelbooster", self.component])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._checkout, env=variables, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Waits until it is ready."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_ready(self.probe_port):
            if self.has_ended or time.monotonic() > until:
                raise SystemExit(f"{self.component}: {self.log.read_text()[-2000:]}")
            time.sleep(LOOK_SECONDS)

    def wait_until_idle(self) -> float:
        """Waits until it does nothing; returns its CPU seconds at the moment when it stopped."""
        before = self.cpu_seconds
        while True:
            time.sleep(IDLE_LOOK_SECONDS)
            now = self.cpu_seconds
            if now - before < IDLE_CPU_SECONDS:
                return before
            before = now

    def stop(self) -> None:
        """Stops it as the kubelet does."""
        if self._process and not self.has_ended:
            self._process.terminate()
            self._process.wait(60)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    @contextmanager
    def kept_running(self) -> Iterator[list[int]]:
        """Starts it again whenever it ends during a block; yields the exit codes so far."""
        codes: list[int] = []
        is_over = threading.Event()

        def keep() -> None:
            while not is_over.wait(0.2):
                if self.has_ended and self._process:
                    codes.append(self._process.returncode)
                    self.launch()

        # The kernel ends children with the thread that launched them, unless it is the main thread.
        thread = threading.Thread(target=keep)
        thread.start()
        try:
            yield codes
        finally:
            is_over.set()
            thread.join()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process is None or self._process.poll() is not None

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far, in user and system mode."""
        return cpu_seconds(self.pid)

    @property
    def resident_kib(self) -> int:
        """Memory in use."""
        return self._status("VmRSS")

    @property
    def peak_kib(self) -> int:
        """The most memory since its start."""
        return self._status("VmHWM")

    @property
    def passes(self) -> int:
        """Passes of the controller since its start."""
        with urlopen(f"http://127.0.0.1:{self.probe_port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        name = "controller_runtime_reconcile_total{"
        return int(sum(float(line.split()[-1]) for line in lines if line.startswith(name)))

    def _status(self, field: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0])

    def _as_pod(self, command: list[str]) -> tuple[list[str], dict[str, str]]:
        """Returns the command that runs another one as in a pod, and its environment."""
        variables = environment(self._plane, self.component, self.probe_port)
        variables["MODELBOOSTER_LOG_LEVEL"] = "warning"
        if not can_be_a_pod():  # the library that reads a kubeconfig takes memory
            path = self._plane.folder / f"{self.component}.kubeconfig"
            variables["KUBECONFIG"] = str(self._plane.kubeconfig_for(self.user.token, path))
            for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
                del variables[name]
            return command, variables
        return in_pod(command, self._plane.ca_file, self.user.token, chart.NAMESPACE), variables
