"""The plain manifests in ``deploy/``: what kustomize makes of them, and what the server says."""

from __future__ import annotations

import yaml

from app.values.meta import Object
from tests.chart import of_kind, one
from tests.conftest import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.manifests import FOLDER, NAME, NAMESPACE, files


def built(kubectl: Kubectl) -> list[Object]:
    said = kubectl("kustomize", str(FOLDER))
    assert said.code == 0, said.stderr
    return [obj for obj in yaml.load_all(said.stdout, Loader=yaml.CSafeLoader) if obj]


def test_manifests_match_the_chart() -> None:
    for name, text in files():
        assert (FOLDER / name).read_text() == text, 'run "make generate"'
    assert {path.name for path in FOLDER.glob("*.yaml")} == {name for name, _ in files()}


def test_kustomize_builds_every_object_without_a_trace_of_helm(kubectl: Kubectl) -> None:
    objects = built(kubectl)
    assert len(objects) == sum(text.count("\nkind: ") for _, text in files()) - 1  # Kustomization
    assert "helm.sh" not in yaml.safe_dump(objects).lower()
    one(objects, "Namespace", NAMESPACE)
    assert len(of_kind(objects, "Deployment")) == 2
    assert not of_kind(objects, "Pod")
    # What the program writes is left to it, so that no apply takes it away.
    assert "data" not in one(objects, "Secret", f"{NAME}-webhook-ca")
    assert "spec" not in one(objects, "Lease", f"{NAME}-controller")


def test_server_accepts_the_manifests(kubectl: Kubectl, plane: ControlPlane) -> None:
    body = one(built(kubectl), "Namespace", NAMESPACE)
    # A dry run creates no namespace for the objects in it.
    plane.api.request("POST", "/api/v1/namespaces", body)
    try:
        apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--kustomize")
        said = kubectl(*apply, str(FOLDER))
        assert said.code == 0, said.stderr
        assert "would violate PodSecurity" not in said.stderr
        assert said.stdout.count("serverside-applied (server dry run)") == len(built(kubectl))
    finally:
        plane.api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
