"""The environment of a soak: a real API server, a faulty proxy, and the real processes.

The processes have exactly the chart's rights. They are restarted when they end, as the kubelet
does. The test itself reaches the API server without the proxy.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.values.meta import Object, Resource
from tests import loopback
from tests.chart import CONTROLLER, NAMESPACE, WEBHOOK, container, one, rendered
from tests.controlplane import crds, processes
from tests.controlplane.api import APPLY, Api
from tests.controlplane.credentials import write_kubeconfig
from tests.controlplane.plane import ControlPlane, User
from tests.controlplane.ports import LOOPBACK, Port
from tests.proxy import Proxy
from tests.world import Admin, World

ROOT = Path(__file__).parents[2]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = {
    "ClusterRole": f"{RBAC}/clusterroles/",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings/",
    "Role": f"{RBAC}/namespaces/{NAMESPACE}/roles/",
    "RoleBinding": f"{RBAC}/namespaces/{NAMESPACE}/rolebindings/",
}
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
SECRET = Resource("", "v1", "secrets", "Secret")
SERVICE = Resource("", "v1", "services", "Service")
STATE = (LEASE, SECRET, SERVICE)
"""Other objects of the chart that the processes need."""
ACCOUNTS = {
    name: User(f"system:serviceaccount:{NAMESPACE}:{name}", ("system:serviceaccounts",), name)
    for name in (CONTROLLER, WEBHOOK)
}
RESTART_SECONDS = 1.0
NOTE_SECONDS = 2.0
"""Interval at which a process records what it holds."""


@dataclass
class Replica:
    """One pod: a process that is restarted when it ends.

    Args:
        name: its name, the prefix of its identity in the Lease.
        command: controller or webhook.
        kubeconfig: of its service account.
        settings: its environment.
        folder: for its log and its records.
    """

    name: str
    command: str
    kubeconfig: Path
    settings: dict[str, str]
    folder: Path
    ended: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Its log, of all its lives."""
        return self.folder / f"{self.name}.log"

    @property
    def notes(self) -> Path:
        """Its last record, in this life."""
        return self.folder / f"{self.name}.{len(self.ended)}.json"

    @property
    def is_ready(self) -> bool:
        """The response of its probe."""
        port = self.settings["MODELBOOSTER_PROBE_PORT"]
        with suppress(httpx.TransportError):
            return loopback.get(f"http://{LOOPBACK}:{port}/readyz").is_success
        return False

    def start(self) -> None:
        """Starts it; from the main thread, see ``processes.launch``."""
        module: list[str | Path] = [sys.executable, "-m", "tests.soak.observed"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.settings}
        self.process = processes.launch(
            [*module, self.notes, str(NOTE_SECONDS), self.command, "--kubeconfig", self.kubeconfig],
            self.log,
            environment,
        )

    def send(self, number: signal.Signals) -> None:
        """Sends a signal if the process runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    async def keep(self) -> None:
        """Restarts the process whenever it ends, until cancelled."""
        while True:
            if self.process is not None and self.process.poll() is not None:
                self.ended.append(self.process.returncode)
                await asyncio.sleep(RESTART_SECONDS)
                self.start()
            await asyncio.sleep(0.1)


class Room:
    """The control plane, the proxy and the processes.

    Args:
        plane: the control plane.
        proxy: between the processes and the control plane.
        folder: for logs and records.
        chance: source of all random choices.
    """

    def __init__(
        self, plane: ControlPlane, proxy: Proxy, folder: Path, chance: random.Random
    ) -> None:
        self.plane = plane
        self.proxy = proxy
        self.folder = folder
        self.chance = chance
        self.admin = Admin(plane.api, "default")
        self.world = World(self.admin)
        self.definition = asyncio.Lock()
        """Held to write a ModelBooster, and while another definition is installed."""
        self.replicas = [*_controllers(self, folder), _webhook(self, folder)]

    @property
    def controllers(self) -> list[Replica]:
        """The replicas that share the lease."""
        return [replica for replica in self.replicas if replica.command == "controller"]

    async def holder(self) -> str:
        """Returns the replica that holds the lease; ``""`` if none does or it is unknown."""
        lease = await asyncio.to_thread(Admin(self.plane.api, NAMESPACE).get, LEASE, CONTROLLER)
        holder = str((lease or {}).get("spec", {}).get("holderIdentity") or "")
        return holder.rpartition("_")[0]

    async def leader(self) -> Replica:
        """Returns the leader; any controller if there is none."""
        with suppress(Exception):
            holder = await self.holder()
            for replica in self.controllers:
                if holder == replica.name:
                    return replica
        return self.chance.choice(self.controllers)

    def grant(self, *, without: str = "") -> None:
        """Grants the controller its rights, without those to one kind if given."""
        role = one(rendered(), "ClusterRole", CONTROLLER)
        rules = [
            {**rule, "resources": left}
            for rule in role["rules"]
            if (left := [name for name in rule["resources"] if name != without])
        ]
        _apply(self.plane.api, ROLES["ClusterRole"] + CONTROLLER, {**role, "rules": rules})


@contextmanager
def open_room(folder: Path, seed: int) -> Iterator[Room]:
    """Starts everything and waits until the processes are ready; stops all at the end."""
    plane = ControlPlane(folder / "plane", users=ACCOUNTS.values())
    with plane, Proxy(plane, folder, seed) as proxy:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        plane.start_controllers()
        _install(plane.api)
        _register(plane.api)
        room = Room(plane, proxy, folder, random.Random(seed))
        try:
            for replica in room.replicas:
                replica.start()
            _until_ready(room)
            yield room
        finally:
            for replica in room.replicas:
                replica.send(signal.SIGCONT)
                if replica.process is not None:
                    processes.end(replica.process)


def _install(api: Api) -> None:
    """Installs what the chart has besides Deployments and webhook configurations."""
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    paths = {resource.kind: f"{resource.path(NAMESPACE)}/" for resource in STATE} | ROLES
    for obj in rendered():
        if obj["kind"] in paths:
            _apply(api, paths[obj["kind"]] + obj["metadata"]["name"], obj)


def _apply(api: Api, path: str, obj: Object) -> None:
    params = {"fieldManager": "tests", "force": "true"}
    api.request("PATCH", path, obj, content_type=APPLY, params=params)


def _controllers(room: Room, folder: Path) -> Iterator[Replica]:
    kubeconfig = _kubeconfig(room, CONTROLLER, folder)
    for name in ("first", "second"):
        settings = {
            **_probes(),
            "MODELBOOSTER_NAMESPACE": NAMESPACE,
            "MODELBOOSTER_LEASE_NAME": CONTROLLER,
            "MODELBOOSTER_IDENTITY": name,
        }
        yield Replica(name, "controller", kubeconfig, settings, folder)


def _webhook(room: Room, folder: Path) -> Replica:
    """Returns the webhook: the chart's own environment, listening on its Service's address."""
    pod = container(one(rendered(), "Deployment", WEBHOOK))
    service = room.plane.api.request("GET", SERVICE.path(NAMESPACE, WEBHOOK))["spec"]
    settings = {
        **{entry["name"]: entry["value"] for entry in pod["env"] if "value" in entry},
        **_probes(),
        "MODELBOOSTER_NAMESPACE": NAMESPACE,
        "MODELBOOSTER_WEBHOOK_HOST": service["clusterIP"],
        "MODELBOOSTER_WEBHOOK_PORT": str(service["ports"][0]["port"]),
    }
    return Replica("webhook", "webhook", _kubeconfig(room, WEBHOOK, folder), settings, folder)


def _kubeconfig(room: Room, account: str, folder: Path) -> Path:
    path, plane = folder / f"{account}.kubeconfig", room.plane
    token = ACCOUNTS[account].token
    return write_kubeconfig(path, room.proxy.url, plane.ca_file, token, "default")


def _probes() -> dict[str, str]:
    return {"MODELBOOSTER_PROBE_HOST": LOOPBACK, "MODELBOOSTER_PROBE_PORT": _free_port()}


def _free_port() -> str:
    port = Port()
    port.release()
    return str(port)


def _until_ready(room: Room) -> None:
    """Waits until every process has started and one controller leads."""
    deadline = time.monotonic() + 60
    while not (all(replica.is_ready for replica in room.replicas) and _leads(room)):
        if time.monotonic() > deadline:
            said = "\n".join(replica.log.read_text()[-1000:] for replica in room.replicas)
            raise TimeoutError(f"the processes do not begin:\n{said}")
        time.sleep(0.1)


def _leads(room: Room) -> bool:
    return any("leads now" in replica.log.read_text() for replica in room.controllers)


def _register(api: Api) -> None:
    """Registers the webhook as the chart does; the webhook itself adds the authority."""
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        name = f"{kind}s/{WEBHOOK}".lower()
        _apply(api, f"{ADMISSION}/{name}", one(rendered(), kind, WEBHOOK))
