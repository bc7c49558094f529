"""Installs the chart with the real helm; our kubelet runs its pods."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.controlplane import clients
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.kubelet import PROGRAM, Kubelet

ROOT = Path(__file__).parents[2]
NAMESPACE = "model-booster-system"
RELEASE = "model-booster"
HELM_ARGUMENTS = (
    *("install", RELEASE, "charts/model-booster"),
    *("--namespace", NAMESPACE, "--create-namespace"),
    *("--values", "tests/e2e/values.yaml"),
)


def eventually(right: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something is so.

    Raises:
        AssertionError: it never was.
    """
    deadline = time.monotonic() + seconds
    while not right():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


class Installation:
    """What ``helm install`` brings, running.

    Args:
        plane: where to install; it runs, kube-controller-manager included.
        folder: where logs and kubeconfigs go.
        values: more values for the chart, ``controller.replicaCount`` for instance.
        pod_security: the Pod Security standard that the namespace enforces.
        program: see ``Kubelet``.
        checkout: whose chart it is, as a chart starts the program that it was made for.
    """

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        values: Mapping[str, object] | None = None,
        pod_security: str = "restricted",
        program: Sequence[str | Path] = (PROGRAM,),
        checkout: Path = ROOT,
    ) -> None:
        self.plane = plane
        self.kubelet = Kubelet(plane.api, plane.kubeconfig_for, NAMESPACE, folder, program)
        self._values = values or {}
        self._pod_security = pod_security
        self._checkout = checkout
        self._environment = {
            "KUBECONFIG": str(plane.kubeconfig),
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
        }

    def install(self) -> None:
        """Installs the chart and waits until both Deployments are available."""
        self._create_namespace()
        values = [f"--set={name}={value}" for name, value in self._values.items()]
        self.helm(*HELM_ARGUMENTS, *values, "--wait", "--timeout", "90s")
        # Which else looks for kinds whose garbage to collect only twice a minute.
        self.plane.restart_controllers()

    def _create_namespace(self) -> None:
        """Creates the namespace as secured clusters do, unless it exists."""
        labels = {"pod-security.kubernetes.io/enforce": self._pod_security}
        body = {"metadata": {"name": NAMESPACE, "labels": labels}}
        try:
            self.plane.api.request("POST", "/api/v1/namespaces", body)
        except Refused as exc:
            if exc.status != HTTPStatus.CONFLICT:
                raise

    def helm(self, *arguments: str, major: int = 4) -> str:
        """Runs helm of a major version; returns what it printed.

        Raises:
            AssertionError: it failed; the text has what it and our processes said.
        """
        done = subprocess.run(
            [clients.helm(major), *arguments],
            cwd=self._checkout,
            env=self._environment,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{done.stdout}{done.stderr}\n{self.kubelet.logs()}")
        return done.stdout

    def __enter__(self) -> Self:
        self.kubelet.start()
        try:
            self.install()
        except BaseException:
            self.kubelet.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kubelet.stop()
