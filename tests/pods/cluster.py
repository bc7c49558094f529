"""A cluster with a real node, on this machine: start, load images, run programs inside, stop."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.pods.machine import Unfit

SCRIPT = Path(__file__).parents[1] / "controlplane" / "realcluster.sh"
START_SECONDS = 180
"""Timeout of the start, which takes seven seconds on two idle cores."""

LOGS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd")
# The fake node sends no heartbeats.
CONTROLLER_FLAGS = "--node-monitor-grace-period=24h"


class RealCluster:
    """A control plane, kubelet, containerd and runc in namespaces of their own.

    Args:
        programs: the folder with its programs.
        folder: where its files go; it must not exist.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self.folder = folder

    def __enter__(self) -> Self:
        """Starts it and waits until its node is ready.

        Raises:
            Unfit: it does not start; the text has the ends of the logs.
        """
        environment = {**os.environ, "CLUSTER_KCM_FLAGS": CONTROLLER_FLAGS}
        command: list[str | Path] = [SCRIPT, "start", self._programs, self.folder]
        output = self.folder.with_suffix(".log")
        try:
            with output.open("wb") as log:
                code = subprocess.call(
                    command, stdout=log, stderr=log, env=environment, timeout=START_SECONDS
                )
            why = f"the start ended with {code}"
        except subprocess.TimeoutExpired:
            code, why = 1, f"the node is not ready after {START_SECONDS} s"
        except BaseException:
            self.stop()
            raise
        if code:
            logs = self._logs(output)
            self.stop()
            raise Unfit(f"the cluster does not start: {why}\n{logs}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def load(self, archive: Path) -> None:
        """Loads an image, for pods that do not pull it always.

        Raises:
            Unfit: containerd does not take it.
        """
        command: list[str | Path] = [SCRIPT, "load", self.folder, archive]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode:
            raise Unfit(f"containerd does not load {archive.name}:\n{done.stderr}")

    def execute(self, *command: str | Path) -> int:
        """Runs a program in the namespaces, with this output; returns its exit code."""
        return subprocess.call([SCRIPT, "exec", self.folder, *command])

    def stop(self) -> None:
        """Ends everything inside."""
        # A start that failed has not yet written the first of these.
        for name in (self.folder / "namespaces.pid", Path(f"{self.folder}.run/init.pid")):
            if name.exists():
                self.folder.mkdir(exist_ok=True)
                (self.folder / "namespaces.pid").write_text(name.read_text())
                subprocess.call([SCRIPT, "stop", self.folder])
                break

    def _logs(self, output: Path) -> str:
        """Returns the ends of all logs."""
        paths = [output, *(self.folder / f"{name}.log" for name in (*LOGS, "kubelet"))]
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
            for path in paths
            if path.exists()
        )
