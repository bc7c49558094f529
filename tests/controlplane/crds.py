"""The CustomResourceDefinitions that tests and demo install."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from app.apis.crd import model_booster_crd
from app.values.meta import Object, Resource
from tests.controlplane.api import APPLY, Api

CRD = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
FOLDER = Path(__file__).parents[1] / "crds"
ESTABLISHED_SECONDS = 30


def children(profile: str) -> list[Object]:
    """Returns the CRDs of the children, of profile A, B or C."""
    return [
        yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        for path in sorted((FOLDER / profile).glob("*.yaml"))
    ]


def model_booster() -> Object:
    """Returns our own CRD."""
    return model_booster_crd()


def kthena_booster(release: str) -> Object:
    """Returns kthena's own CRD of ModelBooster, of v0.1.0, v0.4.0 or v1.0.0."""
    text = (FOLDER / "boosters" / f"{release}.yaml").read_text()
    definition: Object = yaml.load(text, Loader=yaml.CSafeLoader)
    return definition


def install(api: Api, definitions: Iterable[Object]) -> None:
    """Installs CRDs and waits until the server serves their kinds.

    Raises:
        TimeoutError: the server does not serve them.
    """
    names = []
    for definition in definitions:
        name = definition["metadata"]["name"]
        params = {"fieldManager": "tests", "force": "true"}
        api.request("PATCH", CRD.path(None, name), definition, content_type=APPLY, params=params)
        names.append(name)
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while waiting := [name for name in names if not _is_established(api, name)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not established: {', '.join(waiting)}")
        time.sleep(0.03)


def _is_established(api: Api, name: str) -> bool:
    conditions = api.request("GET", CRD.path(None, name)).get("status", {}).get("conditions")
    # null, for a moment, after the CRD was applied
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions or ())
