"""``model-booster migrate --check`` on the real API server, compared with what happens then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING, REVISION
from app.values.meta import Object
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from tests.builders import backend, booster_object
from tests.commands import run
from tests.component.running import running, until_idle
from tests.conftest import Ran
from tests.controlplane import crds
from tests.controlplane.crds import FOLDER
from tests.controlplane.plane import ControlPlane
from tests.e2e.kthena import kthena
from tests.upstream import KTHENA_REVISION, RESOURCES, KthenaController, as_kthena_made
from tests.world import Admin, World

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[1] / "crds" / "examples"


async def check(kubeconfig: Path, *args: str) -> Ran:
    return await asyncio.to_thread(run, kubeconfig, "migrate", "--check", *args)


async def specs(world: World) -> dict[tuple[str, str], Object]:
    """The spec of every child."""
    return {
        (o["kind"], o["metadata"]["name"]): o["spec"]
        for resource in RESOURCES.values()
        for o in await world.list(resource)
    }


@pytest.mark.slow
async def test_the_controller_does_what_the_check_says(
    world: World, kubeconfig: Path, plane: ControlPlane
) -> None:
    booster = await world.put(MODEL_BOOSTER, booster_object("a"))
    for child in as_kthena_made(booster):
        await world.create(RESOURCES[child["kind"]], child)
    await world.serve(MODEL_SERVING, "a-b1")
    status = {"observedGeneration": booster["metadata"]["generation"]}
    await world.patch(MODEL_BOOSTER, "a", {"status": status}, subresource="status")
    scope = ("-n", world.namespace)
    with kthena(plane.api):
        said = await check(kubeconfig, *scope, "-o", "json")
        assert (said.stderr, said.code) == ("", 1)
        (expected,) = json.loads(said.stdout)["modelBoosters"]
        assert expected["verdict"] == "restarts"
        before = await specs(world)
        async with running(kubeconfig, world.namespace) as controller:
            await until_idle(controller)
            assert await specs(world) == before, "nothing changes before somebody allows it"
            allow = {"metadata": {"annotations": {ROLLOUT: ALLOW}}}
            await world.patch(MODEL_BOOSTER, "a", allow)
            await world.until(
                MODEL_SERVING, "a-b1", lambda o: o["spec"] != before["ModelServing", "a-b1"]
            )
            await until_idle(controller)
        after = await specs(world)

        changed = {key for key in after if after[key] != before.get(key)}
        assert changed == {(c["kind"], c["name"]) for c in expected["children"]}
        assert {c["verb"] for c in expected["children"]} == {"change"}
        assert after.keys() == before.keys()
        again = await check(kubeconfig, *scope)
        assert (again.stderr, again.code) == ("", 0)
        assert again.stdout == (
            f"ModelBooster {world.namespace}/a (form of kthena v0.1.0): is taken over unchanged\n"
            "  pods of a-b1: its pods have the same template\n"
            "1 ModelBooster: 1 unchanged\n"
        )


async def test_what_has_to_be_done_in_the_cluster_is_told(world: World, kubeconfig: Path) -> None:
    """There is no kthena at all."""
    said = await check(kubeconfig, "-n", world.namespace)
    assert (said.code, said.stderr) == (1, "")
    assert said.stdout.startswith(
        "Cluster: no Deployment kthena-controller-manager found\n"
        "Cluster: no Deployment kthena-controller-manager found: no pods are started\n"
    )
    assert said.stdout.endswith("0 ModelBoosters\n")


@pytest.fixture(scope="module", params=["v0.4.0", "v1.0.0"])
def of_kthena(request: pytest.FixtureRequest) -> Iterator[tuple[ControlPlane, str]]:
    """A control plane with the definitions of kthena, ours was never there."""
    with ControlPlane() as plane:
        profile = {"v0.4.0": "B", "v1.0.0": "C"}[request.param]
        crds.install(plane.api, [*crds.children(profile), crds.kthena_booster(request.param)])
        yield plane, request.param


@pytest.mark.slow
async def test_models_of_kthena_before_the_takeover(of_kthena: tuple[ControlPlane, str]) -> None:
    plane, release = of_kthena
    admin = Admin(plane.api, "default")
    names: list[str] = []
    for path in sorted((EXAMPLES / release).glob("*.yaml")):
        for obj in yaml.safe_load_all(path.read_text()):
            if obj and obj["kind"] == MODEL_BOOSTER.kind:
                metadata = {"name": f"m{len(names)}"}
                admin.create(MODEL_BOOSTER, {**obj, "metadata": metadata})
                names.append(metadata["name"])
    assert names

    said = await check(plane.kubeconfig, "-A", "-o", "json")

    assert said.stderr == ""
    found = {entry["name"]: entry for entry in json.loads(said.stdout)["modelBoosters"]}
    assert [*found] == names
    form = {"v0.4.0": "v0.2.0 to v0.4.0", "v1.0.0": "v1.0.0"}[release]
    for entry in found.values():
        assert entry["form"] == f"form of kthena {form}"
        assert entry["verdict"] in ("changes", "edit"), entry
        assert (entry["verdict"] == "edit") == bool(entry["faults"])


async def test_files_say_the_same_as_the_cluster(
    world: World, kubeconfig: Path, tmp_path: Path
) -> None:
    booster = await world.put(MODEL_BOOSTER, booster_object("a", backend()))
    for child in as_kthena_made(booster):
        await world.create(RESOURCES[child["kind"]], child)
    items = [booster]
    for resource in RESOURCES.values():
        identity = {"apiVersion": resource.api_version, "kind": resource.kind}
        items += [{**identity, **obj} for obj in await world.list(resource)]
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    live = await check(kubeconfig, "-n", world.namespace, "-o", "json")
    read = await check(kubeconfig, str(path), "-o", "json")

    same = [json.loads(said.stdout)["modelBoosters"] for said in (live, read)]
    assert same[0] == same[1]


@pytest.mark.slow
async def test_the_way_back_to_kthenas_controller(of_kthena: tuple[ControlPlane, str]) -> None:
    """Moved in, and back: children stay the same objects, and what is lost was told before."""
    plane, release = of_kthena
    made = plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "back-"}})
    world = World(Admin(plane.api, made["metadata"]["name"]))
    definition = FOLDER / "boosters" / f"{release}.yaml"
    crds.install(plane.api, [crds.model_booster()])
    await world.create(MODEL_BOOSTER, booster_object("listed"))
    await world.create(MODEL_BOOSTER, booster_object("a", backend=backend(env=[]), owner="me"))
    async with running(plane.kubeconfig, world.namespace) as controller:
        for name in ("listed-b1", "a-b1"):
            await world.until(MODEL_SERVING, name)
        await until_idle(controller)
    # Our operator is gone. Nothing has gone with it.
    children = await uids(world)
    assert len(children) == 6
    stored = {o["metadata"]["name"]: o for o in await world.list(MODEL_BOOSTER)}

    said = await check(
        plane.kubeconfig, "-n", world.namespace, "--back", str(definition), "-o", "json"
    )
    assert (said.stderr, said.code) == ("", 1)
    told = {entry["name"]: entry for entry in json.loads(said.stdout)["modelBoosters"]}
    crds.install(plane.api, [crds.kthena_booster(release)])
    await world.until(MODEL_BOOSTER, "listed", lambda o: "backends" not in o.get("spec", {}))
    for name, before in stored.items():
        after = await world.until(MODEL_BOOSTER, name)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert sorted(gone(before["spec"], after.get("spec", {}), "spec")) == told[name]["lost"]
    assert told["listed"]["lost"] == ["spec.backends"]
    assert told["listed"]["required"] == ["spec.backend"]

    # kthena's controller finds each child by its name, writes it, and stays its owner.
    kthena_controller = KthenaController(world.admin, "a")
    kthena_controller.start()
    try:
        await world.until(
            MODEL_SERVING,
            "a-b1",
            lambda o: o["metadata"]["labels"][REVISION] == KTHENA_REVISION,
        )
        await world.until(
            MODEL_BOOSTER, "a", lambda o: o["status"]["conditions"][0]["reason"] == "ModelCreating"
        )
    finally:
        kthena_controller.stop()
    assert await uids(world) == children
    for name in stored:
        await world.delete(MODEL_BOOSTER, name)


async def uids(world: World) -> dict[tuple[str, str], str]:
    """The uid of every child."""
    return {
        (resource.kind, o["metadata"]["name"]): o["metadata"]["uid"]
        for resource in RESOURCES.values()
        for o in await world.list(resource)
    }


def gone(before: Any, after: Any, path: str) -> Iterator[str]:
    """Paths of the fields that an object no longer has."""
    if isinstance(before, dict):
        for name, value in before.items():
            if name in after:
                yield from gone(value, after[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(before, list):
        for position, value in enumerate(before):
            yield from gone(value, after[position], f"{path}[{position}]")
