"""``helm test``: a pod sends dry runs, and sees whether the webhook is asked."""

from __future__ import annotations

import pytest

from app.values.meta import Object, Resource
from certs.objects import VALIDATING
from tests.controlplane import clients
from tests.controlplane.api import Refused
from tests.e2e.installation import NAMESPACE, RELEASE, Installation
from tests.world import Admin

PODS = Resource("", "v1", "pods", "Pod")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
TEST = "model-booster-test"
ARGUMENTS = ("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "60s")


@pytest.mark.parametrize("major", clients.HELM)
def test_installation_passes_its_test(installation: Installation, major: int) -> None:
    said = installation.helm(*ARGUMENTS, major=major)
    assert "Succeeded" in said
    text = installation.kubelet.logs(TEST)
    assert "an invalid one is rejected:" in text
    assert "vLLM 0.9.2 has no such flag" in text
    system = Admin(installation.plane.api, NAMESPACE)
    # The namespace refuses pods that are less secure than ours.
    with pytest.raises(Refused, match="violates PodSecurity"):
        system.create(
            PODS,
            {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        )
    # No right to create ModelBoosters is left behind.
    for resource in (PODS, ROLES):
        names = {obj["metadata"]["name"] for obj in system.list(resource)}
        assert TEST not in names


def test_webhook_that_is_not_called_fails_the_test(installation: Installation) -> None:
    cluster = Admin(installation.plane.api, "")
    before = cluster.until(VALIDATING, "model-booster-webhook")
    changed: Object = {
        "webhooks": [
            {**w, "namespaceSelector": {"matchLabels": {"no": "one"}}} for w in before["webhooks"]
        ]
    }
    try:
        cluster.patch(VALIDATING, "model-booster-webhook", changed)
        with pytest.raises(AssertionError, match="Failed"):
            installation.helm(*ARGUMENTS)
        said = installation.kubelet.logs(TEST)
        assert "Error: an invalid ModelBooster is accepted" in said
        assert f'for the namespace "{NAMESPACE}"' in said
        assert "Traceback" not in said
    finally:
        cluster.patch(VALIDATING, "model-booster-webhook", {"webhooks": before["webhooks"]})
