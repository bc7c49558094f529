"""Which kthena is installed, told from discovery and the published schemas."""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apis.crd import model_booster_crd
from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    CHILDREN,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    Profile,
)
from app.installed import installed_from, release_of_manager
from app.values.meta import Object, Resource
from tests.controlplane.crds import kthena_booster

CRDS = Path(__file__).parents[1] / "crds"


def schemas_of(profile: str, *kinds: Resource) -> Object:
    """OpenAPI schemas as the server publishes them, of a release's CRDs; of all kinds if none."""
    found: Object = {}
    for path in sorted((CRDS / profile).glob("*.yaml")):
        crd = _read(path)
        if not kinds or crd["spec"]["names"]["kind"] in {kind.kind for kind in kinds}:
            found |= published(crd)
    return found


@cache
def _read(path: Path) -> Object:
    crd: Object = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    return crd


def published(crd: Object) -> Object:
    spec = crd["spec"]
    version = spec["versions"][0]
    mark = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
    schema = {
        **version["schema"]["openAPIV3Schema"],
        "x-kubernetes-group-version-kind": [mark],
    }
    return {f"io.serving.{mark['kind']}": schema}


EVERYTHING = [str(resource) for resource in CHILDREN]
WITHOUT_BINDINGS = [name for name in EVERYTHING if name != str(AUTOSCALING_POLICY_BINDING)]
WITHOUT_SCALING = [name for name in WITHOUT_BINDINGS if name != str(AUTOSCALING_POLICY)]


@pytest.mark.parametrize(
    ("served", "schemas", "want"),
    [
        pytest.param(EVERYTHING, lambda: schemas_of("A"), Profile.A, id="v0.1.0"),
        pytest.param(EVERYTHING, lambda: schemas_of("B"), Profile.B, id="v0.4.0"),
        pytest.param(WITHOUT_BINDINGS, lambda: schemas_of("C"), Profile.C, id="v1.0.0"),
        pytest.param(
            EVERYTHING,
            lambda: schemas_of("C") | schemas_of("B", AUTOSCALING_POLICY_BINDING),
            Profile.C,
            id="bindings left over",
        ),
        pytest.param(WITHOUT_BINDINGS, lambda: schemas_of("B"), None, id="bindings lost"),
        pytest.param(
            WITHOUT_SCALING, lambda: schemas_of("C", MODEL_ROUTE), None, id="no scaling at all"
        ),
        pytest.param([], dict, None, id="nothing"),
        pytest.param(EVERYTHING, dict, Profile.B, id="bindings, and no schemas to read"),
        pytest.param(WITHOUT_BINDINGS, dict, Profile.C, id="no bindings, and no schemas to read"),
    ],
)
def test_profile(
    served: Collection[str], schemas: Callable[[], Object], want: Profile | None
) -> None:
    assert installed_from(served, schemas()).profile is want


@pytest.mark.parametrize(
    ("image", "want"),
    [
        pytest.param("ghcr.io/volcano-sh/kthena-controller-manager:v0.4.0", "v0.4.0", id="tag"),
        pytest.param("mirror:5000/x/kthena-controller-manager:0.2.0", "v0.2.0", id="mirror, no v"),
        pytest.param("kthena-controller-manager:v1.0.0-rc.1", "v1.0.0", id="candidate"),
        pytest.param("kthena-controller-manager:v0.3.0-arm64@sha256:1", "v0.3.0", id="and digest"),
        pytest.param("ghcr.io/volcano-sh/kthena-controller-manager:latest", None, id="latest"),
        pytest.param("ghcr.io/volcano-sh/kthena-controller-manager@sha256:1", None, id="digest"),
        pytest.param("localhost:5000/kthena-controller-manager", None, id="a port, no tag"),
        pytest.param("ghcr.io/other/proxy:v0.4.0", None, id="another image"),
        pytest.param(None, None, id="no image"),
    ],
)
def test_release_of_the_controller_manager(image: str | None, want: str | None) -> None:
    pod = {"containers": [{"name": "proxy", "image": "envoy:v9.9.9"}, {"image": image}]}
    found = release_of_manager({"spec": {"template": {"spec": pod}}})
    assert (found and str(found)) == want
    assert release_of_manager({}) is None


@pytest.mark.parametrize("served", [EVERYTHING, WITHOUT_BINDINGS, []], ids=len)
def test_kinds_that_are_served(served: list[str]) -> None:
    assert [str(resource) for resource in installed_from(served, {}).kinds] == served


def test_references_in_schemas_are_followed() -> None:
    whole = deepcopy(schemas_of("C", AUTOSCALING_POLICY))
    (name,) = whole
    spec = whole[name]["properties"]["spec"]
    whole[name]["properties"]["spec"] = {"allOf": [{"$ref": "#/components/schemas/spec"}]}
    assert installed_from(EVERYTHING, {**whole, "spec": spec}).profile is Profile.C


@pytest.mark.parametrize(
    ("removed", "want"),
    [([], True), (["backend"], False), (["backends"], False), (["modelMatch"], False)],
    ids=["ours", "without backend", "without backends", "without modelMatch"],
)
def test_whose_model_booster_it_is(removed: list[str], want: bool) -> None:
    crd: Any = deepcopy(model_booster_crd())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in removed:
        del schema["properties"]["spec"]["properties"][name]
    found = installed_from([*EVERYTHING, str(MODEL_BOOSTER)], published(crd))
    assert found.booster_is_ours is want
    assert found.missing == tuple(f"spec.{name}" for name in removed)


@pytest.mark.parametrize("release", ["v0.1.0", "v0.4.0", "v1.0.0"])
def test_no_model_booster_of_kthena_is_ours(release: str) -> None:
    found = installed_from([str(MODEL_BOOSTER)], published(kthena_booster(release)))
    assert not found.booster_is_ours
    assert "status.modelName" in found.missing, "the mark of our schema"
