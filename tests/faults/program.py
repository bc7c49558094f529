"""The controller's real process, for faults that end processes or set their clocks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests import loopback
from tests.controlplane import processes
from tests.controlplane.ports import LOOPBACK, Port
from tests.e2e.installation import eventually

ROOT = Path(__file__).parents[2]
LEASE_NAME = "model-booster-controller"


class Program:
    """One process.

    Args:
        name: of the pod; its identity in the Lease begins with it.
        kubeconfig: whose rights it has.
        folder: where its log goes.
        module: what runs it, with arguments of its own; the program itself, if not given.
        settings: its environment, in small letters and without the prefix.
    """

    def __init__(
        self,
        name: str,
        kubeconfig: Path,
        folder: Path,
        *module: str,
        **settings: object,
    ) -> None:
        port = Port()
        port.release()
        self.url = f"http://{LOOPBACK}:{port}"
        self._log = folder / f"{name}.log"
        settings = {"identity": name, "probe_host": LOOPBACK, "probe_port": port, **settings}
        environment = {f"MODELBOOSTER_{key.upper()}": str(v) for key, v in settings.items()}
        words = [sys.executable, "-m", *(module or ("app",))]
        self.process: subprocess.Popen[bytes] = processes.launch(
            [*words, "controller", "--kubeconfig", kubeconfig],
            self._log,
            {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        )

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def until_ready(self) -> None:
        """Waits until all is listed."""
        eventually(lambda: self.process.poll() is not None or self._asked("/readyz"), 60)
        assert self.process.poll() is None, self.log

    def metric(self, name: str) -> float:
        """Returns the sum of a metric over its labels."""
        lines = self._asked("/metrics").splitlines()
        found = [line for line in lines if re.match(rf"{name}(\{{| )", line)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def memory_kib(self, what: str) -> int:
        """Returns a line of what the kernel says of its memory: VmRSS, or VmHWM for the peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (found,) = re.findall(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found)

    def end(self) -> None:
        """Ends it at once."""
        processes.end(self.process)

    def _asked(self, path: str) -> str:
        try:
            answer = loopback.get(self.url + path, seconds=10)
        except httpx.TransportError:
            return ""
        return answer.text if answer.is_success else ""
