"""What kthena's own ModelBooster controller makes of a ModelBooster."""

from __future__ import annotations

from copy import deepcopy

from app.apis.children import (
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
    Profile,
)
from app.apis.meta import Object
from app.convert import desired_children
from app.convert.options import Options
from tests.builders import backend, model


def as_kthena_made(booster: Object) -> list[Object]:
    """What kthena v0.4.0's own controller makes of a ModelBooster, as far as it differs."""
    meaning = model("m", backend(), metadata={k: booster["metadata"][k] for k in ("uid",)})
    children = []
    for desired in desired_children(meaning, Profile.B, Options()):
        child = deepcopy(desired.object)
        metadata, spec = child["metadata"], child["spec"]
        metadata["namespace"] = booster["metadata"]["namespace"]
        del metadata["labels"][REGISTRY_MANAGED_BY]
        metadata["labels"]["workload.serving.volcano.sh/revision"] = "9d57cbc67"
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
