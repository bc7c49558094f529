"""The processes, started by hand on the command line: how they begin and how they end."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.apis.kinds import MODEL_ROUTE
from app.values.meta import Resource
from certs.pki import new_authority, new_leaf
from tests import loopback
from tests.controlplane import processes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK, Port
from tests.e2e.installation import eventually
from tests.e2e.kubelet import serving_process
from tests.proxy import Proxy, Rule, Silence
from tests.world import Admin

LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PROGRAM = Path(sys.executable).with_name("model-booster")


class Running:
    """A process, and the port that its probes are asked on."""

    def __init__(self, command: str, kubeconfig: Path, log: Path, **settings: object) -> None:
        port = Port()
        port.release()
        self.url = f"http://{LOOPBACK}:{port}"
        self._log = log
        environment = {
            "PATH": os.environ["PATH"],
            "MODELBOOSTER_PROBE_HOST": LOOPBACK,
            "MODELBOOSTER_PROBE_PORT": str(port),
            **{f"MODELBOOSTER_{name.upper()}": str(value) for name, value in settings.items()},
        }
        words: list[str | Path] = [PROGRAM, *command.split(), "--kubeconfig", kubeconfig]
        self.process = processes.launch(words, log, environment)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self, path: str) -> int:
        """Returns the status of an answer, 0 if there is none."""
        try:
            return loopback.get(self.url + path, seconds=2).status_code
        except httpx.TransportError:
            return 0

    def until_ready(self) -> None:
        eventually(lambda: self.process.poll() is not None or self.ask("/readyz") == 200)
        assert self.process.poll() is None, self.log


Start = Callable[..., Running]


@pytest.fixture
def start(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a process as the administrator, its Lease and Secret in the test's namespace."""
    running: list[Running] = []

    def start(command: str, cluster: Path = kubeconfig, **settings: object) -> Running:
        log = tmp_path / f"{len(running)}.log"
        places = {"namespace": namespace, "namespaces": namespace}
        made = Running(command, cluster, log, **{**places, **settings})
        running.append(made)
        return made

    yield start
    for each in running:
        processes.end(each.process)


def test_controller_shuts_down_in_order(start: Start, plane: ControlPlane, namespace: str) -> None:
    running = start("controller")
    running.until_ready()
    assert running.ask("/livez") == 200
    system = Admin(plane.api, namespace)
    name = "model-booster-controller"
    system.until(LEASE, name, lambda obj: obj["spec"]["holderIdentity"])

    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(60) == 0
    lease = system.get(LEASE, name)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


@pytest.mark.parametrize(("prefixes", "is_warned"), [("/", True), ("/data", False)])
def test_unrestricted_host_paths_are_warned_about(
    start: Start, prefixes: str, is_warned: bool
) -> None:
    running = start("controller", host_path_prefixes=prefixes)
    running.until_ready()
    assert ("every folder of every node may be mounted" in running.log) is is_warned


def test_standby_controller_shuts_down(start: Start) -> None:
    first = start("controller")
    first.until_ready()
    eventually(lambda: "leads now" in first.log)
    second = start("controller")
    second.until_ready()
    eventually(lambda: "waits: " in second.log)

    second.process.send_signal(signal.SIGTERM)

    assert second.process.wait(60) == 0
    assert first.process.poll() is None


def test_controller_exits_when_it_loses_its_lease(
    start: Start, plane: ControlPlane, namespace: str
) -> None:
    running = start("controller", lease_seconds=5, lease_renew_seconds=3, lease_retry_seconds=0.2)
    running.until_ready()
    eventually(lambda: "leads now" in running.log)
    system = Admin(plane.api, namespace)

    system.patch(LEASE, "model-booster-controller", {"spec": {"holderIdentity": "another"}})

    assert running.process.wait(60) == 1
    assert "the process ends: another holds the lease now" in running.log
    assert "stacktrace" not in running.log


def test_readiness_fails_first_and_a_second_signal_exits_at_once(
    start: Start, certificate: Path
) -> None:
    running = start("webhook", **_provided(certificate), drain_seconds=300)
    running.until_ready()

    running.process.send_signal(signal.SIGTERM)
    eventually(lambda: running.ask("/readyz") == 503)
    assert running.ask("/livez") == 200
    running.process.send_signal(signal.SIGINT)

    assert running.process.wait(60) == 128 + signal.SIGINT


@pytest.fixture
def certificate(tmp_path: Path, namespace: str) -> Path:
    """A folder with a certificate for the webhook's Service."""
    now = datetime.now(UTC)
    authority = new_authority("test", now, timedelta(days=1))
    leaf = new_leaf(authority, [f"model-booster-webhook.{namespace}.svc"], now, timedelta(days=1))
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "tls.crt").write_bytes(leaf.cert)
    (folder / "tls.key").write_bytes(leaf.key)
    (folder / "ca.crt").write_bytes(authority.cert)
    return folder


def _provided(folder: Path) -> dict[str, object]:
    port = Port()
    port.release()
    return {
        "certificate_mode": "provided",
        "certificate_dir": folder,
        "webhook_host": LOOPBACK,
        "webhook_port": port,
    }


def _answer(certificate: Path, settings: dict[str, object], namespace: str) -> httpx.Response:
    """Sends the webhook something that is no review; returns its answer."""
    context = ssl.create_default_context(cafile=str(certificate / "ca.crt"))
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        return client.post(
            f"https://{LOOPBACK}:{settings['webhook_port']}/validate/modelbooster",
            content=b"{}",
            headers={"Content-Type": "application/json"},
            extensions={"sni_hostname": f"model-booster-webhook.{namespace}.svc"},
        )


def test_provided_certificate_is_served(start: Start, certificate: Path, namespace: str) -> None:
    settings = _provided(certificate)
    running = start("webhook", **settings, drain_seconds=0)
    running.until_ready()

    answer = _answer(certificate, settings, namespace)

    assert answer.status_code == 400
    assert "AdmissionReview" in answer.text
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0


def test_supervised_webhook_is_started_again_and_refuses_nobody(
    start: Start, certificate: Path, namespace: str
) -> None:
    settings = _provided(certificate)
    running = start("webhook --supervised", **settings, drain_seconds=0)
    running.until_ready()
    eventually(lambda: "the port stays open" in running.log)
    first = serving_process(running.process.pid)
    assert first != running.process.pid

    os.kill(first, signal.SIGKILL)
    answer = _answer(certificate, settings, namespace)

    assert answer.status_code == 400
    assert "AdmissionReview" in answer.text
    assert serving_process(running.process.pid) != first
    assert "the process before this one was killed by SIGKILL (restart 1)" in running.log
    text = loopback.get(f"{running.url}/metrics").text
    assert "modelbooster_webhook_restarts_total 1.0" in text.splitlines()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0


def test_webhook_that_is_started_again_does_not_wait_for_every_list(
    proxy: Proxy, start: Start, certificate: Path, namespace: str
) -> None:
    """Who connects waits for 10 s at most, and a new process needs some of them to start."""
    settings = _provided(certificate)
    running = start("webhook --supervised", proxy.kubeconfig, **settings, drain_seconds=0)
    eventually(lambda: "the port stays open" in running.log)
    proxy.add(Rule(Silence(), verb="watch", resource=MODEL_ROUTE.plural, times=None))

    os.kill(serving_process(running.process.pid), signal.SIGKILL)
    answer = _answer(certificate, settings, namespace)

    assert answer.status_code == 400
    ready = loopback.get(f"{running.url}/readyz")
    assert ready.status_code == 503
    assert "still reading modelroutes" in ready.text


def test_one_process_runs_webhook_and_controller(start: Start, certificate: Path) -> None:
    running = start("run", **_provided(certificate), drain_seconds=0)
    running.until_ready()
    eventually(lambda: "leads now" in running.log)
    text = loopback.get(f"{running.url}/metrics").text
    assert "controller_runtime_max_concurrent_reconciles" in text
    assert "controller_runtime_webhook_requests_in_flight" in text
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0


def _ended(*command: str | Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [PROGRAM, *command],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.fault("F47")
def test_misspelt_setting_is_reported_and_nothing_starts() -> None:
    assert _ended("controller", MODELBOOSTER_WORKER="3") == (
        2,
        "Error: MODELBOOSTER_WORKER is no setting; did you mean MODELBOOSTER_WORKERS?\n",
    )


def test_missing_cluster_access_is_reported(tmp_path: Path) -> None:
    code, said = _ended("webhook", "--kubeconfig", tmp_path / "none")
    assert code == 2
    assert "Error: no usable access to an API server" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("command", "which"), [("controller", "PROBE"), ("webhook", "WEBHOOK")])
def test_port_in_use_is_reported(kubeconfig: Path, command: str, which: str) -> None:
    free = Port()
    free.release()
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"MODELBOOSTER_PROBE_PORT": str(free), f"MODELBOOSTER_{which}_PORT": port}
        hosts = {"MODELBOOSTER_PROBE_HOST": LOOPBACK, "MODELBOOSTER_WEBHOOK_HOST": LOOPBACK}
        code, said = _ended(command, "--kubeconfig", kubeconfig, **hosts, **ports)
    assert code == 2
    assert f"Error: {LOOPBACK} port {port} cannot be listened on: Address already in use" in said
    assert "Traceback" not in said
