"""An earlier version of the operator, and the children of all golden inputs as it made them.

``operator.tar.xz`` and ``children.json.gz`` have them; ``python -m tests.upgrade.record`` makes
both.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, REVISION, Profile
from app.kube import FIELD_MANAGER
from app.model.children import revision
from app.values.meta import Object, Resource
from tests.world import Admin

FILE = Path(__file__).with_name("children.json.gz")
OPERATOR = Path(__file__).with_name("operator.tar.xz")
"""Its packages, the lock file of its image, and its chart."""

CHART, LOCK = "charts/model-booster", "requirements.txt"
PACKAGES = ("app", "certs", "controller", "modelbooster", "webhook")
RESOURCES: dict[str, Resource] = {resource.kind: resource for resource in CHILDREN}
SETTLED = [
    {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    for kind, status, reason in (
        ("Initialized", "True", "ModelCreating"),
        ("Active", "True", "ModelAvailable"),
        ("Failed", "False", "NoFailure"),
        ("Ready", "True", "ModelAvailable"),
    )
]
"""The conditions of a ModelBooster that serves, in the words of that version."""


@cache
def recorded() -> dict[str, Any]:
    """Returns the content of the file: the commit, and ModelBooster and children by case."""
    content: dict[str, Any] = json.loads(gzip.decompress(FILE.read_bytes()))
    return content


def unpack(folder: Path) -> None:
    """Writes what ``OPERATOR`` holds into a folder, made if need be."""
    with tarfile.open(OPERATOR) as archive:
        archive.extractall(folder, filter="data")


def cases() -> list[str]:
    """Returns the names of the golden cases of that version that have children."""
    return [case for case, entry in recorded()["cases"].items() if entry["children"]["B"]]


def booster(case: str, namespace: str, uid: str = "") -> Object:
    """Returns the ModelBooster of a case."""
    obj = _filled(recorded()["cases"][case]["booster"], namespace, uid)
    if not uid:
        del obj["metadata"]["uid"]
    return obj


def children(case: str, profile: Profile, namespace: str, uid: str) -> list[Object]:
    """Returns the children that the earlier version applies for a case."""
    found = []
    for written, is_scaled in recorded()["cases"][case]["children"][profile]:
        child = _filled(written, namespace, uid)
        counted = {k: v for k, v in child["spec"].items() if not (is_scaled and k == "replicas")}
        child["metadata"]["labels"][REVISION] = revision(counted)
        found.append(child)
    return found


def install(admin: Admin, case: str, profile: Profile = Profile.B) -> str:
    """Creates a ModelBooster with its children as the earlier version leaves them; all serve.

    Returns:
        The name of the ModelBooster.
    """
    stored = admin.create(MODEL_BOOSTER, booster(case, admin.namespace))
    name: str = stored["metadata"]["name"]
    for child in children(case, profile, admin.namespace, stored["metadata"]["uid"]):
        resource = RESOURCES[child["kind"]]
        admin.apply(resource, child, FIELD_MANAGER)
        if child["kind"] == "ModelServing":
            admin.serve(resource, child["metadata"]["name"])
    generation = stored["metadata"]["generation"]
    conditions = [{**condition, "observedGeneration": generation} for condition in SETTLED]
    status = {"observedGeneration": generation, "conditions": conditions}
    admin.patch(MODEL_BOOSTER, name, {"status": status}, subresource="status")
    return name


def _filled(obj: Object, namespace: str, uid: str) -> Object:
    text = json.dumps(obj).replace("THE-NAMESPACE", namespace).replace("THE-UID", uid)
    filled: Object = json.loads(text)
    return filled
