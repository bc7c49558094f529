"""The chart in real networks: how the control plane reaches the webhook, and policies."""

from __future__ import annotations

import pytest

from app.values.meta import Object
from tests.chart import (
    CHART,
    CONTROLLER,
    WEBHOOK,
    container,
    helm,
    of_kind,
    one,
    render,
    rendered,
)

NETWORKS = "networks-values.yaml"
POLICIES = "--set=networkPolicy.enabled=true"


def variables(deployment: Object) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in container(deployment)["env"]}


def entries(objects: tuple[Object, ...] | list[Object]) -> list[Object]:
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    return [entry for kind in kinds for entry in one(objects, kind, WEBHOOK)["webhooks"]]


# How the control plane reaches the webhook.


def test_webhook_in_the_network_of_its_node_has_ports_of_its_own() -> None:
    deployment = one(rendered(NETWORKS), "Deployment", WEBHOOK)
    spec = deployment["spec"]["template"]["spec"]
    assert spec["hostNetwork"] is True
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    ports = {port["name"]: port["containerPort"] for port in container(deployment)["ports"]}
    assert ports == {"https": 20250, "http": 20251}
    found = variables(deployment)
    assert found["MODELBOOSTER_WEBHOOK_PORT"] == "20250"
    assert found["MODELBOOSTER_PROBE_PORT"] == "20251"
    # Two pods cannot have the same ports of one node, and there may be no further node.
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 1, "maxSurge": 0}


def test_controller_stays_in_the_network_of_the_pods() -> None:
    deployment = one(rendered(NETWORKS), "Deployment", CONTROLLER)
    assert "hostNetwork" not in deployment["spec"]["template"]["spec"]
    assert variables(deployment)["MODELBOOSTER_PROBE_PORT"] == "8080"
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_own_dns_policy_wins_in_the_network_of_the_node() -> None:
    objects = render("--set=webhook.hostNetwork=true,webhook.dnsPolicy=Default")
    spec = one(objects, "Deployment", WEBHOOK)["spec"]["template"]["spec"]
    assert spec["dnsPolicy"] == "Default"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://webhook.example.com:20250", "webhook.example.com"),
        ("https://192.0.2.10", "192.0.2.10"),
        ("https://[2001:db8::10]:443", "2001:db8::10"),
    ],
)
def test_url_replaces_the_service_and_is_certified(url: str, host: str) -> None:
    objects = render("--set", f"webhook.url={url}")
    found = entries(objects)
    assert len(found) == 3
    for entry in found:
        path = "/mutate/" if entry["name"].startswith("mutate") else "/validate/"
        assert entry["clientConfig"] == {"url": f"{url}{path}modelbooster"}
    assert variables(one(objects, "Deployment", WEBHOOK))["MODELBOOSTER_WEBHOOK_URL_HOST"] == host
    managed = render(
        "--set", f"webhook.url={url}", "--set=webhook.certManagement.mode=cert-manager"
    )
    certificate = one(managed, "Certificate", WEBHOOK)["spec"]
    key = "dnsNames" if host.endswith("com") else "ipAddresses"
    assert host in certificate[key]
    assert f"{WEBHOOK}.booster.svc" in certificate["dnsNames"]


def test_port_of_private_clusters_is_named_where_people_look() -> None:
    webhook = one(render("--set=webhook.port=10250"), "Deployment", WEBHOOK)
    assert {p["containerPort"] for p in container(webhook)["ports"]} == {10250, 8080}
    said = helm("install", "r", str(CHART), "--dry-run=client").stdout
    assert "webhook.port=10250" in said.partition("NOTES:")[2]
    root = CHART.parents[1]
    for page in (CHART / "values.yaml", root / "docs/install.md", root / "docs/operations.md"):
        assert "10250" in page.read_text()


# NetworkPolicies.


def policy(objects: tuple[Object, ...] | list[Object], name: str) -> Object:
    found: Object = one(objects, "NetworkPolicy", name)["spec"]
    return found


def test_policies_are_off_by_default() -> None:
    assert not of_kind(rendered(), "NetworkPolicy")


def test_policies_select_the_pods_of_their_component() -> None:
    objects = render(POLICIES)
    for name in (WEBHOOK, CONTROLLER):
        labels = one(objects, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        selected = policy(objects, name)["podSelector"]["matchLabels"]
        assert selected.items() <= labels.items()


def test_policies_allow_only_needed_traffic() -> None:
    objects = render(POLICIES)
    webhook, controller = policy(objects, WEBHOOK), policy(objects, CONTROLLER)
    metrics = {
        "ports": [{"port": "http", "protocol": "TCP"}],
        "from": [{"namespaceSelector": {"matchLabels": {"metrics": "enabled"}}}],
    }
    assert webhook["ingress"] == [{"ports": [{"port": "https", "protocol": "TCP"}]}, metrics]
    assert controller["ingress"] == [metrics]
    for found in (webhook, controller):
        assert found["policyTypes"] == ["Ingress", "Egress"]
        assert {p["port"] for rule in found["egress"] for p in rule["ports"]} == {443, 6443, 53}


def test_addresses_and_ports_of_the_api_server_can_be_given() -> None:
    named = policy(rendered("everything-values.yaml"), "booster-webhook")
    server = [{"ipBlock": {"cidr": "192.0.2.10/32"}}, {"ipBlock": {"cidr": "2001:db8::10/128"}}]
    assert named["ingress"][0]["from"] == server
    assert named["egress"][0] == {"to": server, "ports": [{"port": 6443, "protocol": "TCP"}]}


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
def test_prometheus_is_let_in_with_a_monitor(monitor: str) -> None:
    objects = render(POLICIES, f"--set={monitor}.enabled=true")
    for name in (WEBHOOK, CONTROLLER):
        assert policy(objects, name)["ingress"][-1] == {
            "ports": [{"port": "http", "protocol": "TCP"}]
        }
    own = "networkPolicy.metricsNamespaceSelector.matchLabels.team=monitoring"
    objects = render(POLICIES, f"--set={monitor}.enabled=true,{own}")
    (source,) = policy(objects, WEBHOOK)["ingress"][-1]["from"]
    assert source == {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}


def test_no_policy_for_pods_in_the_network_of_their_node() -> None:
    (found,) = of_kind(rendered(NETWORKS), "NetworkPolicy")
    assert found["metadata"]["name"] == CONTROLLER
