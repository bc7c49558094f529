"""Installing where kthena's own chart has been before: its CustomResourceDefinition is replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from tests.controlplane import clients, crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import HELM_ARGUMENTS, ROOT


@pytest.fixture
def old() -> Iterator[ControlPlane]:
    """A control plane whose ModelBooster knows one backend only, as kthena's from v0.2.0 on."""
    with ControlPlane() as plane:
        definition = deepcopy(crds.model_booster())
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        spec = schema["properties"]["spec"]
        spec["properties"] = {"backend": spec["properties"]["backend"]}
        spec.pop("x-kubernetes-validations", None)
        path = plane.folder / "crd.json"
        path.write_text(json.dumps(definition))
        _run(plane, clients.kubectl(), "create", "-f", str(path))
        yield plane


def _run(plane: ControlPlane, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env={"KUBECONFIG": str(plane.kubeconfig), "HOME": str(plane.folder), "PATH": "/usr/bin"},
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("major", "flags"),
    [
        pytest.param(3, ["--take-ownership"], id="Helm 3"),
        pytest.param(4, ["--take-ownership", "--force-conflicts"], id="Helm 4"),
    ],
)
def test_crd_of_kthena_is_taken_over(old: ControlPlane, major: int, flags: list[str]) -> None:
    refused = _run(old, clients.helm(major), *HELM_ARGUMENTS)
    assert "exists and cannot be imported" in refused.stderr

    taken = _run(old, clients.helm(major), *HELM_ARGUMENTS, *flags)

    assert taken.returncode == 0, taken.stderr
    name = f"{MODEL_BOOSTER.plural}.{MODEL_BOOSTER.group}"
    found = old.api.request("GET", crds.CRD.path(None, name))
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert "backends" in schema["properties"]["spec"]["properties"]
