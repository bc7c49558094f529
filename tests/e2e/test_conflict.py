"""Installing next to kthena's own ModelBooster controller: the chart's notes warn of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from app.values.meta import Object, Resource
from tests.controlplane import clients
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import ROOT
from tests.world import Admin

DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
NAME = "kthena-controller-manager"
LABELS = {"app": NAME}


def kthena(arg: str) -> Object:
    """The Deployment as kthena's chart makes it."""
    container = {"name": NAME, "image": NAME, "args": ["--leader-elect", arg]}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def deployed(admin: Admin) -> Iterator[Admin]:
    yield admin
    admin.delete(DEPLOYMENT, NAME)
    admin.until_gone(DEPLOYMENT, NAME)


def notes(plane: ControlPlane, major: int, *arguments: str) -> str:
    """Returns what helm would print after an installation."""
    done = subprocess.run(
        [
            *(clients.helm(major), "install", "beside", "charts/model-booster"),
            *("--dry-run=server", "--set=crds.install=false", *arguments),
        ],
        cwd=ROOT,
        env={"KUBECONFIG": str(plane.kubeconfig), "HOME": "/nonexistent", "PATH": "/usr/bin"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


@pytest.mark.parametrize("major", [3, 4])
def test_the_notes_warn_while_kthenas_controller_is_on(
    major: int, deployed: Admin, plane: ControlPlane
) -> None:
    on = (
        *("--v=2", "--controllers=*", "--controllers=modelserving,modelbooster"),
        "--controllers=+modelserving,+modelbooster",
    )
    off = ("--controllers=*,-modelbooster", "--controllers=modelserving,autoscaler")
    for arg in on:
        deployed.put(DEPLOYMENT, kthena(arg))
        said = notes(plane, major)
        assert f"is on: Deployment {deployed.namespace}/{NAME}" in said, arg
        assert 'controllers: "*,-modelbooster"' in said
    assert "is on" not in notes(plane, major, "--set=kthena.lookupController=false")
    for arg in off:
        deployed.put(DEPLOYMENT, kthena(arg))
        assert "is on" not in notes(plane, major), arg
