"""Runs the pods of one namespace as processes of this machine.

The control plane of the tests has no nodes, so somebody has to do what a kubelet does: start what
the pod says, with its environment and the token of its service account; ask its probes; report;
end it when it is deleted. Then Deployments roll out as in a cluster, and `helm install --wait` and
`kubectl rollout` mean what they say. Only addresses differ: all pods share this machine's, so each
gets a port of its own for its probes, the webhook listens on its Service's cluster IP, and volumes
of Secrets are folders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.values.meta import Object, is_terminating
from tests import loopback
from tests.controlplane import processes
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.controlplane.ports import LOOPBACK, Port
from tests.e2e.volumes import SecretVolume, secret_volumes

LOOK_SECONDS = 0.1
RESTART_SECONDS = 1.0
"""Shortest time between two starts of a pod's process."""

TOKEN_SECONDS = 24 * 3600
PROGRAM = Path(sys.executable).with_name("model-booster")

KubeconfigFor = Callable[[str, Path, str], Path]
"""Writes a kubeconfig for a token into a file, with a default namespace."""


class Kubelet:
    """Plays the kubelet for the pods of one namespace.

    Args:
        api: the administrator's connection.
        kubeconfig_for: makes the kubeconfig of a process.
        namespace: whose pods to run.
        folder: where logs and kubeconfigs go.
        program: runs the program; what follows are the arguments of the container.
    """

    def __init__(
        self,
        api: Api,
        kubeconfig_for: KubeconfigFor,
        namespace: str,
        folder: Path,
        program: Sequence[str | Path] = (PROGRAM,),
    ) -> None:
        self._api = api
        self._program = program
        self._kubeconfig_for = kubeconfig_for
        self._path = f"/api/v1/namespaces/{namespace}"
        self._namespace = namespace
        self._folder = folder
        self._pods: dict[str, Pod] = {}
        self._volumes: dict[str, list[SecretVolume]] = {}
        self._stopping = threading.Event()
        self._resting = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Begins to look after the pods."""
        self._thread.start()

    def stop(self) -> None:
        """Ends every process at once, without telling the API server."""
        self._stopping.set()
        self._thread.join()

    def rest(self) -> None:
        """Looks at nothing until ``wake``; the pods run on."""
        self._resting.set()

    def wake(self) -> None:
        """Looks after the pods again."""
        self._resting.clear()

    def logs(self, component: str = "") -> str:
        """Returns what the pods of a component, or all of them, have written so far."""
        return "".join(
            path.read_text()
            for path in sorted(self._folder.glob("*.log"))
            if component in path.name
        )

    def pods(self, component: str) -> dict[str, Pod]:
        """Returns a component's running pods by name."""
        return {
            name: pod
            for name, pod in list(self._pods.items())
            if f"-{component}-" in name and pod.process is not None
        }

    def _run(self) -> None:
        try:
            while not self._stopping.wait(LOOK_SECONDS):
                try:
                    if not self._resting.is_set():
                        self._look()
                except (Refused, NoAnswer):
                    continue  # the API server is away, or somebody was quicker
        finally:
            for pod in self._pods.values():
                pod.kill()

    def _look(self) -> None:
        seen = {}
        for obj in self._api.request("GET", f"{self._path}/pods")["items"]:
            name = obj["metadata"]["name"]
            seen[name] = obj
            has_volumes = not is_terminating(obj) and self._refresh_volumes(name, obj)
            if has_volumes and name not in self._pods:
                environment = self.environment(obj)
                self._pods[name] = Pod(name, obj, environment, self._folder, self._program)
        for name, pod in list(self._pods.items()):
            # No scheduler puts pods on nodes here, and the server deletes those at once.
            if name not in seen or is_terminating(seen[name]):
                if pod.has_ended():
                    self._pods.pop(name).kill()
            elif pod.refresh():
                kind = "application/strategic-merge-patch+json"
                body = {"status": pod.status()}
                path = f"{self._path}/pods/{name}/status"
                self._api.request("PATCH", path, body, content_type=kind)

    def _refresh_volumes(self, name: str, obj: Object) -> bool:
        """Writes the Secrets that a pod mounts; returns whether it has all of them."""
        if name not in self._volumes:
            self._volumes[name] = [
                SecretVolume(self._api, f"{self._path}/secrets/{secret}", self._mounted(name, at))
                for at, secret in secret_volumes(obj).items()
            ]
        return all(volume.refresh() for volume in self._volumes[name])

    def _mounted(self, name: str, path: str) -> Path:
        return self._folder / name / path.lstrip("/")

    def environment(self, obj: Object) -> dict[str, str]:
        """Returns the environment of a pod's process, with what differs on this machine."""
        spec, metadata = obj["spec"], obj["metadata"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "PYTHONWARNINGS": "default",
        }
        for entry in spec["containers"][0].get("env", []):
            field = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            value = metadata[field.removeprefix("metadata.")] if field else entry.get("value", "")
            environment[entry["name"]] = value
        name = metadata["name"]
        mounts = {at: str(self._mounted(name, at)) for at in secret_volumes(obj)}
        environment = {key: mounts.get(value, value) for key, value in environment.items()}
        environment["KUBECONFIG"] = str(
            self._kubeconfig_for(
                self._token(spec["serviceAccountName"]),
                self._folder / f"{name}.kubeconfig",
                self._namespace,
            )
        )
        environment["MODELBOOSTER_PROBE_HOST"] = LOOPBACK
        service = environment.get("MODELBOOSTER_WEBHOOK_SERVICE")
        if spec.get("hostNetwork"):  # this machine is the node
            environment["MODELBOOSTER_WEBHOOK_HOST"] = LOOPBACK
        elif service:
            found = self._api.request("GET", f"{self._path}/services/{service}")["spec"]
            environment["MODELBOOSTER_WEBHOOK_HOST"] = found["clusterIP"]
            environment["MODELBOOSTER_WEBHOOK_PORT"] = str(found["ports"][0]["port"])
        return environment

    def _token(self, account: str) -> str:
        path = f"{self._path}/serviceaccounts/{account}/token"
        body = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        token: str = self._api.request("POST", path, body)["status"]["token"]
        return token


def serving_process(number: int) -> int:
    """Returns the process that serves: the child of a supervised one, else the process itself."""
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return int(children[0]) if children else number


class Pod:
    """One pod and its process.

    Args:
        name: the pod's name.
        obj: the pod.
        environment: of its process.
        folder: where its log goes.
        program: what the container's arguments are for.
    """

    def __init__(
        self,
        name: str,
        obj: Object,
        environment: dict[str, str],
        folder: Path,
        program: Sequence[str | Path],
    ) -> None:
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None
        """What it runs as; another one after a restart."""
        self._container = obj["spec"]["containers"][0]
        self._runs_once = obj["spec"]["restartPolicy"] == "Never"
        self._reported_code: int | None = None
        self._grace_seconds = obj["spec"]["terminationGracePeriodSeconds"]
        self._probe_port = Port()
        self._environment = {
            **environment,
            "MODELBOOSTER_PROBE_PORT": str(self._probe_port),
        }
        self._log = folder / f"{name}.log"
        self._restarts = -1
        self._started = ""
        self._ready = False
        self._reported: tuple[bool, int] | None = None
        self._kill_at: float | None = None
        self._start_at = 0.0

    def refresh(self) -> bool:
        """Starts the process if it does not run, asks its probe; returns whether to report."""
        ended = self.process is not None and self.process.poll() is not None
        if ended and self._runs_once:
            return self._code != self._reported_code
        if (self.process is None or ended) and self._may_start():
            self._restarts += 1
            self._started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._probe_port.release()
            command = [*self._program, *self._container["args"]]
            self.process = processes.launch(command, self._log, self._environment)
        self._ready = not self._runs_once and self.is_ready()
        return (self._ready, self._restarts) != self._reported

    def status(self) -> Object:
        """Returns the pod's status as a kubelet would report it."""
        if self._runs_once and self._code is not None:
            self._reported_code = self._code
            phase = "Failed" if self._code else "Succeeded"
            return {"phase": phase, "startTime": self._started}
        self._reported = (self._ready, self._restarts)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = "True" if self._ready else "False"
        return {
            "phase": "Running",
            "startTime": self._started,
            "conditions": [
                {"type": kind, "status": ready, "lastTransitionTime": now}
                for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": self._container["name"],
                    "image": self._container["image"],
                    "imageID": "",
                    "ready": self._ready,
                    "started": True,
                    "restartCount": self._restarts,
                    "state": {"running": {"startedAt": self._started}},
                }
            ],
        }

    @property
    def _code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def has_ended(self) -> bool:
        """Asks the process to end, the first time, and returns whether it has."""
        if self.process is None or self.process.poll() is not None:
            return True
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_seconds
            self.process.terminate()
        return time.monotonic() > self._kill_at

    def kill(self) -> None:
        """Ends the process at once."""
        if self.process is not None:
            processes.end(self.process)

    def _may_start(self) -> bool:
        now = time.monotonic()
        if now < self._start_at:
            return False
        self._start_at = now + RESTART_SECONDS
        return True

    @property
    def address(self) -> str:
        """Host and port for probes and metrics."""
        return f"{LOOPBACK}:{self._probe_port}"

    def ask(self, path: str) -> httpx.Response:
        """Asks the port for probes and metrics.

        Raises:
            httpx.TransportError: nobody answers.
        """
        url = f"http://{self.address}{path}"
        return loopback.get(url, seconds=1)

    def is_ready(self) -> bool:
        """Whether its readiness probe succeeds."""
        try:
            return self.ask("/readyz").is_success
        except httpx.TransportError:
            return False
