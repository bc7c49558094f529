"""The chart as helm renders it: its values, and the objects that it makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.values.meta import Object
from tests.chart import (
    CHART,
    CONTROLLER,
    NAMESPACE,
    VALUES_FILES,
    WEBHOOK,
    container,
    deployments,
    helm,
    one,
    render,
    rendered,
)
from tests.chart_values import PAGES, values, with_table

VALUES: Object = yaml.load((CHART / "values.yaml").read_text(), Loader=yaml.CSafeLoader)
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
OTHERS_KINDS = {"Issuer", "Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
"""Kinds of other projects; the checker has Kubernetes' own schemas only."""

MAJORS = pytest.mark.parametrize("major", [3, 4], ids=["helm 3", "helm 4"])
FILES = pytest.mark.parametrize("file", VALUES_FILES)


# Every combination of values that is supported renders, into objects that the API server takes.


@MAJORS
@FILES
def test_helm_lint_passes(file: str, major: int) -> None:
    said = helm("lint", "--strict", str(CHART), "--values", str(CHART / "ci" / file), major=major)
    assert said.returncode == 0, said.stdout
    assert "[WARNING]" not in said.stdout


@FILES
def test_both_helm_versions_render_the_same(file: str) -> None:
    def keyed(objects: tuple[Object, ...]) -> dict[tuple[str, ...], Object]:
        return {
            (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
            for o in objects
        }

    three, four = rendered(file, 3), rendered(file, 4)
    assert keyed(three) == keyed(four)
    assert len(keyed(four)) == len(four), "two objects of one name"


@pytest.mark.parametrize("version", ["1.34", "1.37"])
@FILES
def test_every_object_matches_its_schema(file: str, version: str) -> None:
    for obj in rendered(file):
        if obj["kind"] not in OTHERS_KINDS:
            kubernetes_validate.validate(obj, version, strict=True)


@FILES
def test_every_object_is_labelled_and_in_its_namespace(file: str) -> None:
    cluster_wide = {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    }
    for obj in rendered(file):
        if obj["metadata"]["name"].endswith("more"):
            continue  # objects that the user adds
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "demo"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        if file == "everything-values.yaml":
            assert labels["team"] == "platform"
        if obj["kind"] not in cluster_wide:
            assert obj["metadata"]["namespace"] in (NAMESPACE, "team-a", "team-b", "leases")


def test_names_fit_with_the_longest_release_name() -> None:
    said = helm("template", "r" * 53, str(CHART), "--namespace", NAMESPACE)
    assert said.returncode == 0
    names = [
        obj["metadata"]["name"]
        for obj in yaml.load_all(said.stdout, Loader=yaml.CSafeLoader)
        if obj and obj["kind"] == "Service"
    ]
    assert len(names) == 3
    assert max(map(len, names)) <= 63


# Values.


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of all values that the chart's own templates read one by one."""
    if isinstance(value, dict) and value and path not in FREE:
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    else:
        yield path


FREE = {
    "grafanaDashboard.labels",
    *(
        f"{part}.{name}"
        for part in ("webhook", "controller")
        for name in ("resources", "strategy", "nodeSelector")
    ),
    "podSecurityContext",
    "securityContext",
}
"""Values that are Kubernetes' own objects, handed through."""


def schema_at(path: str) -> Object:
    found = SCHEMA
    for key in path.split("."):
        found = found["properties"][key]
        if "$ref" in found:
            found = SCHEMA["$defs"][found["$ref"].removeprefix("#/$defs/")]
    return found


def closed_objects(schema: Object, path: str = "") -> Iterator[str]:
    """Yields the paths of all objects of the schema whose keys are all known."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if schema.get("additionalProperties") is False:
        yield path
    for key, below in schema.get("properties", {}).items():
        yield from closed_objects(below, f"{path}.{key}" if path else key)


def test_values_and_schema_have_the_same_keys() -> None:
    for path in leaves(VALUES):
        schema_at(path)
    for path in filter(None, closed_objects(SCHEMA)):
        found = VALUES
        for key in path.split("."):
            found = found[key]
        if found:  # empty by default: an issuer that somebody else names
            assert set(found) == set(schema_at(path)["properties"]), path


@pytest.mark.parametrize("path", list(closed_objects(SCHEMA)))
def test_unknown_key_is_rejected(path: str) -> None:
    key = f"{path}.misspelt" if path else "misspelt"
    for major in (3, 4):
        said = helm("template", str(CHART), "--set", f"{key}=1", major=major)
        assert said.returncode != 0
        assert "misspelt" in said.stderr


@pytest.mark.parametrize(
    "value",
    [
        "webhook.timeoutSeconds=11",
        "webhook.timeoutSeconds=0",
        "webhook.replicaCount=0",
        "webhook.failurePolicy=fail",
        "webhook.port=443",
        "webhook.certManagement.mode=auto",
        "image.digest=sha256:abc",
        "image.repository=",
        "logLevel=INFO",
        "kthena.release=v9.9.9",
        "kthena.namespace=",
        "kthena.namespace=Kthena",
        "kthena.maxWaitingRequests=0",
        "kthena.downloaderImage=",
        "kthena.hostPathPrefixes={models}",
        "kthena.hostPathPrefixes={/data/..}",
        "watchNamespaces={Team-A}",
        "watchNamespaces={a,a}",
        "networkPolicy.apiServerCIDRs={10.0.0.1}",
        "controller.workers=0",
        "controller.podDisruptionBudget.maxUnavailable=0",
        "controller.podDisruptionBudget.minAvailable=0",
        "controller.livenessProbe.periodSeconds=0",
        "controller.hostAliases={10.0.0.1}",
        "webhook.revisionHistoryLimit=-1",
        "webhook.url=http://webhook.example.com",
        "webhook.url=https://webhook.example.com/path",
        "webhook.metricsPort=80",
        "networkPolicy.apiServerPorts={0}",
        "webhook.dnsPolicy=host",
        "global.commonLabels=a",
        "services.ipFamilies={ipv4}",
        "services.ipFamilyPolicy=Dual",
        "serviceMonitor.scrapeTimeout=10",
        "leaderElection.namespace=Leases",
        "leaderElection.leaseSeconds=0",
    ],
)
def test_invalid_value_is_rejected(value: str) -> None:
    said = helm("template", str(CHART), "--set", value)
    assert said.returncode != 0
    path = value.partition("=")[0]
    assert path.replace(".", "/") in said.stderr or path in said.stderr


@pytest.mark.parametrize(
    ("values", "why"),
    [
        pytest.param(
            ["leaderElection.leaseSeconds=10"],
            "leaderElection.leaseSeconds must be greater than leaderElection.renewSeconds",
            id="lease as short as its renewal",
        ),
        pytest.param(
            ["leaderElection.retrySeconds=9"],
            "leaderElection.renewSeconds must be greater than 1.2 times",
            id="no second try",
        ),
        pytest.param(
            ["leaderElection.enabled=false"],
            "leaderElection.enabled=false needs controller.replicaCount=1",
            id="two controllers and no lease",
        ),
        pytest.param(
            ["webhook.certManagement.mode=provided"],
            "needs provided.secretName and provided.caBundle",
            id="provided, and nothing provided",
        ),
        pytest.param(
            ["webhook.certManagement.provided.secretName=mine"],
            "only read with mode=provided, and the mode is self-managed",
            id="provided for nothing",
        ),
        pytest.param(
            ["serviceMonitor.enabled=true", "metrics.enabled=false"],
            "serviceMonitor.enabled=true needs metrics.enabled=true",
            id="a monitor of nothing",
        ),
        pytest.param(
            ["webhook.port=8080"],
            "webhook.port and the port for metrics are both 8080",
            id="one port for two servers",
        ),
        pytest.param(
            ["webhook.hostNetwork=true", "webhook.port=10250"],
            "cannot use port 10250: it is the kubelet's",
            id="port of the kubelet",
        ),
        pytest.param(
            ["serviceMonitor.enabled=true", "podMonitor.enabled=true"],
            "every pod would be scraped twice",
            id="two monitors",
        ),
        pytest.param(
            ["controller.touchPods=true", "controller.watchPods=false"],
            "controller.touchPods=true needs controller.watchPods=true",
            id="annotations for pods that are not seen",
        ),
    ],
)
def test_contradicting_values_are_rejected(values: list[str], why: str) -> None:
    said = helm("template", str(CHART), *(f"--set={value}" for value in values))
    assert said.returncode != 0
    assert why in said.stderr


# What runs.


@FILES
def test_pods_have_a_restrictive_security_context(file: str) -> None:
    for deployment in deployments(file):
        spec, (only,) = (
            deployment["spec"]["template"]["spec"],
            deployment["spec"]["template"]["spec"]["containers"],
        )
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in only["volumeMounts"]
        assert "cpu" not in only["resources"]["limits"]
        assert only["resources"]["limits"]["memory"]


def test_replicas_are_spread_over_nodes() -> None:
    for name in (WEBHOOK, CONTROLLER):
        deployment = one(deployments(), "Deployment", name)
        assert deployment["spec"]["replicas"] == 2
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        labels = deployment["spec"]["selector"]["matchLabels"]
        (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"] == labels
        budget = one(rendered(), "PodDisruptionBudget", name)
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"]["matchLabels"] == labels


def test_services_and_policies_select_the_pods_of_their_component() -> None:
    for name in (WEBHOOK, CONTROLLER):
        labels = one(deployments(), "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert (
            one(rendered(), "Service", f"{name}-metrics")["spec"]["selector"].items()
            <= labels.items()
        )
    service = one(rendered(), "Service", WEBHOOK)["spec"]
    webhook = one(deployments(), "Deployment", WEBHOOK)
    assert service["selector"] == webhook["spec"]["selector"]["matchLabels"]
    ports = {port["name"]: port["containerPort"] for port in container(webhook)["ports"]}
    assert ports == {"https": 9443, "http": 8080}
    assert service["ports"] == [
        {"name": "https", "port": 443, "targetPort": "https", "protocol": "TCP"}
    ]


def test_fields_written_by_the_program_are_not_rendered() -> None:
    secret = one(rendered(), "Secret", f"{WEBHOOK}-ca")
    assert "data" not in secret
    assert "stringData" not in secret
    assert "spec" not in one(rendered(), "Lease", CONTROLLER)
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for entry in one(rendered(), kind, WEBHOOK)["webhooks"]:
            assert "caBundle" not in entry["clientConfig"]


def chart_version() -> str:
    chart = yaml.load((CHART / "Chart.yaml").read_text(), Loader=yaml.CSafeLoader)
    found: str = chart["appVersion"]
    return found


def test_the_image_is_named_by_tag_or_digest() -> None:
    def image(*values: str) -> str:
        arguments = [f"--set={value}" for value in values]
        named: str = container(one(render(*arguments), "Deployment", WEBHOOK))["image"]
        return named

    digest = "sha256:" + "0" * 64
    assert image() == f"model-booster:{chart_version()}"
    assert (
        image("image.registry=r.example.com:5000")
        == f"r.example.com:5000/model-booster:{chart_version()}"
    )
    assert image("image.tag=dev", f"image.digest={digest}") == f"model-booster@{digest}"


# Documentation.


def test_every_value_has_a_description() -> None:
    silent = [value.path for value in values() if not value.meaning]
    assert silent == []
    explained = tuple(value.path for value in values())
    for path in leaves(VALUES):
        assert path.startswith(explained), f"{path} is not in the table of values"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_match_the_values(page: Path) -> None:
    text = page.read_text()
    assert text == with_table(text), 'run "make generate"'
