"""What operators set in the chart beside the operator's own settings, and where it arrives."""

from __future__ import annotations

import pytest

from app.values.meta import Object
from tests.chart import (
    CONTROLLER,
    NAMESPACE,
    WEBHOOK,
    container,
    deployments,
    of_kind,
    one,
    render,
    rendered,
)

EVERYTHING = "everything-values.yaml"


def pod_of(component: str, file: str = EVERYTHING) -> Object:
    prefix = "booster" if file == EVERYTHING else WEBHOOK.removesuffix("-webhook")
    deployment = one(rendered(file), "Deployment", f"{prefix}-{component}")
    found: Object = deployment["spec"]["template"]
    return found


# Values that an umbrella chart shares with all its charts.


def test_global_labels_are_set_and_own_labels_win() -> None:
    for obj in rendered(EVERYTHING):
        if not obj["metadata"]["name"].endswith("more"):
            labels = obj["metadata"]["labels"]
            assert (labels["team"], labels["cost-center"]) == ("platform", "42")
    for component in ("webhook", "controller"):
        assert pod_of(component)["metadata"]["labels"]["cost-center"] == "42"


def test_pull_secrets_of_chart_and_umbrella_are_joined() -> None:
    test = one(rendered(EVERYTHING), "Pod", "booster-test")
    for pod in (pod_of("webhook"), pod_of("controller"), test):
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}, {"name": "umbrella"}]
    assert "imagePullSecrets" not in pod_of("webhook", "default-values.yaml")["spec"]


def test_global_priority_class_is_the_default() -> None:
    assert pod_of("webhook")["spec"]["priorityClassName"] == "system-cluster-critical"
    assert pod_of("controller")["spec"]["priorityClassName"] == "system-node-critical"
    assert "priorityClassName" not in pod_of("webhook", "default-values.yaml")["spec"]


# Pods and Deployments.


@pytest.mark.parametrize("component", ["webhook", "controller"])
def test_pod_options_arrive(component: str) -> None:
    deployment = one(rendered(EVERYTHING), "Deployment", f"booster-{component}")
    assert deployment["metadata"]["annotations"] == {"example.com/owner": "platform"}
    assert deployment["spec"]["revisionHistoryLimit"] == 3
    spec = deployment["spec"]["template"]["spec"]
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"]["nameservers"] == ["192.0.2.53"]
    assert spec["hostAliases"] == [{"ip": "192.0.2.10", "hostnames": ["kubernetes.example.com"]}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    probes = container(deployment)
    # What is not set keeps its default.
    assert probes["startupProbe"] == {
        "httpGet": {"path": "/livez", "port": "http"},
        "periodSeconds": 1,
        "timeoutSeconds": 2,
        "failureThreshold": 120,
    }
    assert probes["livenessProbe"]["periodSeconds"] == 20
    assert probes["readinessProbe"]["timeoutSeconds"] == 4


def test_pods_run_on_linux_nodes_by_default() -> None:
    for deployment in deployments():
        spec = deployment["spec"]["template"]["spec"]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert {"dnsPolicy", "dnsConfig", "hostAliases"}.isdisjoint(spec)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("minAvailable=1", {"minAvailable": 1}),
        ("minAvailable=50%", {"minAvailable": "50%"}),
        ("maxUnavailable=2", {"maxUnavailable": 2}),
    ],
)
def test_disruption_budget_has_one_of_two_bounds(value: str, want: Object) -> None:
    objects = render(f"--set=webhook.podDisruptionBudget.{value}")
    spec = one(objects, "PodDisruptionBudget", WEBHOOK)["spec"]
    assert {k: v for k, v in spec.items() if k in ("minAvailable", "maxUnavailable")} == want


def test_service_account_labels_are_set() -> None:
    account = one(rendered(EVERYTHING), "ServiceAccount", "booster-webhook")["metadata"]
    assert account["labels"]["azure.workload.identity/use"] == "true"
    assert account["annotations"] == {"example.com/role": "booster"}


# Services and the Lease.


def test_services_have_families_and_annotations() -> None:
    for service in of_kind(rendered(EVERYTHING), "Service"):
        assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
        assert service["spec"]["ipFamilies"] == ["IPv6", "IPv4"]
        is_metrics = service["metadata"]["name"].endswith("-metrics")
        want = {"example.com/scrape": "true"} if is_metrics else None
        assert service["metadata"].get("annotations") == want
    annotated = render("--set=webhook.serviceAnnotations.a=b")
    assert one(annotated, "Service", WEBHOOK)["metadata"]["annotations"] == {"a": "b"}
    for service in of_kind(rendered(), "Service"):
        assert {"ipFamilies", "ipFamilyPolicy"}.isdisjoint(service["spec"])


@pytest.mark.parametrize(("namespace", "want"), [("", NAMESPACE), ("leases", "leases")])
def test_lease_and_its_rights_are_in_one_namespace(namespace: str, want: str) -> None:
    objects = render(f"--set=leaderElection.namespace={namespace}")
    for kind in ("Lease", "Role", "RoleBinding"):
        assert one(objects, kind, CONTROLLER)["metadata"]["namespace"] == want
    variables = {
        e["name"]: e.get("value") for e in container(one(objects, "Deployment", CONTROLLER))["env"]
    }
    assert variables["MODELBOOSTER_LEASE_NAMESPACE"] == want
    (subject,) = one(objects, "RoleBinding", CONTROLLER)["subjects"]
    assert subject["namespace"] == NAMESPACE


# Prometheus Operator.


def test_monitors_have_their_options() -> None:
    monitor = one(rendered(EVERYTHING), "ServiceMonitor", "booster")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["metadata"]["annotations"] == {"example.com/owner": "platform"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("30s", "10s")
    assert endpoint["relabelings"][0]["targetLabel"] == "node"
    assert endpoint["metricRelabelings"][0]["action"] == "drop"
    assert set(
        one(
            render("--set=serviceMonitor.enabled=true"),
            "ServiceMonitor",
            WEBHOOK.removesuffix("-webhook"),
        )["spec"]["endpoints"][0]
    ) == {"port", "path"}


def test_pod_monitor_selects_the_pods_of_both_processes_only() -> None:
    objects = render("--set=podMonitor.enabled=true,metrics.enabled=false")
    (monitor,) = of_kind(objects, "PodMonitor")
    assert not of_kind(objects, "ServiceMonitor")
    selector = monitor["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("app.kubernetes.io/component", "In")
    (port,) = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}

    def is_selected(labels: Object) -> bool:
        has = selector["matchLabels"].items() <= labels.items()
        return has and labels[expression["key"]] in expression["values"]

    for deployment in of_kind(objects, "Deployment"):
        assert is_selected(deployment["spec"]["template"]["metadata"]["labels"])
        assert port in {p["name"] for p in container(deployment)["ports"]}
    (test,) = of_kind(objects, "Pod")
    assert not is_selected(test["metadata"]["labels"])


# Webhook configurations.


def webhooks(objects: list[Object]) -> dict[str, Object]:
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    return {
        entry["name"].partition("-")[0]: entry
        for kind in kinds
        for entry in one(objects, kind, WEBHOOK)["webhooks"]
    }


def test_each_webhook_can_have_its_own_namespaces() -> None:
    found = webhooks(
        render(
            "--set=webhook.namespaceSelector.matchLabels.team=a",
            "--set=webhook.namespaceSelectors.protect.matchLabels.protected=yes",
        )
    )
    assert found["validate"]["namespaceSelector"] == {"matchLabels": {"team": "a"}}
    assert found["mutate"]["namespaceSelector"] == {"matchLabels": {"team": "a"}}
    assert found["protect"]["namespaceSelector"] == {"matchLabels": {"protected": "yes"}}


def test_own_selector_of_validation_replaces_the_watched_namespaces() -> None:
    found = webhooks(
        render(
            "--set=watchNamespaces={a,b}",
            "--set=webhook.namespaceSelectors.validate.matchLabels.team=a",
        )
    )
    assert found["validate"]["namespaceSelector"] == {"matchLabels": {"team": "a"}}
    assert "matchExpressions" in found["mutate"]["namespaceSelector"]
    assert "warn" not in found


def test_webhook_configurations_have_annotations() -> None:
    values = [
        "--set=webhook.validatingWebhookConfigurationAnnotations.a=validating",
        "--set=webhook.mutatingWebhookConfigurationAnnotations.a=mutating",
    ]
    for mode in ("self-managed", "cert-manager"):
        objects = render(*values, f"--set=webhook.certManagement.mode={mode}")
        for which in ("validating", "mutating"):
            kind = f"{which.title()}WebhookConfiguration"
            annotations = one(objects, kind, WEBHOOK)["metadata"]["annotations"]
            assert annotations["a"] == which
            assert ("cert-manager.io/inject-ca-from" in annotations) == (mode == "cert-manager")


# helm test.


def test_helm_test_runs_our_image_with_the_least_rights() -> None:
    objects = rendered()
    (pod,) = of_kind(objects, "Pod")
    (only,) = pod["spec"]["containers"]
    webhook = container(one(objects, "Deployment", WEBHOOK))
    assert only["image"] == webhook["image"]
    for key in ("securityContext", "volumeMounts"):
        assert only[key] == webhook[key]
    account = pod["spec"]["serviceAccountName"]
    role = one(objects, "Role", account)
    assert [rule["verbs"] for rule in role["rules"]] == [["create"]]
    for kind in ("Pod", "ServiceAccount", "Role", "RoleBinding"):
        annotations = one(objects, kind, account)["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
    # All of it are hooks, which `helm install` does not create.
    left = render("--no-hooks")
    assert not [obj for obj in left if obj["metadata"]["name"] == account]


def test_helm_test_uses_a_watched_namespace() -> None:
    objects = rendered("namespaces-values.yaml")
    (pod,) = of_kind(objects, "Pod")
    assert pod["metadata"]["namespace"] == NAMESPACE
    assert pod["spec"]["containers"][0]["args"] == ["check-webhook", "--namespace", "team-a"]
    assert one(objects, "Role", pod["metadata"]["name"])["metadata"]["namespace"] == "team-a"
