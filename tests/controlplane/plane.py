"""A real Kubernetes control plane on loopback, for one test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from tests.controlplane import binaries, processes
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.controlplane.credentials import Authority, new_key, write_kubeconfig
from tests.controlplane.ports import LOOPBACK, Port

START_SECONDS = 60
"""Timeout of a server start, which takes two or three seconds on two idle cores."""

RARE_COLLECTIONS = {"GOGC": "300"}
"""Heaps grow more between garbage collections, which take a third of the servers' time."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
  - {level: Metadata, omitStages: [RequestReceived]}
"""


class DidNotStart(Exception):
    """A server ended or does not respond; the message has the end of its log."""


@dataclass(frozen=True)
class User:
    """A user that the API server knows by a token."""

    name: str
    groups: tuple[str, ...] = ()
    token: str = ""


class ControlPlane:
    """etcd, kube-apiserver and, if wanted, kube-controller-manager.

    RBAC is on and every request is audited. Several can run at once: ports, cluster IPs and
    files are not shared. Call ``start`` from a thread that lives as long as the plane is needed
    (see ``processes.launch``). The servers end with this process, however it ends.

    Args:
        folder: where its files go, made if need be; a temporary folder, removed by ``stop``,
            if not given.
        users: users besides the administrator.
        apiserver_flags: more flags for kube-apiserver.
        environment: more variables for all servers.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        users: Iterable[User] = (),
        apiserver_flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = {**RARE_COLLECTIONS, **(environment or {})}
        """More variables for the servers that are started from now on."""
        self._programs = binaries.find()
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="controlplane."))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._flags = apiserver_flags
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._port, self._controllers_port = Port(), Port()
        self._etcd_ports = Port(), Port()
        # A range of loopback addresses only for this plane: the API server reaches a webhook's
        # Service without kube-proxy if a process listens on its cluster IP.
        high, low = divmod(self._port.number % 2**15, 256)
        self._addresses = f"127.{128 + high}.{low}"

        self.url = f"https://{LOOPBACK}:{self._port}"
        self.authority = Authority(self.folder)
        self.ca_file = self.authority.ca_file
        self.token = token_hex(16)
        self.audit_log = self.folder / "audit.log"
        self.kubeconfig = self.kubeconfig_for(self.token, self.folder / "kubeconfig")
        self.api = Api(self.url, self.ca_file, self.token)
        self._write_files([User("admin", ("system:masters",), self.token), *users])

    @property
    def etcd_url(self) -> str:
        """The address of etcd."""
        return f"http://{LOOPBACK}:{self._etcd_ports[0]}"

    @property
    def minor(self) -> int:
        """The minor version of the running API server; some texts and features depend on it."""
        return int(self.api.request("GET", "/version")["minor"])

    def kubeconfig_for(self, token: str, path: Path, namespace: str = "default") -> Path:
        """Writes a kubeconfig for a token; returns ``path``."""
        return write_kubeconfig(path, self.url, self.ca_file, token, namespace)

    def start(self) -> Self:
        """Starts etcd and kube-apiserver and waits until they serve.

        Raises:
            DidNotStart: one of them does not serve; everything is stopped again.
        """
        try:
            self._start_etcd()
            self.start_apiserver()
        except BaseException:
            self.stop()
            raise
        return self

    def start_apiserver(self) -> None:
        """Starts kube-apiserver, on the same port as before, and waits until it is ready."""
        certificate, key = self._serving_files
        self._launch(
            "kube-apiserver",
            self._programs.kube_apiserver,
            f"--etcd-servers={self.etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._port}",
            "--permit-port-sharing",
            f"--service-cluster-ip-range={self._addresses}.0/24",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--cert-dir={self.folder}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'accounts.key'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            f"--audit-policy-file={self.folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=10000",  # MB: one file, never rotated while it is read
            "--allow-privileged",
            *self._flags,
        )
        self._await("kube-apiserver", lambda: bool(self.api.request("GET", "/readyz")))

    def stop_apiserver(self, *, grace_seconds: float = 0) -> None:
        """Stops only kube-apiserver; connections are refused until it is back.

        Args:
            grace_seconds: time for a graceful stop; 0 is a crash.
        """
        self._end("kube-apiserver", grace_seconds)

    def process_id(self, name: str) -> int:
        """Returns the number of the process of a running server, such as ``kube-apiserver``."""
        return self._running[name].pid

    def start_controllers(self) -> None:
        """Starts kube-controller-manager and waits until it works.

        It collects garbage, empties namespaces that are deleted and makes service accounts. Kinds
        that are installed later are collected only after half a minute; ``restart_controllers``
        makes it look again at once.
        """
        self._launch(
            "kube-controller-manager",
            self._programs.kube_controller_manager,
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._controllers_port}",
            "--permit-port-sharing",
            f"--cert-dir={self.folder}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self.ca_file}",
            "--use-service-account-credentials",
            # A test run deletes hundreds of objects a minute; the defaults are too slow for that.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._await("kube-controller-manager", lambda: bool(self.api.request("GET", account)))

    def restart_controllers(self) -> None:
        """Restarts kube-controller-manager, so that it discovers new kinds at once."""
        self._end("kube-controller-manager", 0)
        self.start_controllers()

    def stop(self) -> None:
        """Ends all servers; removes the folder if it is a temporary one."""
        for name in list(self._running):
            self._end(name, 0)
        self.api.close()
        for port in (self._port, self._controllers_port, *self._etcd_ports):
            port.release()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _write_files(self, users: list[User]) -> None:
        hosts = [LOOPBACK, f"{self._addresses}.1", "localhost", "kubernetes.default.svc"]
        self._serving_files = self.authority.serving_pair("kube-apiserver", hosts)
        new_key(self.folder / "accounts.key")
        (self.folder / "audit-policy.yaml").write_text(AUDIT_POLICY)
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(
            "".join(f'{u.token},{u.name},{u.name},"{",".join(u.groups)}"\n' for u in users)
        )

    def _start_etcd(self) -> None:
        clients, peers = (f"http://{LOOPBACK}:{port}" for port in self._etcd_ports)
        self._launch(
            "etcd",
            self._programs.etcd,
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--socket-reuse-port",
            "--log-level=error",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
        )

    def _launch(self, name: str, *command: str | Path) -> None:
        log = self.folder / f"{name}.log"
        self._running[name] = processes.launch(command, log, {**os.environ, **self.environment})

    def _end(self, name: str, grace_seconds: float) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            processes.end(process, grace_seconds=grace_seconds)

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if ready():
                    return
            except (Refused, NoAnswer):
                pass
            for other, process in self._running.items():
                if process.poll() is not None:
                    raise self._did_not_start(other, f"ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise self._did_not_start(name, f"does not answer after {START_SECONDS} s")
            time.sleep(0.05)

    def _did_not_start(self, name: str, why: str) -> DidNotStart:
        log = (self.folder / f"{name}.log").read_text(errors="replace")
        return DidNotStart(f"{name} {why}; the end of its log:\n{log[-3000:]}")
