"""Plays kthena's serving controller: makes a pod for each place in a ModelServing.

As that one does, it replaces a pod when the roles of the template change in anything but their
replicas, and looks at nothing else of the ModelServing. No node runs the pods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from threading import Event, Thread

from app.apis.kinds import MODEL_SERVING
from app.values.meta import Object, Resource
from tests.controlplane.api import Refused
from tests.world import Admin

POD = Resource("", "v1", "pods", "Pod")
SERVING, REVISION = "tests/serving", "tests/revision"


class ServingController(Thread):
    """Plays the serving controller in one namespace, until ``stop``.

    Args:
        admin: the API server and the namespace.
        node: the node that the pods ask for, whose taints they tolerate, and on which somebody
            reports them ready; without one, pods stay pending and count as ready.
    """

    def __init__(self, admin: Admin, node: str = "") -> None:
        super().__init__(daemon=True)
        self._admin = admin
        self._node = node
        self._ended = Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Looks, and makes what is missing, as often as it can."""
        while not self._ended.wait(0.1):
            try:
                for serving in self._admin.list(MODEL_SERVING):
                    self._reconcile(serving)
            except Refused as exc:
                if exc.status not in (404, 409, 429):  # 429: its definition was just replaced
                    self.error = exc
                    raise

    def stop(self) -> None:
        """Ends it, and waits until it has ended."""
        self._ended.set()
        self.join()

    def _reconcile(self, serving: Object) -> None:
        name = serving["metadata"]["name"]
        found = self._admin.list(POD, f"{SERVING}={name}")
        present = {o["metadata"]["name"]: o["metadata"]["labels"][REVISION] for o in found}
        wanted = {pod["metadata"]["name"]: pod for pod in _pods(serving, self._node)}
        for pod, revision in present.items():
            if pod not in wanted or revision != wanted[pod]["metadata"]["labels"][REVISION]:
                self._admin.api.request(
                    "DELETE", self._admin.path(POD, pod), {"gracePeriodSeconds": 0}
                )
                present = {k: v for k, v in present.items() if k != pod}
        for pod, obj in wanted.items():
            if pod not in present:
                self._admin.create(POD, obj)
        status = serving.get("status") or {}
        if self._node and not (len(found) == len(wanted) and all(map(_is_ready, found))):
            return
        if status.get("observedGeneration") != serving["metadata"]["generation"]:
            self._admin.serve(MODEL_SERVING, name)


def pod_uids(admin: Admin) -> dict[str, str]:
    """Returns the uid of every pod of a ModelServing, by name."""
    return {o["metadata"]["name"]: o["metadata"]["uid"] for o in admin.list(POD, SERVING)}


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)


def _pods(serving: Object, node: str) -> Iterator[Object]:
    name, spec = serving["metadata"]["name"], serving["spec"]
    roles = [{k: v for k, v in r.items() if k != "replicas"} for r in spec["template"]["roles"]]
    revision = sha256(json.dumps(roles, sort_keys=True).encode()).hexdigest()[:16]
    for group in range(spec["replicas"]):
        for role in spec["template"]["roles"]:
            for number in range(role["replicas"]):
                for place in range(1 + role["workerReplicas"]):
                    template = role["workerTemplate" if place else "entryTemplate"]
                    yield {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {
                            "name": f"{name}-{group}-{role['name']}-{number}-{place}",
                            "labels": {
                                **template.get("metadata", {}).get("labels", {}),
                                SERVING: name,
                                REVISION: revision,
                            },
                        },
                        "spec": {
                            "automountServiceAccountToken": False,
                            "nodeSelector": {"kubernetes.io/hostname": node} if node else {},
                            "tolerations": [{"operator": "Exists"}] if node else [],
                            "containers": [
                                {"name": c["name"], "image": c["image"]}
                                for c in template["spec"]["containers"]
                            ],
                        },
                    }
