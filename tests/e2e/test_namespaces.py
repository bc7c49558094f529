"""The chart, limited to some namespaces: which must exist, what is said elsewhere, what is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.values.meta import Object, Resource
from controller.election.lease import LEASE
from tests.builders import booster_object
from tests.conftest import PROFILE
from tests.controlplane import clients, crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.admission import ensure_namespace
from tests.e2e.installation import (
    HELM_ARGUMENTS,
    NAMESPACE,
    RELEASE,
    ROOT,
    Installation,
    eventually,
)
from tests.world import Admin

WATCHED, ELSEWHERE = "team-a", "team-b"
SECRET = Resource("", "v1", "secrets", "Secret")


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A control plane that has kthena's definitions, and nothing of ours."""
    with ControlPlane() as plane:
        crds.install(plane.api, crds.children(PROFILE))
        plane.start_controllers()
        yield plane


def run(
    plane: ControlPlane, program: Path, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env={"KUBECONFIG": str(plane.kubeconfig), "HOME": str(plane.folder), "PATH": "/usr/bin"},
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
    )


def apply(plane: ControlPlane, namespace: str, obj: Object) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump({**obj, "metadata": {"name": obj["metadata"]["name"]}})
    return run(plane, clients.kubectl(), "apply", "-n", namespace, "-f", "-", stdin=text)


def _has_no_pods(installation: Installation, component: str) -> bool:
    return not installation.kubelet.pods(component)


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.slow
def test_missing_namespace_fails_before_anything_is_created(
    own_plane: ControlPlane, major: int
) -> None:
    ensure_namespace(own_plane.api, WATCHED)
    flag = "--set=watchNamespaces={team-a,no-such-namespace}"

    said = run(own_plane, clients.helm(major), *HELM_ARGUMENTS, flag)

    assert said.returncode != 0
    assert "namespaces that do not exist: no-such-namespace; create them first" in said.stderr
    names = run(own_plane, clients.kubectl(), "get", "namespaces,crd,clusterroles", "-o", "name")
    assert NAMESPACE not in names.stdout
    assert str(MODEL_BOOSTER) not in names.stdout
    assert "model-booster" not in names.stdout
    # Nor does a chart that is rendered without a cluster care.
    offline = run(own_plane, clients.helm(major), "template", "charts/model-booster", flag)
    assert offline.returncode == 0, offline.stderr


@pytest.mark.slow
def test_installation_limited_to_a_namespace(
    own_plane: ControlPlane,
) -> None:
    for namespace in (WATCHED, ELSEWHERE):
        ensure_namespace(own_plane.api, namespace)
    values = {"watchNamespaces": f"{{{WATCHED}}}"}
    with Installation(own_plane, own_plane.folder / "pods", values) as installation:
        elsewhere = apply(own_plane, ELSEWHERE, booster_object("m"))
        assert elsewhere.returncode == 0, elsewhere.stderr
        assert (
            "Warning: this ModelBooster will not be served: the controller watches only the "
            f"namespaces {WATCHED} (watchNamespaces of the Helm chart)"
        ) in elsewhere.stderr

        here = apply(own_plane, WATCHED, booster_object("m"))
        assert here.returncode == 0
        assert "Warning" not in here.stderr
        Admin(own_plane.api, WATCHED).until(MODEL_ROUTE, "m")

        installation.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
        system = Admin(own_plane.api, NAMESPACE)
        # What the program may recreate, it does not recreate on its way out.
        for component in ("controller", "webhook"):
            eventually(partial(_has_no_pods, installation, component), seconds=60)
        assert system.get(LEASE, "model-booster-controller") is None
        assert system.get(SECRET, "model-booster-webhook-ca") is None
