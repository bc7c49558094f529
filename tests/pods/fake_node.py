"""A node that runs nothing: pods that the scheduler puts there are reported ready.

The pods of models need devices and images that a test has not.
"""

from __future__ import annotations

import threading

from app.values.meta import Object, Resource, is_terminating
from tests.controlplane.api import MERGE_PATCH, Api, NoAnswer, Refused

NAME = "fake-0"
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
LOOK_SECONDS = 0.3
CAPACITY = {"cpu": "512", "memory": "4Ti", "pods": "1000", "nvidia.com/gpu": "64"}


class FakeNode(threading.Thread):
    """Plays the kubelet of one node, until ``stop``.

    Args:
        api: the administrator's connection.
    """

    def __init__(self, api: Api) -> None:
        super().__init__(name="fake-node", daemon=True)
        self._api = api
        self._ended = threading.Event()

    def start(self) -> None:
        """Registers the node, which takes only pods that tolerate it, and begins its work."""
        labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux"}
        taint = {"key": "tests/played", "effect": "NoSchedule"}
        node = {"metadata": {"name": NAME, "labels": labels}, "spec": {"taints": [taint]}}
        self._api.request("POST", NODE.path(None), node)
        ready = [{"type": "Ready", "status": "True", "reason": "Played"}]
        status = {"capacity": CAPACITY, "allocatable": CAPACITY, "conditions": ready}
        path = f"{NODE.path(None, NAME)}/status"
        self._api.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
        super().start()

    def stop(self) -> None:
        """Looks after nothing any more."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Reports new pods ready, and removes those that are deleted."""
        params = {"fieldSelector": f"spec.nodeName={NAME}"}
        while not self._ended.wait(LOOK_SECONDS):
            try:
                for pod in self._api.request("GET", "/api/v1/pods", params=params)["items"]:
                    self._look_after(pod)
            except (Refused, NoAnswer):
                continue  # somebody was quicker

    def _look_after(self, pod: Object) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if is_terminating(pod):
            self._api.request("DELETE", path, {"gracePeriodSeconds": 0})
        elif pod["status"].get("phase") != "Running":
            conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
            status = {"phase": "Running", "conditions": conditions}
            body = {"status": status}
            self._api.request("PATCH", f"{path}/status", body, content_type=MERGE_PATCH)
