"""GitOps tools apply what the chart renders, again and again: they must find nothing to change.

Argo CD and Flux compare the rendered objects with those in the cluster as kubectl does, client-side
or server-side. What the operator writes itself (the CA, ``caBundle``, the Lease) is no difference.
"""

from __future__ import annotations

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from tests.argocd import health
from tests.builders import booster_object
from tests.conftest import Kubectl
from tests.e2e.installation import NAMESPACE, RELEASE, Installation, eventually
from tests.world import Admin


def manifest(installation: Installation) -> str:
    return installation.helm("get", "manifest", RELEASE, "--namespace", NAMESPACE)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param((), id="client-side"),
        pytest.param(("--server-side", "--force-conflicts"), id="server-side"),
    ],
)
def test_nothing_differs_after_a_sync(
    installation: Installation, kubectl: Kubectl, how: tuple[str, ...]
) -> None:
    rendered = manifest(installation)
    manager = ("--field-manager=argocd-controller",)
    synced = kubectl("apply", *how, *manager, "-f", "-", stdin=rendered)
    assert synced.code == 0, synced.stderr
    said = kubectl("diff", *how, *manager, "-f", "-", stdin=rendered)
    assert (said.code, said.stdout) == (0, ""), said.stderr
    # And the operator works as before.
    assert "Succeeded" in installation.helm(
        "test", RELEASE, "--namespace", NAMESPACE, "--timeout", "60s"
    )


def test_sync_takes_nothing_from_the_operator(installation: Installation, kubectl: Kubectl) -> None:
    def written() -> list[str]:
        bundle = "jsonpath={.webhooks[*].clientConfig.caBundle}"
        found = [
            kubectl("get", f"{kind}webhookconfiguration", "model-booster-webhook", "-o", bundle)
            for kind in ("validating", "mutating")
        ]
        where = ("-n", NAMESPACE, "-o", "jsonpath={.data}")
        found.append(kubectl("get", "secret", "model-booster-webhook-ca", *where))
        return [ran.stdout for ran in found]

    before = written()
    assert all(before)
    rendered = manifest(installation)
    for how in ((), ("--server-side", "--force-conflicts")):
        synced = kubectl("apply", *how, "-f", "-", stdin=rendered)
        assert synced.code == 0, synced.stderr
        assert written() == before


def test_argo_cd_follows_a_model_to_its_health(installation: Installation, admin: Admin) -> None:
    def seen(name: str = "m") -> str:
        return health(admin.until(MODEL_BOOSTER, name))["status"]

    admin.create(MODEL_BOOSTER, booster_object("m", namespace=admin.namespace))
    assert seen() == "Progressing"
    admin.until(MODEL_SERVING, "m-b1")
    admin.serve(MODEL_SERVING, "m-b1")
    eventually(lambda: seen() == "Healthy")

    # A type that is reserved for later does not begin to work by waiting.
    reserved = booster_object("reserved", namespace=admin.namespace)
    reserved["spec"]["backends"][0]["type"] = "MindIE"
    admin.create(MODEL_BOOSTER, reserved)
    eventually(lambda: seen("reserved") == "Degraded")
