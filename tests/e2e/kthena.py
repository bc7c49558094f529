"""Plays the rest of a cluster with kthena: its Deployments, their pods, and a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from app.values.meta import Object
from tests.controlplane.api import MERGE_PATCH, Api, Refused
from tests.e2e.installation import eventually

SYSTEM = "kthena-system"
REGISTRY = "ghcr.io/volcano-sh"
STRATEGIC = "application/strategic-merge-patch+json"


@contextmanager
def kthena(api: Api, release: str = "v0.4.0") -> Iterator[None]:
    """The controller manager and the router of kthena run, and there is a node with 8 GPUs."""
    ensure(api, "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
    controllers = ["--leader-elect=true", "--controllers=*,-modelbooster"]
    deploy(api, "kthena-controller-manager", release, controllers)
    deploy(api, "kthena-router", release, [])
    ensure(api, "/api/v1/nodes", {"metadata": {"name": "gpu-1"}})
    offer(api, "gpu-1", 8)
    try:
        yield
    finally:
        api.request("DELETE", f"/api/v1/namespaces/{SYSTEM}")
        api.request("DELETE", "/api/v1/nodes/gpu-1")
        eventually(lambda: not exists(api, f"/api/v1/namespaces/{SYSTEM}"))


def offer(api: Api, node: str, devices: int) -> None:
    """The device plugin of a node reports its GPUs."""
    capacity = {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": str(devices)}
    body = {"status": {"capacity": capacity, "allocatable": capacity}}
    path = f"/api/v1/nodes/{node}/status"
    api.request("PATCH", path, body, content_type=MERGE_PATCH)


def deploy(api: Api, name: str, release: str, args: list[str], namespace: str = SYSTEM) -> None:
    """Creates a Deployment, and runs its pods."""
    labels = {"app": name}
    container = {"name": name, "image": f"{REGISTRY}/{name}:{release}", "args": args}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body = {
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    ensure(api, f"/apis/apps/v1/namespaces/{namespace}/deployments", body)
    run_pods(api, namespace, name)


def run_pods(api: Api, namespace: str, name: str) -> None:
    """Plays the kubelet until a Deployment is available."""

    def is_available() -> bool:
        pods = api.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        for pod in pods:
            if not pod["status"].get("conditions"):
                path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status"
                ready = [{"type": "Ready", "status": "True"}]
                body = {"status": {"phase": "Running", "conditions": ready}}
                try:
                    api.request("PATCH", path, body, content_type=STRATEGIC)
                except Refused as exc:
                    if exc.status != HTTPStatus.NOT_FOUND:  # the Deployment has just deleted it
                        raise
        found = api.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        status = found.get("status", {})
        observed = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(observed and status.get("availableReplicas") == found["spec"]["replicas"])

    eventually(is_available)


def ensure(api: Api, path: str, body: Object) -> None:
    """Creates an object unless it exists."""
    try:
        api.request("POST", path, body)
    except Refused as exc:
        if exc.reason != "AlreadyExists":
            raise


def exists(api: Api, path: str) -> bool:
    """Whether there is an object."""
    try:
        api.request("GET", path)
    except Refused as exc:
        if exc.status != 404:
            raise
        return False
    return True
