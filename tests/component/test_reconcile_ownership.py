"""Whose a child is: what is left alone, what is waited for, and what is taken over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.apis.kinds import (
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
)
from app.kube import FIELD_MANAGER
from app.model.ownership import is_ours
from app.values.meta import Object, Resource, key_of, uid_of
from controller.controller import Controller
from controller.plan.fingerprints import ROLLOUT
from controller.plan.rollout import ALLOW
from tests import audit
from tests.builders import backend, booster_object, worker
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    asked,
    condition,
    is_in,
    running,
    state,
    until_idle,
    written,
)
from tests.controlplane.plane import ControlPlane
from tests.upstream import as_kthena_made
from tests.world import World

pytestmark = pytest.mark.anyio

CONFLICT = ("FFT", "ChildNameConflict")


@pytest.fixture
async def controller(kubeconfig: Path, namespace: str) -> AsyncIterator[Controller]:
    async with running(kubeconfig, namespace) as controller:
        yield controller


def made_by_hand(name: str = "m") -> Object:
    """A ModelRoute as a user writes one."""
    return {
        "apiVersion": MODEL_ROUTE.api_version,
        "kind": MODEL_ROUTE.kind,
        "metadata": {"name": name},
        "spec": {
            "modelName": "mine",
            "rules": [{"name": "mine", "targetModels": [{"modelServerName": "mine"}]}],
        },
    }


@pytest.mark.fault("F36")
@pytest.mark.usefixtures("controller")
async def test_foreign_object_with_our_name_is_left_alone(world: World) -> None:
    theirs = await world.put(MODEL_ROUTE, made_by_hand())

    await world.put(MODEL_BOOSTER, booster_object("m"))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(CONFLICT))
    assert 'ModelRoute "m" exists' in condition(booster, "Failed")["message"]
    await world.until(MODEL_SERVING, "m-b1")  # the others are made all the same
    assert await world.get(MODEL_ROUTE, "m") == theirs

    await world.delete(MODEL_ROUTE, "m")
    await world.until(MODEL_ROUTE, "m", lambda o: o["spec"]["modelName"] == "m")
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.fault("F36")
@pytest.mark.usefixtures("controller")
async def test_older_model_booster_keeps_a_shared_child_name(world: World) -> None:
    first = await world.put(MODEL_BOOSTER, booster_object("a", backend("b-c")))
    await world.until(MODEL_BOOSTER, "a", is_in(DEPLOYING))

    await world.put(MODEL_BOOSTER, booster_object("a-b", backend("c")))

    booster = await world.until(MODEL_BOOSTER, "a-b", is_in(CONFLICT))
    assert 'belongs to ModelBooster "a"' in condition(booster, "Failed")["message"]
    serving = await world.until(MODEL_SERVING, "a-b-c")
    assert is_ours(serving, uid_of(first))

    await world.delete(MODEL_BOOSTER, "a")
    second = await world.until(MODEL_BOOSTER, "a-b", is_in(DEPLOYING))
    serving = await world.until(MODEL_SERVING, "a-b-c")
    assert is_ours(serving, uid_of(second))


async def second_is_over(obj: Object) -> None:
    """Waits until the second is over in which an object was made: ages are told in seconds."""
    born = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    await asyncio.sleep((born + timedelta(seconds=1.1) - datetime.now(UTC)).total_seconds())


@pytest.mark.usefixtures("controller")
async def test_same_age_model_boosters_with_one_name_do_not_block_each_other(
    world: World,
) -> None:
    await asyncio.gather(
        world.put(MODEL_BOOSTER, booster_object("y", name="qwen")),
        world.put(MODEL_BOOSTER, booster_object("z", name="qwen")),
    )

    async def is_one_served(seconds: float) -> bool:
        found = [await world.until(MODEL_BOOSTER, n, state, seconds=seconds) for n in "yz"]
        return sorted(map(state, found)) == sorted([DEPLOYING, ("FFT", "ValidationFailed")])

    async with asyncio.timeout(30):
        while not await is_one_served(30):
            pass


@pytest.mark.usefixtures("controller")
async def test_older_model_booster_keeps_a_shared_model_name(world: World) -> None:
    await world.put(MODEL_BOOSTER, booster_object("z", name="qwen"))
    await world.until(MODEL_BOOSTER, "z", is_in(DEPLOYING))
    await second_is_over(await world.until(MODEL_BOOSTER, "z"))

    await world.put(MODEL_BOOSTER, booster_object("a", name="qwen"))

    booster = await world.until(MODEL_BOOSTER, "a", is_in(("FFT", "ValidationFailed")))
    assert 'spec.name: Duplicate value: "qwen"' in condition(booster, "Failed")["message"]
    assert await world.get(MODEL_ROUTE, "a") is None
    assert is_in(DEPLOYING)(await world.until(MODEL_BOOSTER, "z"))

    await world.delete(MODEL_BOOSTER, "z")
    await world.until(MODEL_BOOSTER, "a", is_in(DEPLOYING))


@pytest.mark.usefixtures("controller")
async def test_model_name_of_a_foreign_route_is_not_served(world: World) -> None:
    """The webhook may not know of it yet, or be away; a route that comes later changes nothing."""
    route = await world.put(MODEL_ROUTE, made_by_hand("by-hand"))
    await second_is_over(route)
    taken = route["spec"]["modelName"]

    booster = await world.put(MODEL_BOOSTER, booster_object("m", name=taken))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ValidationFailed")))
    said = f'already routed by ModelRoute "{world.namespace}/by-hand"'
    assert said in condition(booster, "Failed")["message"]
    assert await world.list(MODEL_SERVING) == []

    await world.delete(MODEL_ROUTE, "by-hand")
    booster = await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await second_is_over(booster)
    await world.put(MODEL_ROUTE, made_by_hand("by-hand"))
    await world.put(MODEL_BOOSTER, booster_object("later", name=taken))
    await world.until(MODEL_BOOSTER, "later", is_in(("FFT", "ValidationFailed")))
    assert is_in(DEPLOYING)(await world.until(MODEL_BOOSTER, "m"))


@pytest.mark.usefixtures("controller")
async def test_orphan_of_a_deleted_model_booster_is_not_adopted(world: World) -> None:
    orphan = made_by_hand()
    orphan["metadata"]["labels"] = {
        MANAGED_BY: "workload.serving.volcano.sh",
        MODEL_UID: "11111111-2222-4333-8444-555555555555",
    }
    orphan = await world.put(MODEL_ROUTE, orphan)

    await world.put(MODEL_BOOSTER, booster_object("m"))

    await world.until(MODEL_BOOSTER, "m", is_in(CONFLICT))
    assert await world.get(MODEL_ROUTE, "m") == orphan


@pytest.mark.fault("F39")
@pytest.mark.usefixtures("controller")
async def test_child_without_owner_and_label_is_released(world: World) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    route = await world.until(MODEL_ROUTE, "m")

    stray = deepcopy(route)
    del stray["metadata"]["labels"], stray["metadata"]["ownerReferences"]
    stray = await world.put(MODEL_ROUTE, stray)

    await world.until(MODEL_BOOSTER, "m", is_in(CONFLICT))
    assert await world.get(MODEL_ROUTE, "m") == stray


@pytest.mark.slow
async def test_unwanted_child_without_label_is_deleted(
    controller: Controller, world: World, plane: ControlPlane
) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("b")))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    # Nothing is deleted while something that is wanted cannot be made.
    await world.put(MODEL_SERVER, {**(await in_the_way(world)), "metadata": {"name": "m-c"}})
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a"), backend("c")))
    await world.until(MODEL_BOOSTER, "m", is_in(CONFLICT))

    await world.patch(MODEL_SERVING, "m-b", {"metadata": {"labels": None}})
    released = {"labels": None, "ownerReferences": None}
    await world.patch(MODEL_SERVER, "m-b", {"metadata": released})
    await until_idle(controller)
    begun = audit.now(plane)
    await world.delete(MODEL_SERVER, "m-c")

    await world.until_gone(MODEL_SERVING, "m-b")
    await until_idle(controller)
    assert await world.get(MODEL_SERVER, "m-b") is not None  # nobody's now, so nothing of ours
    looked = [line for line in asked(plane, world.namespace, begun) if " get " in line]
    looked = sorted(line for line in looked if line.endswith("/m-b"))
    assert looked == ["200 get modelservers/m-b", "200 get modelservings/m-b"]


async def in_the_way(world: World) -> Object:
    """A ModelServer that is none of ours."""
    server = await world.until(MODEL_SERVER, "m-a")
    return {key: server[key] for key in ("apiVersion", "kind", "spec")}


@pytest.mark.fault("F39")
@pytest.mark.usefixtures("controller")
async def test_child_given_to_another_owner_is_recreated(
    world: World,
) -> None:
    booster = await world.put(MODEL_BOOSTER, booster_object("m"))
    other = await world.put(MODEL_BOOSTER, booster_object("other"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await world.until(MODEL_BOOSTER, "other", is_in(DEPLOYING))
    route = await world.until(MODEL_ROUTE, "m")

    given = deepcopy(route)
    given["metadata"]["ownerReferences"][0] |= {"name": "other", "uid": uid_of(other)}
    await world.put(MODEL_ROUTE, given)

    # The other model has no use for it and deletes it; then the name is free.
    new = await world.until(MODEL_ROUTE, "m", lambda o: uid_of(o) != uid_of(route))
    assert is_ours(new, uid_of(booster))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.fault("F40")
@pytest.mark.usefixtures("controller")
async def test_terminating_child_of_a_deleted_model_booster_is_awaited(world: World) -> None:
    theirs = made_by_hand()
    theirs["metadata"] |= {
        "finalizers": ["example.com/mine"],  # so that the garbage collector cannot be too quick
        "labels": {MANAGED_BY: "workload.serving.volcano.sh"},
        "ownerReferences": [
            {
                "apiVersion": MODEL_BOOSTER.api_version,
                "kind": MODEL_BOOSTER.kind,
                "name": "m",
                "uid": "11111111-2222-4333-8444-555555555555",
                "controller": True,
            }
        ],
    }
    await world.put(MODEL_ROUTE, theirs)

    booster = await world.put(MODEL_BOOSTER, booster_object("m"))

    waiting = await world.until(MODEL_BOOSTER, "m", is_in(("UUU", "StatusUnknown")))
    assert condition(waiting, "Initialized")["reason"] == "RetryingTransientError"
    await world.until(MODEL_SERVING, "m-b1")

    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": None}})
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    route = await world.until(MODEL_ROUTE, "m")
    assert is_ours(route, uid_of(booster))


@pytest.mark.fault("F38")
@pytest.mark.slow
async def test_terminating_child_is_awaited_without_requests(
    controller: Controller, world: World, plane: ControlPlane
) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": ["example.com/mine"]}})
    await until_idle(controller)
    begun = audit.now(plane)

    await world.delete(MODEL_ROUTE, "m")
    # Something happens meanwhile, and is dealt with.
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    await until_idle(controller)
    assert written(plane, world.namespace, begun) == ["200 patch modelboosters/m/status"]
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": None}})

    await world.until(MODEL_ROUTE, "m", lambda o: "deletionTimestamp" not in o["metadata"])


async def test_children_of_kthenas_controller_are_taken_over(
    world: World, kubeconfig: Path
) -> None:
    booster = booster_object("m")
    booster["metadata"]["annotations"] = {ROLLOUT: ALLOW}
    booster = await world.put(MODEL_BOOSTER, booster)
    resources = {r.kind: r for r in (MODEL_SERVING, MODEL_SERVER, MODEL_ROUTE)}
    made = as_kthena_made(booster)
    uids = [uid_of(await world.put(resources[child["kind"]], child)) for child in made]

    async with running(kubeconfig, world.namespace):
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))

    for child, uid in zip(made, uids, strict=True):
        after = await world.until(resources[child["kind"]], key_of(child).name)
        assert uid_of(after) == uid
        assert REGISTRY_MANAGED_BY in after["metadata"]["labels"]
        assert after["metadata"]["ownerReferences"][0]["controller"] is True
        assert holders_of_spec(after) == {FIELD_MANAGER}
    serving, server, route = [
        await world.until(resources[child["kind"]], key_of(child).name) for child in made
    ]
    # The one thing that no server lets go of.
    assert serving["spec"]["template"]["gangPolicy"] == {"minRoleReplicas": {"leader": 1}}
    assert serving["spec"]["template"]["restartGracePeriodSeconds"] == 60
    assert "kvConnector" not in server["spec"]
    assert len(server["spec"]["workloadSelector"]["matchLabels"]) == 3
    assert "loraAdapters" not in route["spec"]


def holders_of_spec(obj: Object) -> set[str]:
    """The field managers that hold anything of an object's spec."""
    entries = obj["metadata"]["managedFields"]
    return {entry["manager"] for entry in entries if "f:spec" in entry["fieldsV1"]}


@pytest.mark.usefixtures("controller")
async def test_gang_policy_is_kept_or_the_serving_recreated(
    world: World,
) -> None:
    gang = backend(gangScheduling=True, workers=[worker(replicas=2)])
    await world.put(MODEL_BOOSTER, booster_object("m", gang))
    first = await world.until(MODEL_SERVING, "m-b1")
    assert first["spec"]["template"]["gangPolicy"] == {"minRoleReplicas": {"leader": 2}}

    await world.put(MODEL_BOOSTER, booster_object("m", backend(workers=[worker(replicas=2)])))
    after = await world.until(
        MODEL_SERVING, "m-b1", lambda o: o["spec"]["schedulerName"] != "volcano"
    )
    assert uid_of(after) == uid_of(first)
    assert "gangPolicy" in after["spec"]["template"]

    await world.put(MODEL_BOOSTER, booster_object("m", backend(workers=[worker(replicas=1)])))
    after = await world.until(MODEL_SERVING, "m-b1", lambda o: uid_of(o) != uid_of(first))
    assert "gangPolicy" not in after["spec"]["template"]


@pytest.mark.parametrize(
    "resource", [MODEL_SERVING, MODEL_SERVER, MODEL_ROUTE], ids=lambda r: r.kind
)
async def test_changes_while_stopped_are_reconciled_after_start(
    resource: Resource, world: World, kubeconfig: Path
) -> None:
    name = "m" if resource is MODEL_ROUTE else "m-b1"
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    before = await world.until(resource, name)
    await world.delete(resource, name)
    await world.put(MODEL_BOOSTER, booster_object("m", backend("b1"), backend("b2")))

    async with running(kubeconfig, world.namespace):
        await world.until(MODEL_SERVING, "m-b2")
        after = await world.until(resource, name)

    assert uid_of(after) != uid_of(before)
