"""Plays kthena's own ModelBooster controller: the children it creates, and its updates."""

from __future__ import annotations

from copy import deepcopy
from threading import Event, Thread

from app.apis.kinds import (
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
    REVISION,
    Profile,
)
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Object
from tests.builders import backend, model
from tests.controlplane.api import Refused
from tests.world import Admin

KTHENA_MANAGER = "kthena-controller-manager"
"""Field manager of kthena's own controller: the name of its program."""

KTHENA_REVISION = "9d57cbc67"
"""The revision label of what it has written."""

RESOURCES = {resource.kind: resource for resource in (MODEL_SERVING, MODEL_SERVER, MODEL_ROUTE)}


def as_kthena_made(booster: Object) -> list[Object]:
    """The children of kthena v0.4.0's own controller, where they differ from ours."""
    name: str = booster["metadata"]["name"]
    meaning = model(name, backend(), metadata={"uid": booster["metadata"]["uid"]})
    children = []
    for desired in desired_children(meaning, Profile.B, Options()):
        child = deepcopy(desired.object)
        metadata, spec = child["metadata"], child["spec"]
        metadata["namespace"] = booster["metadata"]["namespace"]
        del metadata["labels"][REGISTRY_MANAGED_BY]
        metadata["labels"][REVISION] = KTHENA_REVISION
        if desired.resource in (MODEL_SERVING, MODEL_ROUTE):
            for flag in ("controller", "blockOwnerDeletion"):
                del metadata["ownerReferences"][0][flag]
        if desired.resource is MODEL_SERVING:
            spec["template"]["gangPolicy"] = {"minRoleReplicas": {"leader": 1}}
            spec["template"]["restartGracePeriodSeconds"] = 7
        if desired.resource is MODEL_SERVER:
            spec["kvConnector"] = {"type": "nixl"}
            spec["workloadSelector"]["matchLabels"] = {MODEL_UID: booster["metadata"]["uid"]}
        if desired.resource is MODEL_ROUTE:
            spec["loraAdapters"] = ["gone"]
        children.append(child)
    return children


class KthenaController(Thread):
    """Plays kthena's own ModelBooster controller for one ModelBooster, until ``stop``.

    Like that controller, it compares the revision label of a child with its own, replaces the whole
    child by an Update if they differ, and writes the conditions of the ModelBooster.

    Args:
        admin: the API server and the namespace.
        name: of the ModelBooster.
    """

    def __init__(self, admin: Admin, name: str = "m") -> None:
        super().__init__(daemon=True)
        self._admin = admin
        self._name = name
        self._ended = Event()

    def run(self) -> None:
        """Compares and updates as often as it can."""
        while not self._ended.wait(0.02):
            try:
                self._reconcile()
            except Refused as exc:
                if exc.status not in (404, 409):
                    raise

    def stop(self) -> None:
        """Stops it and waits until it has ended."""
        self._ended.set()
        self.join()

    def _reconcile(self) -> None:
        booster = self._admin.get(MODEL_BOOSTER, self._name)
        if booster is None:
            return
        undone = [self._undo(child) for child in as_kthena_made(booster)]
        if any(undone):
            self._report(booster)

    def _undo(self, child: Object) -> bool:
        resource, name = RESOURCES[child["kind"]], child["metadata"]["name"]
        live = self._admin.get(resource, name)
        if live is None:
            self._send("POST", self._admin.path(resource), child)
            return True
        if live["metadata"]["labels"].get(REVISION) == child["metadata"]["labels"][REVISION]:
            return False
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        mine = {**child, "metadata": {**child["metadata"], **version}}
        self._send("PUT", self._admin.path(resource, name), mine)
        return True

    def _report(self, booster: Object) -> None:
        status = {
            "observedGeneration": booster["metadata"]["generation"],
            "conditions": [
                {
                    "type": "Active",
                    "status": "False",
                    "reason": "ModelCreating",
                    "message": "Model is still initializing",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
        }
        path = f"{self._admin.path(MODEL_BOOSTER, self._name)}/status"
        self._send("PUT", path, {**booster, "status": status})

    def _send(self, method: str, path: str, body: Object) -> None:
        params = {"fieldManager": KTHENA_MANAGER}
        self._admin.api.request(method, path, body, params=params)
