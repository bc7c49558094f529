"""Who may do what with the chart installed: no more than what the code needs."""

from __future__ import annotations

import pytest

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from modelbooster.checkup.installation import installation_in
from modelbooster.checkup.rights import operator_rights
from tests.chart import (
    CONTROLLER,
    FULLNAME,
    NAMESPACE,
    VALUES_FILES,
    WEBHOOK,
    container,
    of_kind,
    one,
    render,
    rendered,
)

Rights = dict[tuple[str, ...], str]
"""(namespace if limited to one, group, resource, name if limited to one) -> verbs."""

FILES = pytest.mark.parametrize("file", VALUES_FILES)

LOOKUPS: Rights = {
    ("workload.serving.volcano.sh", "modelboosters"): "list watch",
    ("workload.serving.volcano.sh", "modelservings"): "list watch",
    ("workload.serving.volcano.sh", "autoscalingpolicies"): "list watch",
    ("workload.serving.volcano.sh", "autoscalingpolicybindings"): "list watch",
    ("networking.serving.volcano.sh", "modelservers"): "list watch",
    ("networking.serving.volcano.sh", "modelroutes"): "list watch",
}
CONTROL: Rights = {
    ("workload.serving.volcano.sh", "modelboosters"): "get list watch",
    ("workload.serving.volcano.sh", "modelboosters/status"): "patch",
    ("workload.serving.volcano.sh", "modelboosters/finalizers"): "update",
    ("workload.serving.volcano.sh", "modelservings"): "create delete get list patch watch",
    ("workload.serving.volcano.sh", "autoscalingpolicies"): "create delete get list patch watch",
    (
        "workload.serving.volcano.sh",
        "autoscalingpolicybindings",
    ): "create delete get list patch watch",
    ("networking.serving.volcano.sh", "modelservers"): "create delete get list patch watch",
    ("networking.serving.volcano.sh", "modelroutes"): "create delete get list patch watch",
    ("events.k8s.io", "events"): "create patch",
    ("", "pods"): "list watch",
    ("", "pods/log"): "get",
}
KTHENA: Rights = {("apps", "deployments", "kthena-controller-manager"): "get"}
REGISTRATION = "admissionregistration.k8s.io"
CERTIFICATES: Rights = {
    (REGISTRATION, "validatingwebhookconfigurations", WEBHOOK): "get list patch watch",
    (REGISTRATION, "mutatingwebhookconfigurations", WEBHOOK): "get list patch watch",
    (NAMESPACE, "", "secrets", f"{WEBHOOK}-ca"): "get list update watch",
    (NAMESPACE, "", "secrets"): "create",  # a role cannot limit this to one name
}
LEADING: Rights = {
    (NAMESPACE, "coordination.k8s.io", "leases", CONTROLLER): "get update",
    (NAMESPACE, "coordination.k8s.io", "leases"): "create",
}


def rights(file: str, account: str) -> Rights:
    """Returns what a service account may do."""
    objects = rendered(file)
    found: dict[tuple[str, ...], set[str]] = {}
    for binding in of_kind(objects, "RoleBinding") + of_kind(objects, "ClusterRoleBinding"):
        subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        assert len(binding["subjects"]) == 1
        if binding["subjects"] != [subject]:
            continue
        namespace = binding["metadata"].get("namespace", "")
        role = next(
            obj
            for obj in of_kind(objects, binding["roleRef"]["kind"])
            if obj["metadata"]["name"] == binding["roleRef"]["name"]
            and obj["metadata"].get("namespace", "") == namespace
        )
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [""]):
                        limits = ((namespace,) if namespace else (), (name,) if name else ())
                        key = (*limits[0], group, resource, *limits[1])
                        found.setdefault(key, set()).update(rule["verbs"])
    return {key: " ".join(sorted(verbs)) for key, verbs in found.items()}


def limited(to: Rights, *namespaces: str) -> Rights:
    return {(namespace, *key): verbs for namespace in namespaces for key, verbs in to.items()}


def test_webhook_may_only_read_and_manage_its_certificates() -> None:
    assert rights("default-values.yaml", WEBHOOK) == {**LOOKUPS, **KTHENA, **CERTIFICATES}


def test_the_controller_may_only_do_its_work() -> None:
    assert rights("default-values.yaml", CONTROLLER) == {**CONTROL, **KTHENA, **LEADING}


def test_namespace_list_limits_the_permissions() -> None:
    webhook = rights("namespaces-values.yaml", WEBHOOK)
    assert webhook == {**limited(LOOKUPS, "team-a", "team-b"), **KTHENA, **CERTIFICATES}
    controller = rights("namespaces-values.yaml", CONTROLLER)
    assert controller == {**limited(CONTROL, "team-a", "team-b"), **KTHENA, **LEADING}


@pytest.mark.parametrize(
    "file", ["cert-manager-values.yaml", "cert-manager-issuer-values.yaml", "provided-values.yaml"]
)
def test_provided_certificates_need_no_permissions(file: str) -> None:
    assert rights(file, WEBHOOK) == {**LOOKUPS, **KTHENA}
    assert not of_kind(rendered(file), "Secret")


def test_disabled_features_remove_their_permissions() -> None:
    wanted = {key: verbs for key, verbs in CONTROL.items() if not key[1].startswith("pods")}
    assert rights("small-values.yaml", CONTROLLER) == {**wanted, **KTHENA}


def test_only_cache_warmups_need_jobs_and_nodes() -> None:
    jobs, nodes = ("batch", "jobs"), ("", "nodes")
    values = rendered("everything-values.yaml")
    account = one(values, "Deployment", "booster-controller")["spec"]["template"]["spec"]
    found = rights("everything-values.yaml", account["serviceAccountName"])
    assert {v for key, v in found.items() if key[-2:] == jobs} == {"create delete get list watch"}
    assert {v for key, v in found.items() if key == nodes} == {"list watch"}
    assert not {jobs, nodes} & {key[-2:] for key in rights("default-values.yaml", CONTROLLER)}


def test_a_stated_release_needs_no_right_to_read_it() -> None:
    rules = [
        rule
        for kind in ("ClusterRole", "Role")
        for role in of_kind(rendered("everything-values.yaml"), kind)
        for rule in role["rules"]
    ]
    assert rules
    assert not [rule for rule in rules if "deployments" in rule["resources"]]


@pytest.mark.parametrize(
    ("release", "verbs"),
    [
        ("", ["list", "watch", "patch"]),
        ("v0.2.0", ["list", "watch", "patch"]),
        ("v0.3.0", ["list", "watch"]),
    ],
)
def test_only_touched_pods_may_be_patched(release: str, verbs: list[str]) -> None:
    """The router of kthena up to v0.2.0 needs it; by default nobody may write pods."""
    objects = render("--set", f"controller.touchPods=true,kthena.release={release}")
    (rule,) = [
        rule
        for role in of_kind(objects, "ClusterRole")
        for rule in role["rules"]
        if "pods" in rule["resources"]
    ]
    assert rule["verbs"] == verbs
    env = container(one(objects, "Deployment", CONTROLLER))["env"]
    assert {"name": "MODELBOOSTER_TOUCH_PODS", "value": "true"} in env


def test_logs_are_read_only_for_the_progress_of_downloads() -> None:
    objects = render("--set", "controller.readDownloadLogs=false")
    rules = [rule for role in of_kind(objects, "ClusterRole") for rule in role["rules"]]
    assert not [rule for rule in rules if "pods/log" in rule["resources"]]
    env = container(one(objects, "Deployment", CONTROLLER))["env"]
    assert {"name": "MODELBOOSTER_READ_DOWNLOAD_LOGS", "value": "false"} in env


@FILES
def test_no_role_has_wildcards_or_privilege_escalation(file: str) -> None:
    forbidden = {"*", "escalate", "bind", "impersonate"}
    for role in of_kind(rendered(file), "Role") + of_kind(rendered(file), "ClusterRole"):
        for rule in role["rules"]:
            assert not forbidden & {*rule["verbs"], *rule["apiGroups"], *rule["resources"]}
            if "secrets" in rule["resources"]:
                assert rule.get("resourceNames") or rule["verbs"] == ["create"]
                assert role["kind"] == "Role"
                assert role["metadata"]["namespace"] == NAMESPACE


def test_users_roles_cover_model_boosters() -> None:
    view = one(rendered(), "ClusterRole", f"{FULLNAME}-view")
    seen = {(g, r) for rule in view["rules"] for g in rule["apiGroups"] for r in rule["resources"]}
    assert seen == {(resource.group, resource.plural) for resource in (MODEL_BOOSTER, *CHILDREN)}
    edit = one(rendered(), "ClusterRole", f"{FULLNAME}-edit")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {k for k in view["metadata"]["labels"] if k.startswith(prefix)} == {
        f"{prefix}{role}" for role in ("view", "edit", "admin")
    }
    assert {k for k in edit["metadata"]["labels"] if k.startswith(prefix)} == {
        f"{prefix}{role}" for role in ("edit", "admin")
    }
    names = {
        o["metadata"]["name"] for o in of_kind(rendered("namespaces-values.yaml"), "ClusterRole")
    }
    assert names == {
        f"{WEBHOOK}-configurations",
        f"{WEBHOOK}-kthena",
        f"{CONTROLLER}-kthena",
    }


def test_every_kind_of_the_code_is_covered() -> None:
    for resource in CHILDREN:
        assert (resource.group, resource.plural) in LOOKUPS
        assert (resource.group, resource.plural) in CONTROL
    assert (MODEL_BOOSTER.group, MODEL_BOOSTER.plural) in LOOKUPS


@FILES
def test_doctor_asks_for_the_rights_of_the_chart(file: str) -> None:
    """Without the switch for old releases of kthena, which adds a right to patch pods."""
    installation = installation_in(tuple(of_kind(rendered(file), "Deployment")))
    for account, needed in operator_rights(installation).items():
        asked: dict[tuple[str, ...], set[str]] = {}
        for right in needed:
            resource, slash, subresource = right.resource.partition("/")
            plural, _, group = resource.partition(".")
            limits = filter(None, (right.namespace,)), filter(None, (right.name,))
            key = (*limits[0], group, f"{plural}{slash}{subresource}", *limits[1])
            asked.setdefault(key, set()).add(right.verb)
        found = {key: " ".join(sorted(verbs)) for key, verbs in asked.items()}
        assert found == rights(file, account.rpartition(":")[2])
