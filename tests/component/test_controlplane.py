"""The control plane of all tests is real and behaves like a real one."""

from __future__ import annotations

import yaml

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVING
from app.values.meta import Resource
from tests import audit
from tests.conftest import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.world import Admin

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")


def test_children_are_garbage_collected_with_their_owner(admin: Admin) -> None:
    owner = admin.create(CONFIG_MAP, {"metadata": {"name": "owner"}})
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    admin.create(
        MODEL_ROUTE,
        {
            "apiVersion": MODEL_ROUTE.api_version,
            "kind": "ModelRoute",
            "metadata": {"name": "owned", "ownerReferences": [reference]},
            "spec": {"modelName": "m", "rules": [{"targetModels": [{"modelServerName": "m"}]}]},
        },
    )

    admin.delete(CONFIG_MAP, "owner")

    admin.until_gone(MODEL_ROUTE, "owned")


def test_audit_log_names_the_writer(plane: ControlPlane, admin: Admin) -> None:
    begin = audit.now(plane)

    admin.create(CONFIG_MAP, {"metadata": {"name": "a"}})
    admin.get(CONFIG_MAP, "missing")

    seen = audit.requests(plane, user="admin", since=begin, namespace=admin.namespace)
    assert [str(request) for request in seen] == [
        "201 create configmaps/a",
        "404 get configmaps/missing",
    ]
    assert [request.is_write for request in seen] == [True, False]


def test_kubectl_is_real(kubectl: Kubectl, namespace: str) -> None:
    manifest = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    ran = kubectl("apply", "-f", "-", stdin=manifest)
    assert (ran.stdout, ran.code) == ("configmap/a created\n", 0)

    ran = kubectl("get", "configmap", "b")
    assert ran.code == 1
    assert 'configmaps "b" not found' in ran.stderr
    assert "v1.34.5" in kubectl("version", "--client").stdout


def test_simulated_serving_status_matches_the_serving_controller(admin: Admin) -> None:
    admin.create(
        MODEL_SERVING,
        {
            "apiVersion": MODEL_SERVING.api_version,
            "kind": "ModelServing",
            "metadata": {"name": "s"},
            "spec": {
                "replicas": 2,
                "template": {
                    "roles": [
                        {
                            "name": "r",
                            "replicas": 1,
                            "entryTemplate": {
                                "spec": {"containers": [{"name": "engine", "image": "e:1"}]}
                            },
                            "workerReplicas": 0,
                        }
                    ]
                },
            },
        },
    )

    admin.serve(MODEL_SERVING, "s", "Progressing")
    status = admin.serve(MODEL_SERVING, "s")["status"]

    assert status["availableReplicas"] == 2
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Progressing": "False",
        "Available": "True",
    }
