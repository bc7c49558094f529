"""The chart on a real API server: whom it calls for what, and what its upgrades leave alone."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.errors import Forbidden
from app.kube import connect
from app.metrics import Metrics
from app.values.meta import Object, Resource
from certs.objects import MUTATING, SECRET, VALIDATING
from modelbooster.parts.webhook import WebhookPart
from modelbooster.settings import Settings
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.chart import CHART, helm
from tests.conftest import Kubectl
from tests.controlplane.api import JSON_PATCH, MERGE_PATCH, Refused
from tests.controlplane.plane import ControlPlane
from tests.world import Admin, World

pytestmark = pytest.mark.anyio

DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
SERVICE = Resource("", "v1", "services", "Service")
POD = Resource("", "v1", "pods", "Pod")
CONFIGURATIONS = (VALIDATING, MUTATING)
PORT = 9443
LABEL = "tests.example.com/release"
"""Of the namespaces that a release is called for."""

VALIDATE, MUTATE = "/validate/modelbooster", "/mutate/modelbooster"
PROTECTION = "workload.serving.volcano.sh/deletion-protection"


@dataclass(frozen=True)
class Release:
    """The chart, installed in the test's namespace and called for no other test's."""

    plane: ControlPlane
    admin: Admin
    major: int = 4

    @property
    def name(self) -> str:
        """The beginning of all names."""
        return f"{self.admin.namespace}-model-booster"

    def helm(self, *arguments: str) -> str:
        environment = {"KUBECONFIG": str(self.plane.kubeconfig)}
        said = helm(*arguments, major=self.major, environment=environment)
        assert said.returncode == 0, said.stderr
        return said.stdout

    def put(self, verb: str, *values: str) -> None:
        """Installs or upgrades the release; nothing waits for pods, which nobody runs here."""
        namespace = self.admin.namespace
        only = {"matchLabels": {LABEL: namespace}}
        path = f"/api/v1/namespaces/{namespace}"
        labels = {"metadata": {"labels": only["matchLabels"]}}
        self.plane.api.request("PATCH", path, labels, content_type=MERGE_PATCH)
        self.helm(
            *(verb, namespace, str(CHART), "--namespace", namespace),
            *("--set=crds.install=false", f"--set=webhook.servicePort={PORT}"),
            f"--set-json=webhook.namespaceSelector={json.dumps(only)}",
            *(f"--set={value}" for value in values),
        )

    def remove(self) -> None:
        self.helm("uninstall", self.admin.namespace, "--namespace", self.admin.namespace)

    def token(self, component: str) -> str:
        """A token of the service account of a component."""
        path = f"/api/v1/namespaces/{self.admin.namespace}/serviceaccounts/{self.name}-{component}"
        made = self.plane.api.request("POST", f"{path}/token", {"spec": {}})
        found: str = made["status"]["token"]
        return found

    def webhooks(self) -> Iterator[tuple[Resource, int, Object]]:
        """Yields every entry of both configurations, with its position."""
        for resource in CONFIGURATIONS:
            stored = self.admin.get(resource, f"{self.name}-webhook")
            assert stored is not None
            for position, entry in enumerate(stored["webhooks"]):
                yield resource, position, entry


@pytest.fixture
def release(plane: ControlPlane, admin: Admin) -> Iterator[Release]:
    made = Release(plane, admin)
    made.put("install")
    yield made
    with suppress(AssertionError):  # a test may have removed it
        made.remove()


# What upgrades and removal do.


@pytest.mark.parametrize("major", [3, 4], ids=["helm 3", "helm 4"])
def test_upgrade_keeps_fields_written_by_the_program(
    plane: ControlPlane, admin: Admin, major: int
) -> None:
    release = Release(plane, admin, major)
    release.put("install")
    try:
        secret = {"data": {"ca.crt": "Y2VydA==", "ca.key": "a2V5"}}
        admin.patch(SECRET, f"{release.name}-webhook-ca", secret)
        lease = {"spec": {"holderIdentity": "pod-0", "leaseDurationSeconds": 15}}
        admin.patch(LEASE, f"{release.name}-controller", lease)
        bundle = b64encode(plane.ca_file.read_bytes()).decode()
        for resource, position, _ in list(release.webhooks()):
            path = f"/webhooks/{position}/clientConfig/caBundle"
            operation = {"op": "add", "path": path, "value": bundle}
            admin.patch(resource, f"{release.name}-webhook", [operation], kind=JSON_PATCH)

        release.put("upgrade", "controller.workers=7", "webhook.timeoutSeconds=4")

        deployment = admin.get(DEPLOYMENT, f"{release.name}-controller")
        assert '"value": "7"' in json.dumps(deployment)
        assert (admin.get(SECRET, f"{release.name}-webhook-ca") or {})["data"] == secret["data"]
        assert (admin.get(LEASE, f"{release.name}-controller") or {})["spec"] == lease["spec"]
        for resource, _, entry in release.webhooks():
            assert entry["clientConfig"]["caBundle"] == bundle
            assert entry["timeoutSeconds"] == (4 if resource == VALIDATING else 2)
    finally:
        release.remove()


@pytest.mark.parametrize("major", [3, 4], ids=["helm 3", "helm 4"])
def test_uninstall_removes_the_webhook_registrations(
    plane: ControlPlane, admin: Admin, major: int
) -> None:
    release = Release(plane, admin, major)
    release.put("install")
    since = audit.now(plane)

    release.remove()

    for resource in CONFIGURATIONS:
        assert admin.get(resource, f"{release.name}-webhook") is None
    for resource in (SECRET, LEASE, SERVICE, DEPLOYMENT):
        left = [obj["metadata"]["name"] for obj in admin.list(resource)]
        assert not [name for name in left if name.startswith(release.name)]
    if major == 4:  # Helm 3 takes them away last, a second after the Service
        deleted = [r.resource for r in audit.requests(plane, since=since) if r.verb == "delete"]
        last = max(deleted.index(resource.plural) for resource in CONFIGURATIONS)
        assert last < deleted.index(SERVICE.plural)
        assert last < deleted.index(DEPLOYMENT.plural)


def test_pods_satisfy_the_restricted_profile(release: Release) -> None:
    admin = release.admin
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    path = f"/api/v1/namespaces/{admin.namespace}"
    labels = {"metadata": {"labels": level}}
    release.plane.api.request("PATCH", path, labels, content_type=MERGE_PATCH)
    for component in ("webhook", "controller"):
        template = admin.until(DEPLOYMENT, f"{release.name}-{component}")["spec"]["template"]
        pod = {**template, "metadata": {**template["metadata"], "name": component}}
        params = {"dryRun": "All"}
        release.plane.api.request("POST", admin.path(POD), pod, params=params)
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = True
    pod["spec"]["containers"][0]["securityContext"].pop("allowPrivilegeEscalation")
    with pytest.raises(Refused, match="violates PodSecurity"):
        release.plane.api.request("POST", admin.path(POD), pod, params=params)


# Whom the API server calls for what.


class Calls:
    """How often the API server has asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def count(self, path: str) -> int:
        """Returns how many questions on this path were answered."""
        value = self._metrics.registry.get_sample_value(
            "controller_runtime_webhook_requests_total", {"webhook": path, "code": "200"}
        )
        return int(value or 0)

    def days_left(self, certificate: str) -> float:
        """Returns what the metrics say of a certificate's end."""
        end = self._metrics.registry.get_sample_value(
            "modelbooster_certificate_expiry_timestamp_seconds", {"certificate": certificate}
        )
        return ((end or 0) - time.time()) / 86400

    @asynccontextmanager
    async def expected(self, **wanted: int) -> AsyncIterator[None]:
        """Holds that the block brings so many calls: ``validate=1``, ``mutate=0``."""
        before = {path: self.count(path) for path in (VALIDATE, MUTATE)}
        yield
        made = {path.split("/")[1]: self.count(path) - before[path] for path in before}
        assert made == {"validate": 0, "mutate": 0, **wanted}


@asynccontextmanager
async def running(release: Release, folder: Path) -> AsyncIterator[Calls]:
    """Runs the webhook with the rights of its service account, at its Service's address."""
    admin = release.admin
    service = await asyncio.to_thread(admin.until, SERVICE, f"{release.name}-webhook")
    settings = Settings(
        namespace=admin.namespace,
        webhook_host=service["spec"]["clusterIP"],
        webhook_port=PORT,
        drain_seconds=0,
        certificate_secret=f"{release.name}-webhook-ca",
        webhook_service=f"{release.name}-webhook",
        validating_webhook_configuration=f"{release.name}-webhook",
        mutating_webhook_configuration=f"{release.name}-webhook",
    )
    token = await asyncio.to_thread(release.token, "webhook")
    kubeconfig = release.plane.kubeconfig_for(token, folder / "webhook.kubeconfig")
    metrics, stopping = Metrics("test"), asyncio.Event()
    async with connect(str(kubeconfig)) as kube:
        part = WebhookPart(kube, settings, metrics)
        task = asyncio.create_task(part.run(stopping))
        try:
            async with asyncio.timeout(60):
                while any(check.fault() for check in part.ready) and not task.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await until_called(World(admin))
            yield Calls(metrics)
        finally:
            stopping.set()
            await task


async def until_called(world: World) -> None:
    """Waits until the API server calls the webhook: it learns of it by a watch of its own."""
    bad = booster_object("probe")
    bad["spec"]["backends"][0]["workers"][0]["image"] = "a b"
    async with asyncio.timeout(60):
        while True:
            try:
                await world.create(MODEL_BOOSTER, bad)
            except Refused as exc:
                if exc.status == 422:
                    return
            else:
                await world.delete(MODEL_BOOSTER, "probe")
            await asyncio.sleep(0.05)


async def test_webhook_receives_only_relevant_requests(
    release: Release, world: World, kubectl: Kubectl, tmp_path: Path
) -> None:
    async def say(*arguments: str, stdin: str) -> str:
        done = await asyncio.to_thread(kubectl, *arguments, stdin=stdin)
        assert done.code == 0, done.stderr
        return done.stdout

    async def patch(body: Object, subresource: str = "") -> None:
        await world.patch(MODEL_BOOSTER, "demo", body, subresource=subresource)

    async with running(release, tmp_path) as calls:
        for certificate in ("authority", "serving"):
            assert calls.days_left(certificate) > 29
        text = json.dumps(booster_object())
        async with calls.expected(validate=1):
            assert "created" in await say("apply", "-f", "-", stdin=text)
        async with calls.expected():
            assert "unchanged" in await say("apply", "-f", "-", stdin=text)
        async with calls.expected():
            await say("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
            await say("apply", "--server-side", "-f", "-", stdin=text)
        async with calls.expected():
            await patch({"metadata": {"labels": {"a": "b"}}})
            await patch({"metadata": {"annotations": {"a": "b"}}})
            await patch({"metadata": {"finalizers": ["tests.example.com/a"]}})
            await patch({"status": {"observedGeneration": 1}}, subresource="status")
        changed = booster_object(name="served-as")
        async with calls.expected(validate=1):
            await say("apply", "-f", "-", stdin=json.dumps(changed))
        async with calls.expected(validate=1):
            await say("apply", "-f", "-", "--dry-run=server", stdin=text)
        async with calls.expected(validate=1, mutate=1):
            both = booster_object("both", backend(scalingCost=1), autoscalingPolicy=policy())
            stored = await world.create(MODEL_BOOSTER, both)
            assert stored["spec"]["costExpansionRatePercent"] == 200
        async with calls.expected():
            with pytest.raises(Refused, match=r"spec\.backends"):
                await world.create(MODEL_BOOSTER, booster_object("none", backends=3))
        async with calls.expected():
            await world.delete(MODEL_BOOSTER, "demo")  # its finalizer keeps it
            await patch({"spec": {"name": "while-being-deleted"}})
            await patch({"metadata": {"finalizers": None}})
        async with calls.expected():
            await world.delete(MODEL_BOOSTER, "both")


async def test_protected_model_booster_is_deleted_only_with_its_namespace(
    release: Release, world: World, tmp_path: Path
) -> None:
    labels = {LABEL: world.namespace}
    doomed = {"metadata": {"generateName": "test-doomed-", "labels": labels}}
    made = await asyncio.to_thread(release.plane.api.request, "POST", "/api/v1/namespaces", doomed)
    there = World(Admin(release.plane.api, made["metadata"]["name"]))
    async with running(release, tmp_path) as calls:
        protected = booster_object(metadata={"annotations": {PROTECTION: "true"}})
        await there.create(MODEL_BOOSTER, protected)
        async with calls.expected(validate=1):
            with pytest.raises(Refused, match="deletion protection is enabled") as refused:
                await there.delete(MODEL_BOOSTER, "demo")
            assert refused.value.status == 403
        async with calls.expected():
            path = f"/api/v1/namespaces/{there.namespace}"
            await asyncio.to_thread(release.plane.api.request, "DELETE", path)
            await there.until_gone(MODEL_BOOSTER, "demo")


async def test_webhook_account_has_no_other_permissions(release: Release, tmp_path: Path) -> None:
    kubeconfig = release.plane.kubeconfig_for(release.token("webhook"), tmp_path / "kubeconfig")
    namespace = release.admin.namespace
    mine = f"{release.name}-webhook-ca"
    async with connect(str(kubeconfig)) as kube:
        secret = await kube.get(SECRET, namespace, mine)
        # RBAC cannot limit "create" to the one name that it recreates.
        await kube.create(SECRET, {**secret, "metadata": {"name": "b", "namespace": namespace}})
        for forbidden in (
            kube.list(SECRET, namespace=namespace),
            kube.get(SECRET, namespace, "another"),
            kube.get(SECRET, namespace, "b"),
            kube.create(SECRET, {**secret, "metadata": {"name": "b", "namespace": "default"}}),
            kube.delete(SECRET, namespace, mine),
            kube.list(VALIDATING),
            kube.delete(VALIDATING, None, f"{release.name}-webhook"),
            kube.create(MODEL_BOOSTER, booster_object(namespace=namespace)),
        ):
            with pytest.raises(Forbidden):
                await forbidden
