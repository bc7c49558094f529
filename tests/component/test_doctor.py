"""``model-booster doctor`` where not everything is installed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from certs.objects import VALIDATING
from tests import screens
from tests.commands import run, run_in_terminal
from tests.controlplane import clients, crds
from tests.controlplane.api import MERGE_PATCH
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import HELM_ARGUMENTS, ROOT
from tests.forked_program import PROGRAM


@pytest.fixture
def bare() -> Iterator[ControlPlane]:
    """A control plane of its own: on the shared one, other tests leave objects."""
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        plane.start_controllers()
        yield plane


def test_nothing_is_installed_but_the_definitions(bare: ControlPlane) -> None:
    said = run(bare.kubeconfig, "doctor", "-o", "yaml")

    assert (said.code, said.stderr) == (1, "")
    found = {check["check"]: check for check in yaml.safe_load(said.stdout)["checks"]}
    assert found["deployments"]["message"] == (
        "the webhook and the controller of model-booster are not installed"
    )
    assert found["deployments"]["remedy"] == [
        "helm upgrade --install model-booster charts/model-booster -n model-booster-system "
        "--create-namespace"
    ]
    assert found["webhook-config"]["remedy"] == found["deployments"]["remedy"]
    assert found["modelbooster-crd"]["status"] == "ok"
    for columns in (80, 200):
        screen, code = run_in_terminal(bare.kubeconfig, "doctor", columns=columns, NO_COLOR="1")
        assert code == 1
        screens.check(f"doctor-nothing-{columns}", screen)


@pytest.mark.slow
def test_remedy_with_helm_3(tmp_path: Path) -> None:
    """Helm 3 lacks the flag that Helm 4 needs. No pods run here."""
    with ControlPlane() as plane:
        crds.install(plane.api, crds.children("B"))
        environment = {
            "KUBECONFIG": str(plane.kubeconfig),
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path}:/usr/bin:/bin",
        }
        (tmp_path / "helm").symlink_to(clients.helm(3))

        def shell(command: str) -> None:
            subprocess.run(command, shell=True, check=True, cwd=ROOT, env=environment)  # noqa: S602

        shell(" ".join(["helm", *HELM_ARGUMENTS]))
        plane.api.request("DELETE", VALIDATING.path(None, "model-booster-webhook"))
        role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/model-booster-webhook"
        plane.api.request("PATCH", role, {"rules": []}, content_type=MERGE_PATCH)

        def check(name: str) -> dict[str, Any]:
            said = run(plane.kubeconfig, "doctor", "-o", "json")
            (found,) = [c for c in json.loads(said.stdout)["checks"] if c["check"] == name]
            return dict(found)

        broken = check("webhook-config")
        assert broken["status"] == check("operator-rights")["status"] == "failed"
        (command,) = broken["remedy"]
        assert command == (
            "helm upgrade model-booster charts/model-booster -n model-booster-system --reuse-values"
        )
        shell(command)
        assert check("webhook-config")["status"] == check("operator-rights")["status"] == "ok"


@pytest.mark.parametrize("options", [["doctor"], ["migrate", "--check"], ["dashboard"]])
def test_without_a_cluster(options: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, *options],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == (
        "Error: no cluster is configured: there is no file in KUBECONFIG and no ~/.kube/config; "
        "name a kubeconfig with --kubeconfig\n"
    )
