"""``model-booster doctor`` on an installation: each fault is told, and its remedy works.

Each test breaks one thing on the cluster, reads the line of its check, runs the remedy as a user
would, and asks again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.values.meta import Object
from certs.objects import MUTATING, VALIDATING
from modelbooster.checkup.finding import Result
from modelbooster.checkup.read import read_facts
from modelbooster.checkup.table import check_all
from modelbooster.observe.access import Access, open_cluster
from tests.builders import backend, booster_object, worker
from tests.conftest import Ran
from tests.controlplane import clients, crds
from tests.controlplane.api import JSON_PATCH, MERGE_PATCH, Api
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import NAMESPACE, RELEASE, ROOT, Installation, eventually
from tests.e2e.kthena import SYSTEM, kthena, offer, run_pods
from tests.e2e.kubelet import PROGRAM, serving_process
from tests.world import Admin

HOOKS = f"{RELEASE}-webhook"
UPGRADE = "helm upgrade model-booster charts/model-booster -n model-booster-system --reuse-values"
RESTORE = f"{UPGRADE} --force-conflicts"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


# Each breaks the whole installation and repairs it. ``tests/component/test_doctor.py`` is quick.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def served(installation: Installation) -> Iterator[None]:
    with kthena(installation.plane.api):
        reachable(installation.plane.api)
        yield
        reachable(installation.plane.api, ready=False)


class Doctor:
    """Runs the program as a user, and the commands that it prints."""

    def __init__(self, plane: ControlPlane, kubeconfig: Path, folder: Path) -> None:
        self._plane = plane
        self._kubeconfig = kubeconfig
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name, program in (("kubectl", clients.kubectl()), ("helm", clients.helm())):
            (bin_folder / name).symlink_to(program)
        (bin_folder / "model-booster").symlink_to(PROGRAM)
        self._path = f"{bin_folder}:/usr/bin:/bin"
        self._folder = folder

    def run(self, *args: str, kubeconfig: Path | None = None) -> Ran:
        done = subprocess.run(
            [PROGRAM, "doctor", *args],
            env=self._environment(kubeconfig or self._kubeconfig),
            text=True,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ran(done.stdout, done.stderr, done.returncode)

    def results(self, *args: str, kubeconfig: Path | None = None) -> dict[str, Object]:
        ran = self.run("-o", "json", *args, kubeconfig=kubeconfig)
        assert ran.stderr == ""
        found = {check["check"]: check for check in json.loads(ran.stdout)["checks"]}
        assert ran.code == any(check["status"] == "failed" for check in found.values())
        return found

    def look(self) -> dict[str, Object]:
        """Returns the same results without another process, to wait for a state."""

        async def look() -> list[Result]:
            async with open_cluster(Access(str(self._kubeconfig))) as cluster:
                return check_all(
                    await read_facts(
                        cluster.kube, server="", namespace=cluster.namespace, program="0.1.0"
                    )
                )

        return {result.check: result.summary() for result in asyncio.run(look())}

    def cure(self, remedy: list[str]) -> str:
        """Runs the commands as the administrator, in the folder of the program."""
        said = ""
        for command in remedy:
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", command],
                cwd=ROOT,
                env=self._environment(self._plane.kubeconfig),
                text=True,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            said += done.stdout
        return said

    def _environment(self, kubeconfig: Path) -> dict[str, str]:
        return {"KUBECONFIG": str(kubeconfig), "HOME": str(self._folder), "PATH": self._path}


@pytest.fixture
def doctor(plane: ControlPlane, kubeconfig: Path, tmp_path: Path) -> Doctor:
    return Doctor(plane, kubeconfig, tmp_path)


@pytest.fixture
def api(plane: ControlPlane) -> Api:
    return plane.api


def until(doctor: Doctor, check: str, status: str = "ok") -> Object:
    """Asks until a check has a status; returns its result."""
    found: list[Object] = []

    def has_status() -> bool:
        found.append(doctor.look()[check])
        return bool(found[-1]["status"] == status)

    eventually(has_status)
    return found[-1]


def reachable(api: Api, *, ready: bool = True) -> None:
    """Plays the EndpointSlice controller, which leaves out pods without a node, as all are here."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    name = "played"
    if not ready:
        api.request("DELETE", f"{path}/{name}")
        return
    body = {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": HOOKS}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
    }
    api.request("POST", path, body)


def upgrade(installation: Installation, value: str) -> None:
    """As a user who changes a value of the chart."""
    release = (*("upgrade", RELEASE, "charts/model-booster"), *("--namespace", NAMESPACE))
    installation.helm(*release, "--reuse-values", "--force-conflicts", "--set", value)


def patch(api: Api, path: str, body: Any) -> None:
    kind = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
    api.request("PATCH", path, body, content_type=kind)


def test_a_healthy_installation(doctor: Doctor) -> None:
    results = doctor.results()

    assert {name: r for name, r in results.items() if r["status"] != "ok"} == {}
    assert results["kthena-crds"]["message"] == "kthena v0.4.0: its 5 kinds are served"
    assert results["accelerators"]["message"] == "1 node with 8 nvidia.com/gpu"
    ran = doctor.run()
    assert ran.code == 0
    assert ran.stdout.endswith(f"\n\n{len(results)} ok\n")
    assert "\x1b" not in ran.stdout


def test_user_without_rights(doctor: Doctor, plane: ControlPlane, admin: Admin) -> None:
    account = f"/api/v1/namespaces/{admin.namespace}/serviceaccounts"
    plane.api.request("POST", account, {"metadata": {"name": "guest"}})
    token = plane.api.request("POST", f"{account}/guest/token", {"spec": {}})["status"]["token"]
    guest = plane.kubeconfig_for(token, plane.folder / "guest", admin.namespace)

    results = doctor.results(kubeconfig=guest)

    rights = results["your-rights"]
    assert rights["status"] == "warning"
    booster = "modelboosters.workload.serving.volcano.sh"
    assert rights["message"].startswith(
        f"in namespace {admin.namespace} you may not get/list/watch/create/patch/update/delete "
        f"{booster} in namespace"
    ) or rights["message"].startswith(
        f"in namespace {admin.namespace} you may not get/list/watch/create/patch/update/delete "
        f"{booster}, "
    )
    lacking = {name: r["message"] for name, r in results.items() if r["status"] == "skipped"}
    assert lacking["webhook-config"] == (
        "you may not list validatingwebhookconfigurations.admissionregistration.k8s.io"
    )
    assert lacking["webhook-admits"] == (
        f"you may not create {booster} in namespace {admin.namespace}"
    )
    assert lacking["accelerators"] == "you may not list nodes"

    doctor.cure(rights["remedy"])

    again = doctor.results(kubeconfig=guest)
    assert again["your-rights"]["status"] == "ok"
    assert again["webhook-refuses"]["status"] == "ok"
    assert again["engine-images"]["status"] == "ok"


def test_operator_without_rights(doctor: Doctor, api: Api) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/model-booster-controller"
    rules = api.request("GET", path)["rules"]
    kept = [rule for rule in rules if "modelroutes" not in rule["resources"]]
    patch(api, path, {"rules": kept})

    found = doctor.results()["operator-rights"]

    assert found["status"] == "failed"
    assert found["message"] == (
        "model-booster-controller may not get/list/watch/create/patch/delete "
        "modelservers.networking.serving.volcano.sh, model-booster-controller may not "
        "get/list/watch/create/patch/delete modelroutes.networking.serving.volcano.sh"
    )
    assert found["remedy"] == [RESTORE]
    doctor.cure(found["remedy"])
    until(doctor, "operator-rights")


def test_another_definition_over_ours(doctor: Doctor, plane: ControlPlane) -> None:
    crds.install(plane.api, [crds.kthena_booster("v0.4.0")])

    found = until(doctor, "modelbooster-crd", "failed")

    assert found["message"].startswith(
        "another CustomResourceDefinition of ModelBooster is installed over ours: it lacks spec."
    )
    assert found["remedy"] == [
        "model-booster crd | kubectl apply --server-side --force-conflicts -f -"
    ]
    doctor.cure(found["remedy"])
    until(doctor, "modelbooster-crd")
    until(doctor, "webhook-admits")


def test_kind_of_kthena_missing(doctor: Doctor, plane: ControlPlane) -> None:
    definition = crds.CRD.path(None, str(MODEL_ROUTE))
    plane.api.request("DELETE", definition)
    try:
        found = until(doctor, "kthena-crds", "failed")
        assert found["message"] == (
            "kthena's CustomResourceDefinitions are not installed: ModelRoute"
        )
        assert "install kthena" in found["note"]
    finally:
        crds.install(plane.api, crds.children("B"))
        plane.restart_controllers()
    until(doctor, "kthena-crds")


def test_no_webhook_registered(doctor: Doctor, api: Api) -> None:
    api.request("DELETE", VALIDATING.path(None, HOOKS))

    results = doctor.results()

    found = results["webhook-config"]
    assert (found["status"], found["message"]) == (
        "failed",
        "no ValidatingWebhookConfiguration asks model-booster: ModelBoosters are stored unchecked",
    )
    until_admitted = until(doctor, "webhook-refuses", "failed")
    assert until_admitted["message"] == (
        "a faulty ModelBooster is admitted: the API server does not ask the webhook"
    )
    doctor.cure(found["remedy"])
    for check in ("webhook-config", "ca-bundle", "webhook-refuses", "webhook-admits"):
        until(doctor, check)


def test_failure_policy_that_ignores(doctor: Doctor, installation: Installation) -> None:
    upgrade(installation, "webhook.failurePolicy=Ignore")

    found = doctor.results()["webhook-config"]

    assert (found["status"], found["remedy"]) == (
        "warning",
        [f"{UPGRADE} --set webhook.failurePolicy=Fail --force-conflicts"],
    )
    assert found["message"].startswith("failurePolicy is Ignore: ")
    doctor.cure(found["remedy"])
    until(doctor, "webhook-config")


def test_webhook_that_does_not_run(doctor: Doctor, api: Api) -> None:
    until(doctor, "deployments")
    patch(api, f"{DEPLOYMENTS}/{HOOKS}", {"spec": {"replicas": 0}})
    reachable(api, ready=False)

    until(doctor, "webhook-endpoints", "failed")
    until(doctor, "webhook-admits", "failed")
    results = doctor.results()

    assert results["deployments"]["message"] == (
        "not available in namespace model-booster-system: model-booster-controller 2/2, "
        "model-booster-webhook 0/0"
    )
    assert results["webhook-endpoints"]["message"] == (
        "the Service model-booster-system/model-booster-webhook has no ready endpoint"
    )
    assert results["webhook-admits"]["message"].startswith(
        "the API server cannot call the webhook: dial tcp "
    )
    assert results["deployments"]["remedy"] == [
        "kubectl -n model-booster-system scale deployment/model-booster-webhook --replicas=1"
    ]
    doctor.cure(results["deployments"]["remedy"])
    reachable(api)
    for check in ("deployments", "webhook-endpoints", "webhook-admits", "webhook-refuses"):
        until(doctor, check)


def test_ca_bundle_of_somebody_else(doctor: Doctor, installation: Installation, api: Api) -> None:
    """The webhook would write it again at once, so its process is stopped."""
    (pod,) = installation.kubelet.pods("webhook").values()
    assert pod.process is not None
    os.kill(serving_process(pod.process.pid), signal.SIGSTOP)
    hooks = api.request("GET", MUTATING.path(None, HOOKS))["webhooks"]
    assert hooks[0]["clientConfig"]["caBundle"]
    patch(
        api,
        MUTATING.path(None, HOOKS),
        [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}],
    )

    found = doctor.results()["ca-bundle"]

    assert (found["status"], found["message"]) == (
        "failed",
        "1 of 3 webhooks without a readable caBundle, so the API server trusts no certificate of "
        "the webhook",
    )
    assert found["remedy"] == [
        "kubectl -n model-booster-system rollout restart deployment/model-booster-webhook"
    ]
    doctor.cure(found["remedy"])
    pod.process.kill()  # as the kubelet does after the grace period
    until(doctor, "ca-bundle")
    until(doctor, "webhook-refuses")


def test_service_that_selects_no_pod(doctor: Doctor, api: Api) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{HOOKS}"
    selector = api.request("GET", path)["spec"]["selector"]
    patch(api, path, {"spec": {"selector": {"app.kubernetes.io/component": "gone"}}})
    reachable(api, ready=False)

    found = until(doctor, "webhook-endpoints", "failed")

    assert found["remedy"][-1] == RESTORE
    doctor.cure(found["remedy"])
    assert api.request("GET", path)["spec"]["selector"] == selector
    reachable(api)
    until(doctor, "webhook-endpoints")


def test_no_leader(doctor: Doctor, api: Api) -> None:
    patch(api, f"{DEPLOYMENTS}/{RELEASE}-controller", {"spec": {"replicas": 0}})

    found = until(doctor, "leader", "failed")

    assert found["message"] == (
        "no controller holds the Lease model-booster-system/model-booster-controller"
    )
    doctor.cure(found["remedy"])
    until(doctor, "leader")
    until(doctor, "deployments")
    doctor.cure([f"kubectl -n {NAMESPACE} scale deployment/{RELEASE}-controller --replicas=2"])


def test_other_version(doctor: Doctor, installation: Installation) -> None:
    upgrade(installation, "image.tag=9.9.9")

    found = doctor.results()["version"]

    assert (found["status"], found["message"]) == (
        "warning",
        "this program has version 0.1.0, but model-booster-controller has 9.9.9, "
        "model-booster-webhook has 9.9.9",
    )
    doctor.cure(found["remedy"])
    until(doctor, "version")
    until(doctor, "deployments")


def test_booster_controller_of_kthena_on(doctor: Doctor, api: Api) -> None:
    path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/kthena-controller-manager"
    args = "/spec/template/spec/containers/0/args"
    patch(api, path, [{"op": "replace", "path": f"{args}/1", "value": "--controllers=*"}])

    found = doctor.results()["kthena-booster"]

    assert (found["status"], found["message"]) == (
        "failed",
        "kthena's own ModelBooster controller is on, in kthena-system/kthena-controller-manager: "
        "both controllers write the same objects",
    )
    assert found["remedy"] == [
        "kubectl -n kthena-system patch deployment kthena-controller-manager --type=json -p "
        f'\'[{{"op":"replace","path":"{args}/1","value":"--controllers=*,-modelbooster"}}]\''
    ]
    doctor.cure(found["remedy"])
    run_pods(api, SYSTEM, "kthena-controller-manager")
    until(doctor, "kthena-booster")


@pytest.mark.parametrize(
    ("check", "name", "otherwise"),
    [
        ("kthena-serving", "kthena-controller-manager", "no pods are started"),
        ("kthena-router", "kthena-router", "no client reaches a model"),
    ],
)
def test_kthena_that_does_not_run(
    doctor: Doctor, api: Api, check: str, name: str, otherwise: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{name}"
    patch(api, path, {"spec": {"replicas": 0}})

    found = until(doctor, check, "failed")

    assert found["message"] == f"not available: {SYSTEM}/{name} 0/0; {otherwise}"
    doctor.cure(found["remedy"])
    run_pods(api, SYSTEM, name)
    until(doctor, check)


def test_webhook_of_kthena(doctor: Doctor, api: Api) -> None:
    """kthena's chart registers one; it would reject what its release does not know."""
    rule = {
        "apiGroups": [MODEL_BOOSTER.group],
        "apiVersions": [MODEL_BOOSTER.version],
        "operations": ["CREATE"],
        "resources": [MODEL_BOOSTER.plural],
    }
    hook = {
        "name": "modelbooster-validator.volcano.sh",
        "clientConfig": {"service": {"name": "kthena", "namespace": SYSTEM}},
        "rules": [rule],
        "failurePolicy": "Ignore",
        "timeoutSeconds": 1,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    other = {**hook, "name": "serving.volcano.sh", "rules": [{**rule, "resources": ["pods"]}]}
    name = "kthena-controller-manager-validating-webhook"
    body = {"metadata": {"name": name}, "webhooks": [other, hook]}
    api.request("POST", VALIDATING.path(None), body)
    try:
        found = doctor.results()["other-webhooks"]
        assert found["message"] == (
            "kthena's own webhook is asked about ModelBoosters too: "
            f"modelbooster-validator.volcano.sh in validatingwebhookconfiguration/{name}"
        )
        doctor.cure(found["remedy"])
        until(doctor, "other-webhooks")
        left = api.request("GET", VALIDATING.path(None, name))["webhooks"]
        assert [hook["name"] for hook in left] == ["serving.volcano.sh"]
    finally:
        api.request("DELETE", VALIDATING.path(None, name))


def stored(admin: Admin, name: str, obj: Object) -> Callable[[], None]:
    admin.create(MODEL_BOOSTER, obj)
    return lambda: admin.delete(MODEL_BOOSTER, name)


def test_gang_scheduling_without_volcano(doctor: Doctor, admin: Admin) -> None:
    remove = stored(admin, "gang", booster_object("gang", backend(gangScheduling=True)))
    try:
        found = doctor.results()["volcano"]
        assert (found["status"], found["message"]) == (
            "failed",
            f"Volcano is not installed, but {admin.namespace}/gang needs it",
        )
        assert found["remedy"][-1].startswith("helm install volcano ")
    finally:
        remove()
    until(doctor, "volcano")


def test_image_whose_tag_moves(doctor: Doctor, admin: Admin) -> None:
    image = "vllm/vllm-openai:latest"
    moving = booster_object("moving", backend(workers=[worker(image=image)]))
    remove = stored(admin, "moving", moving)
    try:
        found = doctor.results()["engine-images"]
        assert (found["status"], found["message"]) == (
            "warning",
            f"the tag moves: {image} of {admin.namespace}/moving; pods that start later may run "
            "another engine",
        )
        (command,) = found["remedy"]
        doctor.cure([command.replace("IMAGE:RELEASE", "vllm/vllm-openai:v0.16.0")])
        until(doctor, "engine-images")
    finally:
        remove()


def test_more_devices_than_a_node_has(doctor: Doctor, admin: Admin, api: Api) -> None:
    resources = {"limits": {"nvidia.com/gpu": "16"}}
    config = {"tensor-parallel-size": 16}
    large = booster_object("large", backend(workers=[worker(resources=resources, config=config)]))
    remove = stored(admin, "large", large)
    try:
        found = doctor.results()["accelerators"]
        assert (found["status"], found["message"]) == (
            "warning",
            f"{admin.namespace}/large asks for 16 nvidia.com/gpu per pod; a node offers at most 8",
        )
        assert "gpu-1   8" in doctor.cure(found["remedy"])
        offer(api, "gpu-1", 16)
        until(doctor, "accelerators")
    finally:
        remove()
        offer(api, "gpu-1", 8)


def test_release_in_the_settings_differs(doctor: Doctor, installation: Installation) -> None:
    """As after an upgrade of kthena that nobody told the operator of."""
    upgrade(installation, "kthena.release=v0.2.0")

    found = until(doctor, "kthena-release", "failed")

    assert found["message"] == "kthena.release is v0.2.0, but kthena v0.4.0 is installed"
    doctor.cure(found["remedy"])
    until(doctor, "kthena-release")
    until(doctor, "deployments")


def test_second_installation(doctor: Doctor, api: Api) -> None:
    found = api.request("GET", f"{DEPLOYMENTS}/{RELEASE}-controller")
    metadata = {"name": "other-controller", "labels": found["metadata"]["labels"]}
    spec = {**found["spec"], "replicas": 0}
    api.request("POST", DEPLOYMENTS, {"metadata": metadata, "spec": spec})
    try:
        rival = doctor.results()["installations"]
        assert rival["message"] == (
            "two controllers serve the same namespaces: model-booster-system/"
            "model-booster-controller and model-booster-system/other-controller"
        )
    finally:
        api.request("DELETE", f"{DEPLOYMENTS}/other-controller")
    until(doctor, "installations")


def test_no_cluster(doctor: Doctor, plane: ControlPlane, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.write_text(plane.kubeconfig.read_text().replace(plane.url, "https://127.0.0.1:1"))

    ran = doctor.run(kubeconfig=away)

    assert (ran.stdout, ran.code) == ("", 1)
    assert ran.stderr.startswith("Error: the cluster https://127.0.0.1:1 of context ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("width", [80, 200])
def test_terminal(doctor: Doctor, plane: ControlPlane, api: Api, width: int) -> None:
    """In a real terminal no line but a command is wider; colours only without NO_COLOR."""
    script = ["/usr/bin/script", "-qec", f"stty cols {width}; {PROGRAM} doctor", "/dev/null"]
    environment = {"KUBECONFIG": str(plane.kubeconfig), "TERM": "xterm", "PATH": os.environ["PATH"]}
    for more, has_color in (({}, True), ({"NO_COLOR": "1"}, False)):
        ran = subprocess.run(
            script,
            env={**environment, **more},
            text=True,
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        assert ("\x1b[32mok\x1b[0m" in ran.stdout) is has_color
        plain = ran.stdout.replace("\x1b[32m", "").replace("\x1b[0m", "")
        assert max(map(len, plain.splitlines())) <= width
