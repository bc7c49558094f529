"""What operators rely on: rights, restarts, failover, and how the program is reached."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from datetime import datetime
from functools import partial

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING
from app.values.meta import Object, Resource
from controller.reconcile.reconciler import SLOW_SECONDS
from tests import audit
from tests.builders import booster_object
from tests.conftest import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import HELM_ARGUMENTS, NAMESPACE, ROOT, Installation, eventually
from tests.world import Admin

LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")
SECRET = Resource("", "v1", "secrets", "Secret")
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:model-booster-controller"
OURS = f"system:serviceaccount:{NAMESPACE}:"
BESIDE = {"leases", "events"}
"""Resources whose writes do not count in any budget."""


def _is_active(booster: Object) -> bool:
    conditions = {c["type"]: c["status"] for c in booster["status"]["conditions"]}
    return bool(conditions["Active"] == "True")


def _serve(admin: Admin, name: str) -> None:
    """Applies a ModelBooster and plays the serving controller until it is Active."""
    admin.create(MODEL_BOOSTER, booster_object(name, namespace=admin.namespace))
    admin.until(MODEL_SERVING, f"{name}-b1")
    admin.serve(MODEL_SERVING, f"{name}-b1", "Progressing")
    admin.serve(MODEL_SERVING, f"{name}-b1")
    admin.until(MODEL_BOOSTER, name, _is_active)


def _work(plane: ControlPlane, since: datetime, namespace: str) -> list[audit.Request]:
    """Returns what the controller asked of a namespace, leases and Events not counted."""
    return [
        request
        for request in audit.requests(plane, user=CONTROLLER, since=since, namespace=namespace)
        if request.resource not in BESIDE
    ]


def _program(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "modelbooster", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_new_model_booster_costs_its_children_and_two_status_writes(
    plane: ControlPlane, admin: Admin
) -> None:
    for name in ("m1", "m2", "m3", "m4", "m5"):
        since, began = audit.now(plane), time.monotonic()
        _serve(admin, name)
        seconds = time.monotonic() - began
        work = _work(plane, since, admin.namespace)
        asked = sorted(str(r) for r in work if not r.name or r.name.startswith(name))
        wanted = [
            f"200 patch modelboosters/{name}/status",
            f"200 patch modelboosters/{name}/status",
            f"201 patch modelroutes/{name}",
            f"201 patch modelservers/{name}-b1",
            f"201 patch modelservings/{name}-b1",
        ]
        # A pass that takes longer says so in the status, which is one more write; then the
        # machine was busy, and the next one shows it.
        if asked == wanted or seconds < SLOW_SECONDS:
            break
    assert asked == wanted


def test_new_leader_writes_nothing(
    installation: Installation, plane: ControlPlane, admin: Admin, kubectl: Kubectl
) -> None:
    _serve(admin, "m")
    system = Admin(plane.api, NAMESPACE)
    lease = system.until(LEASE, "model-booster-controller")
    holder = lease["spec"]["holderIdentity"]
    leader = holder.partition("_")[0]
    assert leader in installation.kubelet.pods("controller")
    since = audit.now(plane)

    said = kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false")
    assert said.code == 0

    # It released the lease on its way out: nobody had to wait for it to run out.
    lease = system.until(
        LEASE,
        "model-booster-controller",
        lambda obj: obj["spec"]["holderIdentity"] not in ("", holder),
        seconds=10,
    )
    text = installation.kubelet.logs(leader)
    assert f"{holder} has released the lease" in text
    assert "process ended normally" in text
    # The new leader works...
    edited = booster_object("m", namespace=admin.namespace)
    edited["spec"]["backends"][0]["routeWeight"] = 50
    admin.put(MODEL_BOOSTER, edited)
    admin.until(
        MODEL_ROUTE,
        "m",
        lambda obj: obj["spec"]["rules"][0]["targetModels"][0]["weight"] == 50,
    )
    # ... and had nothing to write before it was given something to do.
    first, *_ = [r for r in _work(plane, since, admin.namespace) if r.is_write]
    assert str(first) == "200 patch modelroutes/m"


@pytest.mark.slow
def test_restarted_process_catches_up(installation: Installation, admin: Admin) -> None:
    for pod in installation.kubelet.pods("controller").values():
        assert pod.process is not None
        pod.process.kill()

    admin.create(MODEL_BOOSTER, booster_object("m", namespace=admin.namespace))

    admin.until(MODEL_ROUTE, "m", seconds=60)


@pytest.mark.slow
def test_deleted_lease_and_secret_are_recreated_with_helm_metadata(
    installation: Installation, plane: ControlPlane, admin: Admin, kubectl: Kubectl
) -> None:
    system = Admin(plane.api, NAMESPACE)
    names = {LEASE: "model-booster-controller", SECRET: "model-booster-webhook-ca"}
    before = {resource: system.until(resource, name) for resource, name in names.items()}

    for resource, name in names.items():
        system.delete(resource, name)

    after = {
        resource: system.until(resource, name, partial(_is_remade, before[resource]), seconds=30)
        for resource, name in names.items()
    }
    for resource in names:
        for part in ("labels", "annotations"):
            assert after[resource]["metadata"][part] == before[resource]["metadata"][part]
    # A new webhook gets a certificate that the API server trusts, and a leader works.
    (webhook,) = installation.kubelet.pods("webhook")
    assert kubectl("delete", "pod", webhook, "-n", NAMESPACE, "--wait=false").code == 0
    eventually(lambda: webhook not in installation.kubelet.pods("webhook"), seconds=60)
    eventually(
        lambda: any(p.is_ready() for p in installation.kubelet.pods("webhook").values()),
        seconds=60,
    )
    _serve(admin, "m")

    installation.helm("upgrade", *HELM_ARGUMENTS[1:], "--wait", "--timeout", "90s")

    for resource, name in names.items():
        found = system.until(resource, name)
        assert found["metadata"]["uid"] == after[resource]["metadata"]["uid"]
        assert found.get("data") == after[resource].get("data")


def _is_remade(before: Object, obj: Object) -> bool:
    is_filled = obj.get("data") or obj.get("spec", {}).get("holderIdentity")
    return bool(is_filled) and obj["metadata"]["uid"] != before["metadata"]["uid"]


def test_changes_are_reverted_and_additions_stay(admin: Admin) -> None:
    _serve(admin, "m")
    route = admin.until(MODEL_ROUTE, "m")

    admin.patch(
        MODEL_ROUTE,
        "m",
        {"spec": {"rules": []}, "metadata": {"labels": {"mine": "stays"}}},
    )
    admin.delete(MODEL_SERVER, "m-b1")

    found = admin.until(MODEL_ROUTE, "m", lambda obj: obj["spec"] == route["spec"])
    assert found["metadata"]["labels"]["mine"] == "stays"
    admin.until(MODEL_SERVER, "m-b1")


def test_webhook_receives_only_relevant_requests(
    installation: Installation, kubectl: Kubectl, admin: Admin
) -> None:
    def calls() -> float:
        (pod,) = installation.kubelet.pods("webhook").values()
        counted = re.findall(
            r"^controller_runtime_webhook_requests_total\{.*\} (\S+)$",
            pod.ask("/metrics").text,
            re.MULTILINE,
        )
        return sum(map(float, counted))

    text = yaml.safe_dump(booster_object("m"))
    before = calls()
    assert kubectl("apply", "-f", "-", stdin=text).code == 0
    assert calls() == before + 1

    assert kubectl("apply", "-f", "-", stdin=text).code == 0
    assert kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text).code == 0
    assert kubectl("label", "mb/m", "a=b").code == 0
    assert kubectl("annotate", "mb/m", "c=d").code == 0
    admin.serve(MODEL_SERVING, "m-b1")
    admin.until(MODEL_BOOSTER, "m", _is_active)  # status writes
    assert kubectl("delete", "mb/m").code == 0
    assert calls() == before + 1


def test_server_accepts_rendered_children(kubectl: Kubectl) -> None:
    files = sorted(map(str, (ROOT / "examples").glob("*.yaml")))
    rendered = _program("render", *files)
    said = kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered)
    assert said.stderr == ""
    lines = said.stdout.splitlines()
    assert len(lines) == rendered.count("\nkind: ")
    assert all(line.endswith(" created (server dry run)") for line in lines)


def test_every_example_is_admitted(kubectl: Kubectl) -> None:
    said = kubectl("apply", "--dry-run=server", "-f", str(ROOT / "examples"))
    assert said.code == 0, said.stderr
    assert len(said.stdout.splitlines()) == len(list((ROOT / "examples").glob("*.yaml")))


def test_chart_grants_all_needed_permissions(
    installation: Installation, plane: ControlPlane, admin: Admin
) -> None:
    _serve(admin, "m")
    admin.delete(MODEL_BOOSTER, "m")
    admin.until_gone(MODEL_ROUTE, "m")

    # In namespaces of other tests, which are being deleted, nobody may create anything any more.
    places = ("", NAMESPACE, admin.namespace)
    asked = [r for r in audit.requests(plane) if r.user.startswith(OURS)]
    assert {r.user.removeprefix(OURS) for r in asked} == {
        "model-booster-controller",
        "model-booster-webhook",
    }
    assert [str(r) for r in asked if r.code in (401, 403) and r.namespace in places] == []
    lines = installation.kubelet.logs().splitlines()
    # What a user must not set is forbidden too, and told at INFO.
    loud = [line for line in lines if '"level":"info"' not in line]
    assert [line for line in loud if "orbidden" in line and "being terminated" not in line] == []
    assert [line for line in lines if "this is a bug" in line] == []


def test_processes_end_on_sigterm(installation: Installation, kubectl: Kubectl) -> None:
    (name,) = installation.kubelet.pods("webhook")
    said = kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")
    assert said.code == 0
    eventually(lambda: name not in installation.kubelet.pods("webhook"), seconds=60)
    text = installation.kubelet.logs(name)
    assert "SIGTERM: ending" in text
    assert "process ended normally" in text
    eventually(
        lambda: any(p.is_ready() for p in installation.kubelet.pods("webhook").values()),
        seconds=60,
    )
