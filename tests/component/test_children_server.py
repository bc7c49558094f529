"""What we make is what the real child CRDs of each kthena release accept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, Profile
from app.apis.modelbooster import ModelBooster
from app.apis.pruning import pruned
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.values.fields import SpecError
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker
from tests.cases.inputs import CASES as REPORTED
from tests.cases.inputs import answer, read
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.golden.cases import CASES, booster, kept
from tests.world import Admin

RESOURCES = {(resource.api_version, resource.kind): resource for resource in CHILDREN}
SHIPPED = sorted((Path(__file__).parents[1] / "crds" / "examples").glob("*/*.yaml"))
TOO_LONG = SHIPPED.pop(0)
"""Of kthena's examples the one whose pods could never be named."""

DRY = {"fieldValidation": "Strict", "dryRun": "All"}
APPLY = {"fieldValidation": "Strict", "fieldManager": "model-booster-controller", "force": "true"}


class Cluster:
    """A control plane on which one release of kthena is installed."""

    def __init__(self, plane: ControlPlane, profile: Profile) -> None:
        self.plane = plane
        self.profile = profile

    def admin(self) -> Admin:
        """Returns the administrator in a namespace of its own."""
        body = {"metadata": {"generateName": "children-"}}
        made = self.plane.api.request("POST", "/api/v1/namespaces", body)
        return Admin(self.plane.api, made["metadata"]["name"])


@pytest.fixture(scope="module")
def cluster(profiled_plane: tuple[Profile, ControlPlane]) -> Cluster:
    profile, plane = profiled_plane
    return Cluster(plane, profile)


def stored(admin: Admin, written: Object) -> Object:
    """Stores a ModelBooster and returns it as it is then, with its uid."""
    metadata = {**written["metadata"], "namespace": admin.namespace}
    metadata.pop("uid", None)
    return admin.create(MODEL_BOOSTER, {**written, "metadata": metadata})


def children(obj: Object, profile: Profile) -> list[Object]:
    model = canonical(ModelBooster.model_validate(obj))
    return [child.object for child in desired_children(model, profile, Options())]


def path(admin: Admin, child: Object, *, named: bool = True) -> str:
    name = child["metadata"]["name"] if named else None
    return admin.path(RESOURCES[child["apiVersion"], child["kind"]], name)


def apply(admin: Admin, child: Object) -> Object:
    kind = "application/apply-patch+yaml"
    return admin.api.request("PATCH", path(admin, child), child, content_type=kind, params=APPLY)


def apply_all(admin: Admin, wanted: list[Object]) -> None:
    for child in wanted:
        apply(admin, child)


@pytest.mark.parametrize("case", CASES)
def test_golden_children_are_accepted(cluster: Cluster, case: str) -> None:
    admin = Admin(cluster.plane.api, "default")
    for child in kept(case, cluster.profile):
        moved = {**child, "metadata": {**child["metadata"], "namespace": admin.namespace}}
        admin.api.request("POST", path(admin, child, named=False), moved, params=DRY)


@pytest.mark.parametrize("case", CASES)
def test_applying_children_twice_changes_nothing(cluster: Cluster, case: str) -> None:
    admin = cluster.admin()
    # Before 1.31 the API server writes a custom resource again for the time of the apply alone.
    writes_times = cluster.plane.minor < 31
    for child in children(stored(admin, booster(case)), cluster.profile):
        first = apply(admin, child)
        second = apply(admin, child)
        version = "generation" if writes_times else "resourceVersion"
        assert second["metadata"][version] == first["metadata"][version]
        assert holds(first["spec"], child["spec"])


def holds(there: object, wanted: object) -> bool:
    """Whether everything we want is there; defaults of the schema may be there as well."""
    if isinstance(wanted, dict) and isinstance(there, dict):
        return all(key in there and holds(there[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(there, list):
        return len(there) == len(wanted) and all(map(holds, there, wanted))
    return there == wanted


@pytest.mark.parametrize("case", REPORTED)
def test_children_of_the_reported_cases_are_accepted(cluster: Cluster, case: str) -> None:
    found = answer(case, cluster.profile)
    if not found.allowed:
        return  # nothing is made of it
    admin = cluster.admin()
    obj = stored(admin, pruned(read(case)).object)
    apply_all(admin, children(obj, cluster.profile))


@pytest.mark.parametrize("cache", [None, "pvc://models"])
def test_downloads_are_admitted_where_root_is_forbidden(
    cluster: Cluster, cache: str | None
) -> None:
    """By Pod Security's level ``restricted``; engines have the rights that their image needs."""
    obj = booster_object("demo", backend(cacheURI=cache, loraAdapters=[lora("sql")]))
    admit(cluster, children(obj, cluster.profile))


def test_a_folder_of_a_node_is_not_admitted_there(cluster: Cluster) -> None:
    """So the container of root that such a folder needs takes nothing from anybody."""
    obj = booster_object("demo", backend(cacheURI="hostpath:///mnt/models"))
    with pytest.raises(Refused, match='volume type "hostPath"'):
        admit(cluster, children(obj, cluster.profile))


def admit(cluster: Cluster, wanted: list[Object]) -> None:
    """Asks the API server for pods that only download, in a namespace that forbids root."""
    admin = cluster.admin()
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    name = f"/api/v1/namespaces/{admin.namespace}"
    merge = "application/merge-patch+json"
    admin.api.request("PATCH", name, {"metadata": {"labels": level}}, content_type=merge)
    account = {"metadata": {"name": "downloads"}}
    admin.api.request("POST", f"{name}/serviceaccounts", account)
    (serving,) = [child for child in wanted if child["kind"] == "ModelServing"]
    pod = serving["spec"]["template"]["roles"][0]["entryTemplate"]["spec"]
    kept_fields = {key: pod[key] for key in ("volumes", "securityContext") if key in pod}
    own = {"serviceAccountName": "downloads", "containers": pod["initContainers"]}
    body = {"metadata": {"name": "downloads"}, "spec": {**kept_fields, **own}}
    admin.api.request("POST", f"{name}/pods", body, params=DRY)


def test_names_of_repositories_are_accepted_with_several_backends(cluster: Cluster) -> None:
    admin = cluster.admin()
    named = backend("b1", loraAdapters=[lora("owner/sql_lora:v1.0", artifactURL="hf://o/sql")])
    obj = booster_object("demo", named, backend("b2"), name="Owner/Model_2.5-7B:latest")
    wanted = children(stored(admin, obj), cluster.profile)
    apply_all(admin, wanted)
    (route,) = [child for child in wanted if child["kind"] == "ModelRoute"]
    assert route["spec"]["modelName"] == "Owner/Model_2.5-7B:latest"
    assert route["spec"]["loraAdapters"] == ["owner/sql_lora:v1.0"]


@pytest.mark.parametrize("example", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_examples_of_kthena_are_accepted(cluster: Cluster, example: Path) -> None:
    admin = cluster.admin()
    apply_all(admin, children(stored(admin, yaml.safe_load(example.read_text())), cluster.profile))


def test_one_example_of_kthena_has_too_long_pod_names() -> None:
    with pytest.raises(SpecError, match="62 characters, at most 50 are allowed"):
        children(yaml.safe_load(TOO_LONG.read_text()), Profile.A)


def test_sixteen_backends_are_accepted(cluster: Cluster) -> None:
    admin = cluster.admin()
    several = [backend(f"b{n}", scalingCost=1) for n in range(16)]
    obj = stored(admin, booster_object("demo", *several, autoscalingPolicy=policy()))
    apply_all(admin, children(obj, cluster.profile))


def test_children_of_another_release_are_refused(cluster: Cluster) -> None:
    """Else it would be for nothing to find out which one is installed."""
    admin = cluster.admin()
    scaled = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
    obj = stored(admin, booster_object("demo", scaled))
    for other in set(Profile) - {cluster.profile}:
        wanted = [c for c in children(obj, other) if c["kind"].startswith("AutoscalingPolicy")]
        with pytest.raises(Refused):
            apply_all(admin, wanted)


def test_a_stored_gang_policy_cannot_be_changed(cluster: Cluster) -> None:
    """Why ``gang.kept`` exists."""
    admin = cluster.admin()
    gang = backend(gangScheduling=True, workers=[worker(replicas=2)])
    obj = stored(admin, booster_object("demo", gang))
    serving = next(c for c in children(obj, cluster.profile) if c["kind"] == "ModelServing")
    apply(admin, serving)
    template = serving["spec"]["template"]

    for policy_now in ({"minRoleReplicas": {"leader": 1}}, None):
        changed = {**template, "gangPolicy": policy_now}
        if policy_now is None:
            del changed["gangPolicy"]
        with pytest.raises(Refused):
            apply(admin, {**serving, "spec": {**serving["spec"], "template": changed}})


def test_a_backend_can_change_its_type(cluster: Cluster) -> None:
    admin = cluster.admin()
    obj = stored(admin, booster_object("demo", backend("b1")))
    apply_all(admin, children(obj, cluster.profile))
    obj["spec"]["backends"] = [disaggregated("b1")]

    for child in children(obj, cluster.profile):
        after = apply(admin, child)
        assert holds(after["spec"], child["spec"])
