"""The API server calls the webhook by a URL, in the node's network; policies know its ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from app.values.meta import Object, Resource
from certs.objects import VALIDATING
from tests.conftest import PROFILE
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import Port
from tests.e2e.installation import HELM_ARGUMENTS, NAMESPACE, RELEASE, Installation
from tests.world import Admin

SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")


@pytest.fixture(scope="module")
def by_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The chart with a webhook in the network of its node, which is this machine."""
    port = Port()
    port.release()
    values = {
        "webhook.hostNetwork": "true",
        "webhook.port": port.number,
        "webhook.url": f"https://localhost:{port.number}",
    }
    with ControlPlane() as plane:
        crds.install(plane.api, crds.children(PROFILE))
        plane.start_controllers()
        folder = tmp_path_factory.mktemp("pods")
        # Pod Security baseline already forbids the network of the node.
        with Installation(plane, folder, values, pod_security="privileged") as installed:
            yield installed


@pytest.mark.slow
def test_webhook_is_called_by_its_url_in_the_network_of_the_node(by_url: Installation) -> None:
    configuration = Admin(by_url.plane.api, "").until(VALIDATING, "model-booster-webhook")
    for entry in configuration["webhooks"]:
        assert set(entry["clientConfig"]) == {"url", "caBundle"}
    said = by_url.helm("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "60s")
    assert "Succeeded" in said
    assert "an invalid one is rejected:" in by_url.kubelet.logs("model-booster-test")


@pytest.mark.slow
@pytest.mark.parametrize("major", [3, 4])
def test_policies_name_the_ports_that_the_cluster_reports(by_url: Installation, major: int) -> None:
    """An API server enters its own address; this one is told not to."""
    cluster = Admin(by_url.plane.api, "default")
    endpoints: Object = {
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 7443, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["192.0.2.10"]}],
    }
    if not cluster.get(SLICES, "kubernetes"):
        cluster.create(SLICES, endpoints)
    said = by_url.helm(
        *("upgrade", *HELM_ARGUMENTS[1:], "--set=networkPolicy.enabled=true"),
        *("--dry-run=server", "--hide-notes") if major == 4 else ("--dry-run=server",),
        major=major,
    )
    manifests = said.partition("MANIFEST:")[2].partition("NOTES:")[0]
    policies = [o for o in yaml.safe_load_all(manifests) if o and o["kind"] == POLICIES.kind]
    assert len(policies) == 2
    for policy in policies:
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert ports == {443, 7443, 53}
