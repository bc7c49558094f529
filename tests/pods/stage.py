"""What a step works with: the cluster from inside its namespaces, clients, and the load."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import yaml

from app.values.meta import Object, Resource, is_terminating
from tests.admissions import Admissions
from tests.controlplane import clients
from tests.controlplane.api import Api
from tests.e2e.kubelet import serving_process
from tests.pods.fake_node import NAME as FAKE_NODE
from tests.pods.fake_node import FakeNode
from tests.upgrade.serving import POD, ServingController
from tests.world import Admin

ROOT = Path(__file__).parents[2]
SYSTEM = "model-booster-system"
MODELS = "models"
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
LEASE_NAME = "model-booster-controller"
TASKS = Path("/run/containerd/io.containerd.runtime.v2.task/k8s.io")
"""Where containerd keeps the process id of each container."""

COMMAND_SECONDS = 300
"""Timeout of a command; far longer than any takes."""


class StepFailed(AssertionError):
    """A step did not do what it must; the message says what."""


class Stage:
    """The cluster as the steps see it, from inside its namespaces.

    Args:
        folder: the cluster's files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        config = yaml.safe_load(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server, self._token = cluster["server"], user["token"]
        self._ca = Path(cluster["certificate-authority"])
        self.api = self.connect()
        self.models = Admin(self.api, MODELS)
        self.system = Admin(self.api, SYSTEM)
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self._fake_node = FakeNode(self.connect())
        self._serving: list[ServingController] = []
        self.load: Admissions | None = None
        self.disturbed = 0.0
        """When the present step killed or froze something; the step's begin before that."""
        self.gone = 0.0
        """When what it killed was gone: on a busy machine that takes a moment."""

    def connect(self) -> Api:
        """Returns a further connection of the administrator."""
        return Api(self._server, self._ca, self._token)

    def open(self) -> None:
        """Makes the namespaces and begins to play the serving side in those of the models."""
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        for name, labels in ((SYSTEM, restricted), (MODELS, {})):
            body = {"metadata": {"name": name, "labels": labels}}
            self.api.request("POST", "/api/v1/namespaces", body)
        self._fake_node.start()
        for namespace in (MODELS, "default"):
            controller = ServingController(Admin(self.connect(), namespace), FAKE_NODE)
            self._serving.append(controller)

    def play_serving(self) -> None:
        """Begins to play kthena's serving controller; kthena's kinds exist."""
        for controller in self._serving:
            controller.start()

    def check_played(self) -> None:
        """Checks that what is played still runs.

        Raises:
            RuntimeError: it does not; its traceback is in the output.
        """
        played: list[Thread] = [self._fake_node, *(s for s in self._serving if s.ident)]
        if not all(thread.is_alive() for thread in played):
            raise RuntimeError("the played serving side has ended")

    def close(self) -> None:
        """Ends the load and what is played."""
        self.end_load()
        played: list[ServingController | FakeNode] = [*self._serving, self._fake_node]
        for thread in played:
            if thread.is_alive():
                thread.stop()

    def begin_load(self) -> None:
        """Sends admissions, unless it does already, until ``end_load``."""
        if self.load is None:
            self.load = Admissions(self.connect(), MODELS)
            self.load.start()

    def end_load(self) -> None:
        """Sends no more admissions, and waits for the answers."""
        if self.load is not None:
            self.load.stop()
            self.load = None

    def shell(self, text: str) -> str:
        """Runs commands as a user does, in the checkout, with kubectl and helm 4 on PATH.

        Args:
            text: the commands.

        Raises:
            StepFailed: one of them failed; the text has all output.
        """
        return self._run(clients.helm(4).parent, "bash", "-euo", "pipefail", "-c", text)

    def helm(self, major: int, *arguments: str) -> str:
        """Runs helm of a major version; returns what it printed."""
        return self._run(clients.helm(major).parent, "helm", *arguments)

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl; returns what it printed."""
        return self._run(clients.kubectl().parent, "kubectl", *arguments)

    def _run(self, programs: Path, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={
                "KUBECONFIG": str(self.kubeconfig),
                "HOME": str(self.home),
                "PATH": f"{programs}:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise StepFailed(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done.stdout

    def pods(self, component: str) -> list[Object]:
        """Returns the pods of ``webhook`` or ``controller`` that are not being deleted."""
        selector = f"app.kubernetes.io/component={component}"
        found = self.system.list(POD, selector)
        return [pod for pod in found if not is_terminating(pod)]

    def leader(self) -> str:
        """Returns the name of the controller pod that leads; "" if none does."""
        lease = self.system.get(LEASE, LEASE_NAME)
        holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
        return str(holder).partition("_")[0]

    def until_leader(self, *, other_than: str = "") -> str:
        """Waits until a pod leads; returns its name."""
        eventually(lambda: self.leader() not in ("", other_than), "a controller leads")
        return self.leader()

    def restarts(self, pod: str) -> int:
        """Returns how often the container of a pod was started again."""
        found = self.system.until(POD, pod, lambda o: o["status"]["containerStatuses"])
        return int(found["status"]["containerStatuses"][0]["restartCount"])

    def freeze(self, process: int) -> None:
        """Stops a process; admissions that a step may lose are counted from here."""
        self.disturbed = time.monotonic()
        os.kill(process, signal.SIGSTOP)

    def kill(self, process: int) -> None:
        """Kills a process and waits until it is gone; what may be lost is counted from here."""
        self.disturbed = time.monotonic()
        os.kill(process, signal.SIGKILL)
        eventually(lambda: has_ended(process), f"process {process} has ended")
        self.gone = time.monotonic()

    def first_process(self, pod: str) -> int:
        """Returns the first process of a pod's container, as it is named outside of the pod."""
        found = self.system.until(POD, pod, lambda o: o["status"]["containerStatuses"])
        identity = found["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
        return int((TASKS / identity / "init.pid").read_text())

    def serving_process(self, pod: str) -> int:
        """Returns the process of a pod that does its work."""
        return serving_process(self.first_process(pod))

    @contextmanager
    def frozen(self, pod: str) -> Iterator[None]:
        """The process of a pod that does its work does nothing until the block ends."""
        process = self.serving_process(pod)
        self.freeze(process)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(process, signal.SIGCONT)


def has_ended(process: int) -> bool:
    """Returns whether a process has ended; all its connections are closed then."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def eventually(right: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Waits until something is so.

    Raises:
        StepFailed: it never was.
    """
    deadline = time.monotonic() + seconds
    while not right():
        if time.monotonic() > deadline:
            raise StepFailed(f"not so after {seconds:.0f} s: {what}")
        time.sleep(0.1)
