"""The CustomResourceDefinitions that tests and demo install."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

import yaml

from app.apis.crd import model_booster_crd
from app.values.meta import Object, Resource
from tests.controlplane.api import APPLY, TABLE, Api, Refused

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

    Where another definition of a kind is replaced, the server still applies its schema for a
    moment. This waits until the columns of a table are those of the new one, so it is enough if
    the columns differ.

    Raises:
        TimeoutError: the server does not serve them.
    """
    waiting = {}
    for definition in definitions:
        name = definition["metadata"]["name"]
        params = {"fieldManager": "tests", "force": "true"}
        waiting[name] = api.request(
            "PATCH", CRD.path(None, name), definition, content_type=APPLY, params=params
        )
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while waiting := {
        name: definition
        for name, definition in waiting.items()
        if not (_is_established(api, name) and _is_served(api, definition["spec"]))
    }:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not established: {', '.join(waiting)}")
        time.sleep(0.03)


def _is_established(api: Api, name: str) -> bool:
    conditions = api.request("GET", CRD.path(None, name)).get("status", {}).get("conditions")
    # null, for a moment, after the CRD was applied
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions or ())


def _is_served(api: Api, spec: Object) -> bool:
    """Whether the columns of every served version are those of the definition."""
    return all(
        _shown_columns(api, spec, version["name"]) == _columns(version)
        for version in spec["versions"]
        if version["served"]
    )


def _columns(version: Object) -> list[str]:
    own = version.get("additionalPrinterColumns") or [{"name": "Age"}]
    return ["Name", *(column["name"] for column in own)]


def _shown_columns(api: Api, spec: Object, version: str) -> list[str]:
    """Returns the columns of a table that the server sends; none if it has no such kind yet."""
    path = f"/apis/{spec['group']}/{version}/{spec['names']['plural']}"
    try:
        table = api.request("GET", path, params={"limit": "1"}, accept=TABLE)
    except Refused as exc:
        if exc.status != HTTPStatus.NOT_FOUND:
            raise
        return []
    return [column["name"] for column in table["columnDefinitions"]]
