"""The way from a ModelBooster to a model that serves, on the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from app.convert.options import Options
from app.values.meta import Object
from controller.controller import Controller
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from controller.reconcile.events import EVENT
from tests import audit
from tests.builders import backend, booster_object, lora, policy, worker
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    asked,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane.plane import ControlPlane
from tests.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def controller(kubeconfig: Path, namespace: str) -> AsyncIterator[Controller]:
    async with running(kubeconfig, namespace) as controller:
        yield controller


@pytest.fixture
async def active(controller: Controller, world: World) -> Controller:
    """A controller that has brought the ModelBooster m, with backends a and b, to Active."""
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))  # else one Event may tell of both
    await world.serve(MODEL_SERVING, "m-a")
    await world.serve(MODEL_SERVING, "m-b")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    await until_idle(controller)
    return controller


@pytest.mark.usefixtures("controller")
async def test_a_new_model_becomes_active_in_five_writes(world: World, plane: ControlPlane) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await world.serve(MODEL_SERVING, "m-b1", "Progressing")
    await world.serve(MODEL_SERVING, "m-b1")

    booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))

    status = booster["status"]
    assert status["observedGeneration"] == 1
    assert status["modelName"] == "m"
    kinds = ["Initialized", "Active", "Failed", "Ready"]
    assert [c["type"] for c in status["conditions"]] == kinds
    assert status["backendStatuses"] == [
        {
            "name": "b1",
            "modelServing": "m-b1",
            "replicas": 1,
            "readyReplicas": 1,
            "ready": True,
        }
    ]
    assert sorted(written(plane, world.namespace)) == [
        "200 patch modelboosters/m/status",
        "200 patch modelboosters/m/status",
        "201 patch modelroutes/m",
        "201 patch modelservers/m-b1",
        "201 patch modelservings/m-b1",
    ]
    assert [line for line in asked(plane, world.namespace) if " get " in line] == []


@pytest.mark.slow
async def test_restart_writes_nothing(
    active: Controller, world: World, plane: ControlPlane, kubeconfig: Path
) -> None:
    before = await world.get(MODEL_BOOSTER, "m")
    begun = audit.now(plane)

    async with running(kubeconfig, world.namespace) as second:
        await until_idle(second)

    assert written(plane, world.namespace, begun) == []
    assert await world.get(MODEL_BOOSTER, "m") == before


@pytest.mark.fault("F47")
@pytest.mark.slow
async def test_restart_with_other_images_updates_the_servings_once_allowed(
    world: World, plane: ControlPlane, kubeconfig: Path
) -> None:
    async def writes_with(image: str) -> list[str]:
        begun = audit.now(plane)
        options = Options(downloader_image=image)
        async with running(kubeconfig, world.namespace, options=options) as controller:
            await until_idle(controller)
            await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        return written(plane, world.namespace, begun)

    await world.put(MODEL_BOOSTER, booster_object("m"))
    await writes_with("one:1")

    assert await writes_with("one:1") == []
    assert await writes_with("two:2") == ["200 patch modelboosters/m/status"]  # it is held
    assert await writes_with("two:2") == []
    await world.patch(MODEL_BOOSTER, "m", {"metadata": {"annotations": {ROLLOUT: ALLOW}}})
    assert "200 patch modelservings/m-b1" in await writes_with("two:2")
    assert await writes_with("two:2") == []
    serving = await world.until(MODEL_SERVING, "m-b1")
    (role,) = serving["spec"]["template"]["roles"]
    (downloader,) = role["entryTemplate"]["spec"]["initContainers"]
    assert downloader["image"] == "two:2"


async def test_edit_costs_its_changes_and_two_status_writes(
    active: Controller, world: World, plane: ControlPlane
) -> None:
    begun = audit.now(plane)
    edited = backend("a", workers=[worker(image="other:1")])
    await world.put(MODEL_BOOSTER, booster_object("m", edited, backend("b")))

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
    # What the status says of the old pods does not count for the new ones.
    serving = await world.until(MODEL_SERVING, "m-a")
    assert condition(serving, "Available")["status"] == "True"
    roles = serving["spec"]["template"]["roles"]
    assert roles[0]["entryTemplate"]["spec"]["containers"][-1]["image"] == "other:1"
    await world.serve(MODEL_SERVING, "m-a")
    booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))

    assert booster["status"]["observedGeneration"] == 2
    assert written(plane, world.namespace, begun) == [
        "200 patch modelservings/m-a",
        "200 patch modelboosters/m/status",
        "200 patch modelboosters/m/status",
    ]


@pytest.mark.fault("F42")
@pytest.mark.usefixtures("active")
async def test_children_of_a_removed_backend_are_deleted(world: World, plane: ControlPlane) -> None:
    begun = audit.now(plane)

    await world.put(MODEL_BOOSTER, booster_object("m", backend("b")))

    await world.until_gone(MODEL_SERVING, "m-a")
    await world.until_gone(MODEL_SERVER, "m-a")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))
    route = await world.until(MODEL_ROUTE, "m")
    targets = route["spec"]["rules"][0]["targetModels"]
    assert [target["modelServerName"] for target in targets] == ["m-b"]
    writes = written(plane, world.namespace, begun)
    # First the route leaves them out, then they go.
    assert writes[0] == "200 patch modelroutes/m"
    assert sorted(writes[1:]) == [
        "200 delete modelservers/m-a",
        "200 delete modelservings/m-a",
        "200 patch modelboosters/m/status",
    ]


@pytest.mark.fault("F42")
@pytest.mark.usefixtures("active")
async def test_renamed_backend_gets_new_children(world: World) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("c")))

    await world.until(MODEL_SERVING, "m-c")
    await world.until_gone(MODEL_SERVING, "m-b")
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))


@pytest.mark.usefixtures("active")
async def test_changed_model_name_replaces_only_the_route(
    world: World, plane: ControlPlane
) -> None:
    old = await world.until(MODEL_ROUTE, "m")
    begun = audit.now(plane)

    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b"), name="qwen"))

    new = await world.until(MODEL_ROUTE, "m", lambda o: o["spec"]["modelName"] == "qwen")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))
    assert booster["status"]["modelName"] == "qwen"
    assert written(plane, world.namespace, begun) == [
        "200 delete modelroutes/m",
        "201 patch modelroutes/m",
        "200 patch modelboosters/m/status",
    ]


@pytest.mark.usefixtures("controller")
async def test_policy_is_added_and_removed(world: World) -> None:
    scaled = backend("a", minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
    await world.put(MODEL_BOOSTER, booster_object("m", scaled))
    await world.until(AUTOSCALING_POLICY, "m-a")
    await world.until(AUTOSCALING_POLICY_BINDING, "m-a")

    await world.put(MODEL_BOOSTER, booster_object("m", backend("a")))

    await world.until_gone(AUTOSCALING_POLICY, "m-a")
    await world.until_gone(AUTOSCALING_POLICY_BINDING, "m-a")


@pytest.mark.usefixtures("active")
async def test_active_is_false_while_a_backend_is_unavailable(
    world: World,
) -> None:
    await world.serve(MODEL_SERVING, "m-a", "Progressing")

    booster = await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert condition(booster, "Active")["message"] == "1/2 backends ready; not ready: a"
    assert [b["ready"] for b in booster["status"]["backendStatuses"]] == [False, True]

    await world.serve(MODEL_SERVING, "m-a")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


@pytest.mark.usefixtures("active")
async def test_deleted_serving_is_not_ready_until_recreated(world: World) -> None:
    await world.delete(MODEL_SERVING, "m-a")

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await world.serve(MODEL_SERVING, "m-a")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


@pytest.mark.usefixtures("controller")
async def test_no_replicas_are_scaled_to_zero_at_once(world: World, plane: ControlPlane) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m", backend(replicas=0)))

    await world.until(MODEL_BOOSTER, "m", is_in(("TTF", "ScaledToZero")))
    statuses = [line for line in written(plane, world.namespace) if "status" in line]
    assert len(statuses) == 1


@pytest.mark.fault("F46")
@pytest.mark.usefixtures("active")
async def test_invalid_object_is_not_reconciled_and_its_children_stay(
    world: World, plane: ControlPlane
) -> None:
    broken = backend("a", loraAdapters=[lora("m")], workers=[worker(image="other:1")])
    begun = audit.now(plane)

    await world.put(MODEL_BOOSTER, booster_object("m", broken, backend("c")))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ValidationFailed")))
    failed, stalled = condition(booster, "Failed"), condition(booster, "Stalled")
    assert failed["message"].startswith("spec.backends[0].loraAdapters[0].name: Invalid value")
    assert (stalled["status"], stalled["message"]) == ("True", failed["message"])
    assert booster["status"]["observedGeneration"] == 2
    assert written(plane, world.namespace, begun) == ["200 patch modelboosters/m/status"]

    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
    booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 3))
    assert "Stalled" not in [c["type"] for c in booster["status"]["conditions"]]


async def test_disallowed_host_path_leaves_running_children_alone(
    world: World, plane: ControlPlane, kubeconfig: Path
) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m", backend(cacheURI="hostpath:///opt/models")))
    every = Options(host_path_prefixes=("/",))
    async with running(kubeconfig, world.namespace, options=every):
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    before = await world.until(MODEL_SERVING, "m-b1")
    begun = audit.now(plane)

    async with running(kubeconfig, world.namespace):
        booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ValidationFailed")))

    message = condition(booster, "Failed")["message"]
    assert "/opt/models is not below /cache, /data" in message
    assert "kthena.hostPathPrefixes" in message
    assert "MODELBOOSTER_HOST_PATH_PREFIXES" in message
    assert await world.get(MODEL_SERVING, "m-b1") == before
    assert written(plane, world.namespace, begun) == ["200 patch modelboosters/m/status"]
    allowed = Options(host_path_prefixes=("/opt/models",))
    async with running(kubeconfig, world.namespace, options=allowed):
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.usefixtures("controller")
async def test_unsupported_type_fails_and_is_named(world: World) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m", backend("s", type="MindIE")))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "UnsupportedBackendType")))
    assert "MindIE" in condition(booster, "Failed")["message"]
    assert await world.list(MODEL_ROUTE) == []


@pytest.mark.usefixtures("controller")
async def test_other_backends_work_next_to_an_unsupported_type(world: World) -> None:
    sglang = backend("s", type="MindIE")
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), sglang))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(("TFT", "UnsupportedBackendType")))
    assert condition(booster, "Failed")["reason"] == "UnsupportedBackendType"
    assert "s (MindIE)" in condition(booster, "Failed")["message"]
    route = await world.until(MODEL_ROUTE, "m")
    assert len(route["spec"]["rules"][0]["targetModels"]) == 1


@pytest.mark.usefixtures("active")
async def test_deleted_model_booster_needs_no_write(world: World, plane: ControlPlane) -> None:
    begun = audit.now(plane)

    await world.delete(MODEL_BOOSTER, "m")

    for resource, name in ((MODEL_SERVING, "m-a"), (MODEL_SERVER, "m-b"), (MODEL_ROUTE, "m")):
        await world.until_gone(resource, name)
    assert written(plane, world.namespace, begun) == []


@pytest.mark.fault("F41")
@pytest.mark.usefixtures("active")
async def test_foreground_deletion_creates_no_children(world: World, plane: ControlPlane) -> None:
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": ["example.com/mine"]}})
    begun = audit.now(plane)

    await world.delete(MODEL_BOOSTER, "m", propagation="Foreground")
    await world.until_gone(MODEL_SERVING, "m-a")
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": None}})

    await world.until_gone(MODEL_BOOSTER, "m")
    assert written(plane, world.namespace, begun) == []


@pytest.mark.fault("F40")
@pytest.mark.usefixtures("active")
async def test_recreated_model_booster_gets_new_children(world: World) -> None:
    old = await world.until(MODEL_SERVING, "m-a")
    await world.patch(MODEL_SERVING, "m-a", {"metadata": {"finalizers": ["example.com/mine"]}})

    await world.delete(MODEL_BOOSTER, "m")
    await world.until_gone(MODEL_BOOSTER, "m")
    again = await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
    uid = again["metadata"]["uid"]

    def belongs_to_it(obj: Object) -> bool:
        return bool(obj["metadata"]["ownerReferences"][0]["uid"] == uid)

    await world.until(MODEL_SERVING, "m-b", belongs_to_it)
    booster = await world.until(MODEL_BOOSTER, "m", is_in(("UUU", "StatusUnknown")))
    assert 'ModelServing "m-a"' in condition(booster, "Initialized")["message"]
    await world.patch(MODEL_SERVING, "m-a", {"metadata": {"finalizers": None}})

    new = await world.until(MODEL_SERVING, "m-a", belongs_to_it)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.usefixtures("active")
async def test_events_describe_the_changes(world: World) -> None:
    def reasons(events: list[Object]) -> list[tuple[str, str]]:
        return sorted((e["reason"], e["type"]) for e in events)

    wanted = [("ChildrenCreated", "Normal"), ("ModelAvailable", "Normal")]
    events = await world.until_listed(EVENT, lambda events: reasons(events) == wanted)

    made = next(e for e in events if e["reason"] == "ChildrenCreated")
    assert made["regarding"]["name"] == "m"
    assert 'ModelServing "m-a"' in made["note"]

    await world.put(MODEL_BOOSTER, booster_object("m", backend("a", loraAdapters=[lora("m")])))
    wanted.append(("ValidationFailed", "Warning"))
    await world.until_listed(EVENT, lambda events: reasons(events) == wanted)
