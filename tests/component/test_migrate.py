"""``model-booster migrate --check`` on the real API server, compared with what happens then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from tests.builders import backend, booster_object
from tests.commands import run
from tests.component.running import running, until_idle
from tests.conftest import Ran
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.kthena import kthena
from tests.upstream import RESOURCES, as_kthena_made
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
