"""Certificates change under load, in each mode of the chart: no admission is lost.

The control plane, helm, our processes and their Secret volumes are real or work as in a cluster.
cert-manager is played (``tests/e2e/cert_manager.py``), except in ``make test-cert-manager``.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.values.meta import Resource
from certs.objects import MUTATING, SECRET, VALIDATING
from certs.pki import KeyPair, new_authority, new_leaf, own_certificate
from tests import chart, loopback
from tests.conftest import PROFILE
from tests.controlplane import certmanager, crds, processes
from tests.controlplane.api import MERGE_PATCH, Api
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK, Port
from tests.e2e import cert_manager
from tests.e2e.cert_manager import CERTIFICATE, ISSUER, CertManager, renew
from tests.e2e.installation import (
    HELM_ARGUMENTS,
    NAMESPACE,
    ROOT,
    Installation,
    eventually,
)
from tests.e2e.kubelet import PROGRAM
from tests.e2e.load import SERVICE, Load
from tests.proxy import CarriedOut, Delay, Proxy, Rule
from tests.sizes import IN_FULL
from tests.world import Admin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POD = Resource("", "v1", "pods", "Pod")
PER_SECOND = 20
WHILE_KILLED = 200 if IN_FULL else 50
"""Admissions per second while a replica is killed."""
ONE = {"controller.replicaCount": 1}
AUTHORITY = f"{SERVICE}-ca"
NAME = f"{SERVICE}.{NAMESPACE}.svc"
DAYS = 21
"""After two thirds of 30 days a serving certificate is renewed."""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clock of our processes (see ``tests/faults/skewed.py``)."""
    path = tmp_path_factory.mktemp("clock") / "clock"
    set_days(path, 0)
    return path


def set_days(clock: Path, days: float) -> None:
    new = clock.with_suffix(".new")
    new.write_text(json.dumps([days * 86400, 1.0]))
    new.replace(clock)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: the modes change what the whole cluster asks."""
    with ControlPlane() as new:
        crds.install(new.api, [*crds.children(PROFILE), *cert_manager.definitions()])
        new.start_controllers()
        yield new


@pytest.fixture(scope="module")
def installation(plane: ControlPlane, clock: Path) -> Iterator[Installation]:
    """The chart; each test upgrades it to its mode."""
    skewed = (sys.executable, "-m", "tests.faults.skewed", clock)
    program = ("/usr/bin/env", f"PYTHONPATH={ROOT}", *skewed)
    with Installation(plane, plane.folder / "pods", ONE, program=program) as installed:
        yield installed


@pytest.fixture
def system(plane: ControlPlane) -> Admin:
    """The administrator in the namespace of our chart."""
    return Admin(plane.api, NAMESPACE)


def upgrade(installation: Installation, *values: str) -> None:
    sets = [f"--set={name}={value}" for name, value in ONE.items()]
    arguments = (*HELM_ARGUMENTS[1:], *sets, *values)
    installation.helm("upgrade", *arguments, "--wait", "--timeout", "90s")
    eventually(lambda: is_served(installation))


def is_served(installation: Installation) -> bool:
    pods = installation.kubelet.pods("webhook").values()
    return len(pods) == 1 and all(pod.is_ready() for pod in pods)


def authority(system: Admin, *not_these: str) -> str:
    """Returns the certificate of the self-managed authority, once it is another one."""
    secret = system.until(SECRET, AUTHORITY, lambda o: o["data"]["ca.crt"] not in ("", *not_these))
    return str(secret["data"]["ca.crt"])


# Self-managed.


@pytest.mark.fault("F50")
def test_self_managed_certificates_rotate_under_load(
    installation: Installation, plane: ControlPlane, system: Admin, namespace: str, clock: Path
) -> None:
    upgrade(installation)
    # Both certificates are as old as if the webhook had been started DAYS ago.
    set_days(clock, -DAYS)
    before = authority(system)
    system.delete(SECRET, AUTHORITY)
    first_authority = authority(system, before)
    (name,) = installation.kubelet.pods("webhook")
    system.delete(POD, name)
    eventually(lambda: name not in installation.kubelet.pods("webhook"))
    eventually(lambda: is_served(installation))
    with Load(plane, namespace, PER_SECOND) as load:
        load.goes_on()
        (first,) = load.served

        set_days(clock, 0)

        renewed = load.until_served({first})
        load.goes_on()
        assert authority(system) == first_authority

        system.delete(SECRET, AUTHORITY)

        last_authority = authority(system, first_authority)
        load.until_served({first, renewed})
        load.goes_on()
    assert load.lost == []
    assert load.asked > PER_SECOND
    hook = plane.api.request("GET", VALIDATING.path(None, SERVICE))["webhooks"][0]
    assert hook["clientConfig"]["caBundle"] == last_authority


# cert-manager.


@pytest.fixture
def issuing(plane: ControlPlane, tmp_path: Path) -> Iterator[None]:
    """cert-manager, the real one if ``CERT_MANAGER=real``."""
    with ExitStack() as stack:
        if os.environ.get("CERT_MANAGER") == "real":
            stack.enter_context(certmanager.running(plane, tmp_path / "cert-manager.log"))
        else:
            api = stack.enter_context(Api(plane.url, plane.ca_file, plane.token))
            stack.enter_context(CertManager(api, NAMESPACE))
        yield


@pytest.mark.usefixtures("issuing")
def test_cert_manager_renews_under_load(
    installation: Installation, plane: ControlPlane, system: Admin, namespace: str, clock: Path
) -> None:
    set_days(clock, 0)
    upgrade(installation, "--set=webhook.certManagement.mode=cert-manager")
    with Load(plane, namespace, PER_SECOND) as load:
        load.goes_on()
        served = set(load.served)

        renew(system, SERVICE)
        served.add(load.until_served(served))
        load.goes_on()

        root = system.until(SECRET, f"{SERVICE}-root")["data"]
        renew(system, f"{SERVICE}-ca")
        new = system.until(
            SECRET, f"{SERVICE}-root", lambda o: o["data"]["tls.crt"] != root["tls.crt"]
        )
        assert new["data"]["tls.key"] == root["tls.key"]
        load.goes_on()
        renew(system, SERVICE)
        served.add(load.until_served(served))
        load.goes_on()
    assert load.lost == []
    serving = system.until(SECRET, f"{SERVICE}-tls")["data"]
    # From 1.19 on cert-manager keeps the CA of before as well, until that ends.
    eventually(lambda: all(b64decode(serving["ca.crt"]) in bundle for bundle in bundles(plane)))


@pytest.mark.parametrize("values", ["cert-manager-values.yaml", "cert-manager-issuer-values.yaml"])
def test_cert_manager_accepts_what_the_chart_renders(
    plane: ControlPlane, namespace: str, values: str
) -> None:
    objects = [o for o in chart.rendered(values) if o["apiVersion"] == "cert-manager.io/v1"]
    assert objects
    for obj in objects:
        resource = CERTIFICATE if obj["kind"] == "Certificate" else ISSUER
        body = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
        params = {"dryRun": "All", "fieldValidation": "Strict"}
        plane.api.request("POST", resource.path(namespace), body, params=params)


# Provided.


def put_serving(system: Admin, authority: KeyPair) -> int:
    """Stores a new certificate as an administrator would; returns its serial number."""
    pair = new_leaf(authority, [NAME], datetime.now(UTC), timedelta(days=1))
    data = {"tls.crt": pair.cert, "tls.key": pair.key}
    secret = {
        "metadata": {"name": "provided"},
        "type": "kubernetes.io/tls",
        "data": {name: b64encode(value).decode() for name, value in data.items()},
    }
    system.put(SECRET, secret)
    return own_certificate(pair.cert).serial_number


def test_provided_certificates_are_replaced_under_load(
    installation: Installation,
    plane: ControlPlane,
    system: Admin,
    namespace: str,
    clock: Path,
    tmp_path: Path,
) -> None:
    """For another CA with the steps of docs/install.md."""
    set_days(clock, 0)
    old, new = (new_authority(n, datetime.now(UTC), timedelta(days=1)) for n in ("old", "new"))

    def trust(*authorities: KeyPair, flags: tuple[str, ...] = ()) -> None:
        bundle = tmp_path / "bundle"
        bundle.write_bytes(b"".join(each.cert for each in authorities))
        mode = ("--set=webhook.certManagement.mode=provided",)
        provided = "webhook.certManagement.provided"
        files = (
            f"--set={provided}.secretName=provided",
            f"--set-file={provided}.caBundle={bundle}",
        )
        upgrade(installation, *mode, *files, *flags)

    first = put_serving(system, old)
    trust(old, flags=("--force-conflicts",))  # the CA bundle was another's until now
    with Load(plane, namespace, PER_SECOND) as load:
        load.goes_on()
        renewed = put_serving(system, old)
        assert load.until_served({first}) == renewed
        load.goes_on()

        trust(old, new)
        load.goes_on()
        last = put_serving(system, new)
        assert load.until_served({first, renewed}) == last
        load.goes_on()
        trust(new)
        load.goes_on()
    assert load.lost == []


# Replicas that die in the middle.

DELAYED, UNANSWERED = Delay(60), CarriedOut(after_seconds=60)
STEPS = [
    (verb, resource, fault)
    for verb, resource in (("create", SECRET), ("patch", VALIDATING), ("patch", MUTATING))
    for fault in (DELAYED, UNANSWERED)
]


class OtherReplica:
    """A replica that is not ready yet: it rotates, and no API server calls it."""

    def __init__(self, installation: Installation, system: Admin, proxy: Proxy) -> None:
        (pod,) = system.list(POD, "app.kubernetes.io/component=webhook")
        ports = Port(), Port()
        for port in ports:
            port.release()
        self._url = f"http://{LOOPBACK}:{ports[1]}/readyz"
        environment = {
            **installation.kubelet.environment(pod),
            "KUBECONFIG": str(proxy.kubeconfig),
            "MODELBOOSTER_WEBHOOK_HOST": LOOPBACK,
            "MODELBOOSTER_WEBHOOK_PORT": str(ports[0]),
            "MODELBOOSTER_PROBE_PORT": str(ports[1]),
        }
        log = installation.plane.folder / "other-replica.log"
        self.process = processes.launch([PROGRAM, "webhook"], log, environment)
        eventually(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return loopback.get(self._url).is_success
        except httpx.TransportError:
            return False


@contextmanager
def read_only(plane: ControlPlane) -> Iterator[None]:
    """The installed webhook may write neither its Secret nor the webhook configurations."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    paths = (
        f"{rbac}/namespaces/{NAMESPACE}/roles/{SERVICE}",
        f"{rbac}/clusterroles/{SERVICE}-configurations",
    )
    before = [plane.api.request("GET", path)["rules"] for path in paths]
    reads = {"get", "list", "watch"}
    for path, rules in zip(paths, before, strict=True):
        kept = [{**rule, "verbs": sorted(reads & set(rule["verbs"]))} for rule in rules]
        body = {"rules": [rule for rule in kept if rule["verbs"]]}
        plane.api.request("PATCH", path, body, content_type=MERGE_PATCH)
    eventually(lambda: not any(may_write(plane)))
    try:
        yield
    finally:
        for path, rules in zip(paths, before, strict=True):
            plane.api.request("PATCH", path, {"rules": rules}, content_type=MERGE_PATCH)
        eventually(lambda: all(may_write(plane)))


def may_write(plane: ControlPlane) -> list[bool]:
    user = f"system:serviceaccount:{NAMESPACE}:{SERVICE}"
    answers = []
    for verb, resource, name in (("create", SECRET, ""), ("patch", VALIDATING, SERVICE)):
        attributes = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "name": name,
            "namespace": NAMESPACE if resource.namespaced else "",
        }
        body = {"spec": {"user": user, "resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answers.append(bool(plane.api.request("POST", path, body)["status"]["allowed"]))
    return answers


def bundles(plane: ControlPlane) -> set[bytes]:
    """Returns the CA bundles of all our webhooks, in PEM."""
    found = [plane.api.request("GET", of.path(None, SERVICE)) for of in (VALIDATING, MUTATING)]
    return {b64decode(h["clientConfig"]["caBundle"]) for o in found for h in o["webhooks"]}


def is_published(plane: ControlPlane, bundle: str) -> bool:
    return bundles(plane) == {b64decode(bundle)}


@pytest.mark.fault("F55")
def test_killed_replica_leaves_a_rotation_that_another_finishes(
    installation: Installation,
    plane: ControlPlane,
    system: Admin,
    namespace: str,
    clock: Path,
    proxy: Proxy,
) -> None:
    set_days(clock, 0)
    upgrade(installation)
    with Load(plane, namespace, PER_SECOND) as load:
        load.goes_on()
        for number, (verb, resource, fault) in enumerate(STEPS, 1):
            before = authority(system)
            eventually(lambda: is_published(plane, before))  # noqa: B023  # waited for at once
            with read_only(plane):
                other = OtherReplica(installation, system, proxy)
                done = proxy.count(verb=verb, resource=resource.plural)
                rule = proxy.add(Rule(fault, verb=verb, resource=resource.plural))
                load.per_second = WHILE_KILLED
                system.delete(SECRET, AUTHORITY)
                eventually(lambda: rule.acted)  # noqa: B023
                if fault is UNANSWERED:
                    eventually(lambda: proxy.count(verb=verb, resource=resource.plural) > done)  # noqa: B023
                other.process.kill()
                other.process.wait()
            # Any event lets the one that is left try again at once, not only after some seconds.
            nudge = {"metadata": {"annotations": {"tests.example.com/step": str(number)}}}
            plane.api.request(
                "PATCH", VALIDATING.path(None, SERVICE), nudge, content_type=MERGE_PATCH
            )
            new = authority(system, before)
            eventually(lambda: is_published(plane, new))  # noqa: B023
            load.goes_on()
            load.per_second = PER_SECOND
            if number % 3 == 0:  # a bundle has room for eight authorities
                load.until_served(set(load.served))
                load.goes_on()
    assert load.lost == []
