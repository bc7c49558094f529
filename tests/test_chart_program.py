"""Chart and program agree: on how they are called, on settings, names and versions."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from base64 import b64decode
from pathlib import Path

import pytest
import yaml

from app.convert.options import (
    DOWNLOADER_IMAGE,
    KTHENA_NAMESPACE,
    MAX_WAITING_REQUESTS,
    RUNTIME_IMAGE,
)
from app.model.storage import HOST_PATH_PREFIXES
from app.values.meta import Object
from app.version import VERSION
from certs.objects import BUNDLE_FROM, WEBHOOK_NAMES
from modelbooster.settings import PREFIX, Settings, read_settings
from tests.chart import (
    CHART,
    CONTROLLER,
    NAMESPACE,
    RELEASE,
    VALUES_FILES,
    WEBHOOK,
    container,
    deployments,
    helm,
    of_kind,
    one,
    render,
    rendered,
)
from webhook.limiter import BODY_BUDGET_BYTES

ROOT = CHART.parents[1]
FILES = pytest.mark.parametrize("file", VALUES_FILES)

# How the API server calls us.

REGISTERED = """
- name: validate-modelbooster.workload.serving.volcano.sh
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  matchPolicy: Equivalent
  timeoutSeconds: 5
  rules:
  - apiGroups: [workload.serving.volcano.sh]
    apiVersions: [v1alpha1]
    resources: [modelboosters]
    operations: [CREATE, UPDATE]
    scope: Namespaced
  - apiGroups: [workload.serving.volcano.sh]
    apiVersions: [v1alpha1]
    resources: [modelboosters/status]
    operations: [UPDATE]
    scope: Namespaced
  matchConditions:
  - name: not-being-deleted
    expression: "!has(object.metadata.deletionTimestamp)"
  - name: created-or-spec-changed
    expression: "request.operation == 'CREATE' || !has(oldObject.status) || !has(oldObject.status.modelName) || has(object.spec) != has(oldObject.spec) || (has(object.spec) && object.spec != oldObject.spec)"
- name: protect-modelbooster.workload.serving.volcano.sh
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  matchPolicy: Equivalent
  timeoutSeconds: 5
  rules:
  - apiGroups: [workload.serving.volcano.sh]
    apiVersions: [v1alpha1]
    resources: [modelboosters]
    operations: [DELETE]
    scope: Namespaced
  matchConditions:
  - name: protected
    expression: "has(oldObject.metadata.annotations) && 'workload.serving.volcano.sh/deletion-protection' in oldObject.metadata.annotations && oldObject.metadata.annotations['workload.serving.volcano.sh/deletion-protection'] == 'true'"
  - name: not-being-deleted
    expression: "!has(oldObject.metadata.deletionTimestamp)"
  - name: not-by-the-control-plane
    expression: "!(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller', 'system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager'])"
- name: mutate-modelbooster.workload.serving.volcano.sh
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  matchPolicy: Equivalent
  reinvocationPolicy: Never
  timeoutSeconds: 2
  rules:
  - apiGroups: [workload.serving.volcano.sh]
    apiVersions: [v1alpha1]
    resources: [modelboosters]
    operations: [CREATE]
    scope: Namespaced
  matchConditions:
  - name: lacks-cost-rate
    expression: "has(object.spec) && has(object.spec.autoscalingPolicy) && has(object.spec.backends) && !has(object.spec.costExpansionRatePercent)"
"""  # noqa: E501 - one expression is one line


WARNING = "warn-modelbooster.workload.serving.volcano.sh"
"""Is there only with a list of namespaces."""


def entries(objects: tuple[Object, ...] | list[Object]) -> dict[str, Object]:
    """The entries of both configurations, by name."""
    configurations = of_kind(objects, "ValidatingWebhookConfiguration")
    configurations += of_kind(objects, "MutatingWebhookConfiguration")
    return {entry["name"]: entry for c in configurations for entry in c["webhooks"]}


def test_webhook_registrations_match_the_api() -> None:
    found = entries(rendered())
    assert set(found) == WEBHOOK_NAMES - {WARNING}
    wanted = yaml.load(REGISTERED, Loader=yaml.CSafeLoader)
    without = [{k: v for k, v in e.items() if k != "clientConfig"} for e in found.values()]
    assert without == wanted
    for name, entry in found.items():
        path = "/mutate/modelbooster" if name.startswith("mutate") else "/validate/modelbooster"
        service = {"name": WEBHOOK, "namespace": NAMESPACE, "path": path, "port": 443}
        assert entry["clientConfig"] == {"service": service}


def test_webhook_settings_are_rendered() -> None:
    objects = render(
        "--set=webhook.failurePolicy=Ignore",
        "--set=webhook.timeoutSeconds=9",
        "--set=webhook.namespaceSelector.matchLabels.team=a",
    )
    for name, entry in entries(objects).items():
        is_mutate = name.startswith("mutate")
        assert entry["failurePolicy"] == "Ignore"
        assert entry["timeoutSeconds"] == (2 if is_mutate else 9)
        assert entry["namespaceSelector"] == {"matchLabels": {"team": "a"}}


def test_namespace_list_limits_the_webhooks() -> None:
    name = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    found = entries(rendered("namespaces-values.yaml"))
    assert set(found) == WEBHOOK_NAMES
    elsewhere = found.pop(WARNING)
    for entry in found.values():
        assert entry["namespaceSelector"] == {"matchExpressions": [name]}
    others = {"matchExpressions": [{**name, "operator": "NotIn"}]}
    assert elsewhere["namespaceSelector"] == others
    assert elsewhere["failurePolicy"] == "Ignore"


def test_custom_ca_bundle_is_set_in_every_entry() -> None:
    objects = rendered("provided-values.yaml")
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        assert BUNDLE_FROM in one(objects, kind, WEBHOOK)["metadata"]["annotations"]
    for entry in entries(objects).values():
        assert b64decode(entry["clientConfig"]["caBundle"]).startswith(b"-----BEGIN CERTIFICATE")


@pytest.mark.parametrize(
    ("file", "issuer"),
    [
        ("cert-manager-values.yaml", {"kind": "Issuer", "name": WEBHOOK}),
        ("cert-manager-issuer-values.yaml", {"kind": "ClusterIssuer", "name": "company"}),
    ],
)
def test_cert_manager_issues_the_certificate_and_injects_its_ca(file: str, issuer: Object) -> None:
    objects = rendered(file)
    certificate = one(objects, "Certificate", WEBHOOK)["spec"]
    assert certificate["issuerRef"] == issuer
    assert f"{WEBHOOK}.{NAMESPACE}.svc" in certificate["dnsNames"]
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        annotations = one(objects, kind, WEBHOOK)["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": f"{NAMESPACE}/{WEBHOOK}"}
    for entry in entries(objects).values():
        assert "caBundle" not in entry["clientConfig"]
    pod = one(objects, "Deployment", WEBHOOK)["spec"]["template"]["spec"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == "tls"]
    assert volume["secret"]["secretName"] == certificate["secretName"]


def test_renewed_authority_of_cert_manager_keeps_its_key() -> None:
    """cainjector removes the old one at once, and pods read the new certificate minutes later."""
    authority = one(rendered("cert-manager-values.yaml"), "Certificate", f"{WEBHOOK}-ca")
    assert authority["spec"]["privateKey"]["rotationPolicy"] == "Never"


# Chart and program agree.


def environment(deployment: Object) -> dict[str, str]:
    """The container's environment as the kubelet would fill it in."""
    fields = {"metadata.namespace": NAMESPACE, "metadata.name": "pod-0"}
    return {
        entry["name"]: entry["value"]
        if "value" in entry
        else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        for entry in container(deployment)["env"]
    }


def settings(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return read_settings()


@FILES
def test_program_accepts_the_environment_of_the_chart(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for deployment in deployments(file):
        with monkeypatch.context() as patch:
            assert settings(patch, environment(deployment)).namespace == NAMESPACE


def test_chart_sets_every_setting() -> None:
    given = {name for d in deployments() for name in environment(d)}
    for file in ("provided-values.yaml", "networks-values.yaml"):
        given |= {name for d in deployments(file) for name in environment(d)}
    left = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - given
    # The processes listen on all addresses of the pod.
    assert left == {
        "MODELBOOSTER_PROBE_HOST",
        "MODELBOOSTER_WEBHOOK_HOST",
        "MODELBOOSTER_RESYNC_SECONDS",
    }


def test_values_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for deployment in deployments("everything-values.yaml"):
        with monkeypatch.context() as patch:
            read = settings(patch, environment(deployment))
            assert read.log_level == "debug"
            assert read.log_format == "text"
            assert read.kube_api_qps == 12.5
            assert read.kthena_release == "v0.3.0"
            options = read.options
            assert options.kthena_release == (0, 3, 0)
            assert options.kthena_namespace == "kthena"
            assert options.max_waiting_requests == 20
            assert options.downloader_image == "registry.example.com/downloader:v0.4.0"
            assert options.runtime_image == "registry.example.com/runtime:v0.4.0"
            assert options.image_pull_policy == "Always"
            assert options.downloader_resources == {"requests": {"cpu": "1", "memory": "2Gi"}}
            assert options.downloader_args == ("--max-workers", "4")
            assert options.downloader_user == 1000
            assert options.runtime_resources == {"limits": {"cpu": "500m", "memory": "512Mi"}}
            assert options.engine_startup_seconds == 14400
            assert options.engine_env_from is False
            assert options.default_scheduler_name == "volcano"
            assert options.kv_events is False
            assert options.host_path_prefixes == ("/mnt/models", "/srv/cache")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param([], HOST_PATH_PREFIXES, id="not set"),
        pytest.param(["--set-json", "kthena.hostPathPrefixes=[]"], (), id="none"),
        pytest.param(["--set-json", 'kthena.hostPathPrefixes=["/"]'], ("/",), id="every folder"),
    ],
)
def test_allowed_host_paths_are_rendered(
    value: list[str], wanted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for deployment in of_kind(render(*value), "Deployment"):
        with monkeypatch.context() as patch:
            read = settings(patch, environment(deployment))
        assert read.options.host_path_prefixes == wanted


def test_names_in_settings_match_the_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = rendered()
    with monkeypatch.context() as patch:
        webhook = settings(patch, environment(one(objects, "Deployment", WEBHOOK)))
    one(objects, "Secret", webhook.certificate_secret)
    one(objects, "Service", webhook.webhook_service)
    one(objects, "ValidatingWebhookConfiguration", webhook.validating_webhook_configuration)
    one(objects, "MutatingWebhookConfiguration", webhook.mutating_webhook_configuration)
    with monkeypatch.context() as patch:
        controller = settings(patch, environment(one(objects, "Deployment", CONTROLLER)))
    lease = one(objects, "Lease", controller.lease_name)
    secret = one(objects, "Secret", webhook.certificate_secret)
    for made, read in ((secret, webhook), (lease, controller)):
        assert read.state_metadata["labels"] == made["metadata"]["labels"]
        assert read.state_metadata["annotations"] == {
            "meta.helm.sh/release-name": RELEASE,
            "meta.helm.sh/release-namespace": NAMESPACE,
        }
    assert controller.identity == "pod-0"


def test_custom_certificate_is_read_from_its_mount(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment = one(rendered("provided-values.yaml"), "Deployment", WEBHOOK)
    (mount,) = [m for m in container(deployment)["volumeMounts"] if m["name"] == "tls"]
    with monkeypatch.context() as patch:
        read = settings(patch, environment(deployment))
    assert read.certificate_mode == "provided"
    assert read.certificate_dir == Path(mount["mountPath"])


@pytest.mark.parametrize("budget", [None, 16, 200])
def test_webhook_memory_limit_follows_from_its_body_budget(
    budget: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [] if budget is None else [f"--set=webhook.bodyBudgetMiB={budget}"]
    deployment = one(render(*values), "Deployment", WEBHOOK)
    with monkeypatch.context() as patch:
        read = settings(patch, environment(deployment))
    default: int = Settings.model_fields["webhook_body_budget_mib"].default
    assert read.webhook_body_budget_mib == (default if budget is None else budget)
    assert default * 2**20 == BODY_BUDGET_BYTES
    limit = container(deployment)["resources"]["limits"]["memory"]
    assert limit == f"{256 + 2 * read.webhook_body_budget_mib}Mi"


def test_explicit_memory_limit_is_kept() -> None:
    webhook = one(render("--set=webhook.resources.limits.memory=1Gi"), "Deployment", WEBHOOK)
    assert container(webhook)["resources"]["limits"] == {"memory": "1Gi"}


def test_the_images_of_models_are_pinned() -> None:
    values = yaml.load((CHART / "values.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert values["kthena"]["downloaderImage"] == DOWNLOADER_IMAGE
    assert values["kthena"]["runtimeImage"] == RUNTIME_IMAGE


def test_the_downloader_comes_from_the_registry_of_the_operator() -> None:
    for given, image in (
        ((), f"registry.example.com/team/{DOWNLOADER_IMAGE}"),
        (("--set=kthena.downloaderImage=r:5000/downloader:2",), "r:5000/downloader:2"),
    ):
        found = render("--set=image.registry=registry.example.com/team", *given)
        controller = one(found, "Deployment", CONTROLLER)
        assert environment(controller)["MODELBOOSTER_DOWNLOADER_IMAGE"] == image


def test_what_the_chart_says_of_kthena_is_what_the_program_assumes() -> None:
    values = yaml.load((CHART / "values.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert values["kthena"]["namespace"] == KTHENA_NAMESPACE
    assert values["kthena"]["maxWaitingRequests"] == MAX_WAITING_REQUESTS


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: str = project["version"]
    return found


def test_chart_has_the_version_of_the_program() -> None:
    chart = yaml.load((CHART / "Chart.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert chart["appVersion"] == version() == VERSION
    assert chart["kubeVersion"] == ">=1.30.0-0"


def test_crd_is_kept_on_uninstall() -> None:
    (crd,) = of_kind(rendered(), "CustomResourceDefinition")
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (crd,) = of_kind(render("--set=crds.keep=false"), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})
    assert not of_kind(render("--set=crds.install=false"), "CustomResourceDefinition")


def validate(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelbooster", "validate", "--strict", "-"]
    return subprocess.run(
        command, cwd=ROOT, input=text, text=True, capture_output=True, check=False
    )


def test_examples_of_the_chart_are_valid() -> None:
    chart = yaml.load((CHART / "Chart.yaml").read_text(), Loader=yaml.CSafeLoader)
    examples = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
    said = helm("install", "r", str(CHART), "--dry-run=client")
    notes = said.stdout.partition("NOTES:")[2]
    shown = notes.partition("<<EOF\n")[2].partition("\n  EOF")[0]
    for text in (yaml.safe_dump(examples[0]), shown):
        assert "kind: ModelBooster" in text
        judged = validate(text)
        assert judged.returncode == 0, judged.stdout + judged.stderr


# The image.


def test_image_contains_what_the_chart_runs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = {
        word
        for line in dockerfile.splitlines()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
    }
    needed = {"app", "certs", "controller", "downloader", "modelbooster", "webhook"}
    needed |= {"pyproject.toml", "setup.py"}
    assert needed <= copied
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert needed <= let_in
    # The other two scripts are the plugin of kubectl.
    for command in ("model-booster", "model-booster-downloader"):
        assert command in project["project"]["scripts"]
        assert f'ENTRYPOINT ["{command}"]' in dockerfile
    # What is built without a target is the operator, without the downloader and its packages.
    operator = dockerfile.partition("AS build")[2].partition("\nFROM ")[0]
    assert "COPY downloader" not in operator
    assert dockerfile.rpartition("\nFROM ")[2].count("/opt/downloader") == 0
    for deployment in deployments():
        context = deployment["spec"]["template"]["spec"]["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile
        for port in container(deployment)["ports"]:
            assert (
                str(port["containerPort"]) in dockerfile.partition("EXPOSE")[2].partition("\n")[0]
            )
