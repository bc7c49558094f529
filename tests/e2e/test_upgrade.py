"""An upgrade of the installed operator replaces no pod of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.values.meta import Object, Resource
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from tests.conftest import PROFILE
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import HELM_ARGUMENTS, Installation, eventually
from tests.e2e.installation import NAMESPACE as SYSTEM
from tests.upgrade import earlier
from tests.upgrade.serving import ServingController, pod_uids
from tests.world import Admin

NAMESPACE = "models"
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")


class Models(Admin):
    """The namespace of the models, on a control plane of its own."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(plane.api, NAMESPACE)
        self.plane = plane
        self.serving = ServingController(self)

    def wanted_pods(self) -> int:
        """Returns the number of pods that the ModelServings ask for."""
        return sum(
            o["spec"]["replicas"]
            * sum(r["replicas"] * (1 + r["workerReplicas"]) for r in o["spec"]["template"]["roles"])
            for o in self.list(MODEL_SERVING)
        )


@pytest.fixture
def models() -> Iterator[Models]:
    """What the version before the engine tables leaves in a cluster, with pods; no operator."""
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children(PROFILE), crds.model_booster()])
        plane.start_controllers()
        plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        found = Models(plane)
        found.until(Resource("", "v1", "serviceaccounts", "ServiceAccount"), "default")
        for case in earlier.cases():
            earlier.install(found, case)
        found.serving.start()
        try:
            eventually(lambda: len(pod_uids(found)) == found.wanted_pods())
            yield found
        finally:
            found.serving.stop()
        assert found.serving.error is None


def is_held(booster: Object) -> bool:
    reasons = {c["type"]: c["reason"] for c in booster["status"]["conditions"]}
    return bool(reasons["Initialized"] == "RolloutHeld")


def is_of(child: Object, booster: str) -> bool:
    return str(child["metadata"]["name"]).startswith(f"{booster}-")


def _holder(lease: Object) -> str:
    """Returns the name of the pod that leads; "" if none does."""
    return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]


@pytest.mark.slow
def test_upgrade_of_the_operator_replaces_no_pod(models: Models, tmp_path: Path) -> None:
    before = pod_uids(models)
    assert len(before) > len(earlier.cases())
    values = {"crds.install": "false", "kthena.runtimeImage": "runtime:new"}
    with Installation(models.plane, tmp_path, values) as installed:
        for booster in models.list(MODEL_BOOSTER):
            models.until(MODEL_BOOSTER, booster["metadata"]["name"], is_held)
        assert before.items() <= pod_uids(models).items()  # SGLang had no pods before

        # Another setting, and with it another leader.
        values["kthena.runtimeImage"] = "runtime:newer"
        old = {"", *installed.kubelet.pods("controller")}
        sets = [f"--set={name}={value}" for name, value in values.items()]
        installed.helm("upgrade", *HELM_ARGUMENTS[1:], *sets, "--wait", "--timeout", "90s")
        name = next(iter(models.list(MODEL_ROUTE)))["metadata"]["name"]
        system = Admin(models.plane.api, SYSTEM)
        system.until(LEASE, "model-booster-controller", lambda o: _holder(o) not in old)
        assert before.items() <= pod_uids(models).items()

        allow = {"metadata": {"annotations": {ROLLOUT: ALLOW}}}
        models.patch(MODEL_BOOSTER, name, allow)
        eventually(lambda: not before.items() <= pod_uids(models).items())
        serving = next(o for o in models.list(MODEL_SERVING) if is_of(o, name))
        assert "runtime:newer" in str(serving["spec"])
        now = pod_uids(models)
        replaced = {pod for pod, uid in before.items() if now.get(pod) != uid}
        assert {pod.partition("-")[0] for pod in replaced} == {name}
