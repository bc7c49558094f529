"""Models are downloaded to their cache ahead of the pods, by Jobs that the real controller runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import JOB, MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, NODE
from app.convert.options import Options
from app.values.meta import Object
from controller.controller import Controller
from tests import audit
from tests.builders import backend, booster_object
from tests.component.running import (
    ACTIVE,
    AGENT,
    DEPLOYING,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane.plane import ControlPlane
from tests.played_jobs import fail, finish, jobs_of, register_node
from tests.proxy import Answer, Proxy, Rule
from tests.world import PATIENCE_SECONDS, World

pytestmark = pytest.mark.anyio

EVERYWHERE = [{"operator": "Exists"}]
"""The nodes of the tests have no kubelet, so they are tainted as not ready."""


@pytest.fixture
async def controller(kubeconfig: Path, namespace: str) -> AsyncIterator[Controller]:
    async with running(kubeconfig, namespace, options=Options(cache_warmup=True)) as controller:
        yield controller


@pytest.fixture
async def nodes(world: World) -> AsyncIterator[tuple[str, str]]:
    """Two nodes with a label of this test."""
    first, second = (f"{world.namespace}-{number}" for number in (1, 2))
    for name in (first, second):
        await register_node(world, name, pool=world.namespace)
    yield first, second
    for node in await world.list(NODE, f"pool={world.namespace}"):
        await world.delete(NODE, node["metadata"]["name"])


def on_nodes(world: World, **fields: object) -> Object:
    """A ModelBooster whose model is downloaded to the nodes of the test."""
    warmup = {"nodeSelector": {"pool": world.namespace}, "tolerations": EVERYWHERE}
    given = {"cacheURI": "hostpath:///mnt/cache", "cacheWarmup": warmup, **fields}
    return booster_object("m", backend("b", **given))


def warmup_of(booster: Object) -> Object:
    found: Object = booster["status"]["backendStatuses"][0]["cacheWarmup"]
    return found


def waits(booster: Object) -> Any:
    return condition(booster, "Initialized")["reason"] == "WaitingForCache"


def has_failed(booster: Object) -> Any:
    return condition(booster, "Initialized")["reason"] == "CacheWarmupFailed"


@pytest.fixture
async def warm(controller: Controller, world: World, nodes: tuple[str, str]) -> Controller:
    """A controller that has warmed up two nodes and created the pods of the ModelBooster m."""
    await world.put(MODEL_BOOSTER, on_nodes(world))
    await finish(world, (await jobs_of(world, *nodes)).values())
    await world.serve(MODEL_SERVING, "m-b")
    booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    assert (warmup_of(booster)["desired"], warmup_of(booster)["ready"]) == (2, 2)
    await until_idle(controller)
    return controller


@pytest.mark.usefixtures("controller")
async def test_pods_are_created_once_every_node_has_the_model(
    world: World, nodes: tuple[str, str]
) -> None:
    booster = await world.put(MODEL_BOOSTER, on_nodes(world))

    jobs = await jobs_of(world, *nodes)
    booster = await world.until(
        MODEL_BOOSTER, "m", lambda b: waits(b) and warmup_of(b)["desired"] == 2
    )
    await world.until(MODEL_SERVER, "m-b")
    await world.until(MODEL_ROUTE, "m")

    owners = [job["metadata"]["ownerReferences"] for job in jobs.values()]
    assert [owner["uid"] for (owner,) in owners] == [booster["metadata"]["uid"]] * 2
    assert await world.get(MODEL_SERVING, "m-b") is None
    assert condition(booster, "Failed")["status"] == "False"
    assert condition(booster, "Active")["reason"] == "WaitingForCache"
    told = f"downloading to {nodes[0]}, {nodes[1]}"
    assert f"(0/2 done): {told}" in condition(booster, "Initialized")["message"]
    assert warmup_of(booster) == {"desired": 2, "ready": 0, "message": told}

    await finish(world, [jobs[nodes[0]]])
    assert await world.get(MODEL_SERVING, "m-b") is None
    await finish(world, [jobs[nodes[1]]])

    await world.until(MODEL_SERVING, "m-b")
    booster = await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert condition(booster, "Initialized")["reason"] == "ModelCreating"

    await world.delete(MODEL_BOOSTER, "m")
    await jobs_of(world)  # the garbage collector follows the owner reference


async def test_jobs_follow_the_nodes_and_are_repaired(
    warm: Controller, world: World, nodes: tuple[str, str], plane: ControlPlane
) -> None:
    begun, third = audit.now(plane), f"{world.namespace}-3"

    await register_node(world, third, pool=world.namespace)
    jobs = await jobs_of(world, *nodes, third)
    await finish(world, [jobs[third]])

    await world.delete(NODE, nodes[0])
    jobs = await jobs_of(world, nodes[1], third)

    await world.delete(JOB, jobs[third]["metadata"]["name"])
    uid = jobs[third]["metadata"]["uid"]
    await world.until(
        JOB, jobs[third]["metadata"]["name"], lambda job: job["metadata"]["uid"] != uid
    )
    await finish(world, [(await jobs_of(world, nodes[1], third))[third]])
    await until_idle(warm)
    # The ModelServing was not touched: its pods have the model already.
    assert [line for line in written(plane, world.namespace, begun) if "modelserving" in line] == []


async def test_a_new_revision_waits_until_it_is_in_the_cache(
    warm: Controller, world: World, nodes: tuple[str, str], plane: ControlPlane, kubeconfig: Path
) -> None:
    serving = await world.get(MODEL_SERVING, "m-b")
    old = await jobs_of(world, *nodes)

    env = [{"name": "HF_REVISION", "value": "v2"}]
    await world.put(MODEL_BOOSTER, on_nodes(world, env=env))
    booster = await world.until(MODEL_BOOSTER, "m", waits)
    jobs = await jobs_of(world, *nodes)

    assert not {job["metadata"]["uid"] for job in jobs.values()} & {
        job["metadata"]["uid"] for job in old.values()
    }
    kept = await world.get(MODEL_SERVING, "m-b")
    assert serving is not None
    assert kept is not None
    assert kept["spec"] == serving["spec"]
    assert condition(booster, "Initialized")["status"] == "True"
    assert condition(booster, "Active")["status"] == "True"  # the old pods go on serving

    await finish(world, jobs.values())
    await world.until(MODEL_SERVING, "m-b", lambda obj: obj["spec"] != serving["spec"])
    await world.serve(MODEL_SERVING, "m-b")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))
    await until_idle(warm)

    await world.put(MODEL_BOOSTER, on_nodes(world, env=env, cacheWarmup=None))
    await jobs_of(world)
    await world.until(
        MODEL_BOOSTER, "m", lambda b: "cacheWarmup" not in b["status"]["backendStatuses"][0]
    )
    await until_idle(warm)
    begun = audit.now(plane)
    options = Options(cache_warmup=True)
    async with running(kubeconfig, world.namespace, options=options) as restarted:
        await until_idle(restarted)
    assert written(plane, world.namespace, begun) == []
    listed = [
        request
        for request in audit.requests(plane, since=begun)
        if request.agent.startswith(AGENT) and request.resource in ("jobs", "nodes")
    ]
    assert listed == []  # no ModelBooster uses cacheWarmup now


@pytest.mark.slow
async def test_a_restart_writes_nothing(
    warm: Controller, world: World, plane: ControlPlane, kubeconfig: Path
) -> None:
    before = await world.get(MODEL_BOOSTER, "m")
    begun = audit.now(plane)

    def watched() -> bool:
        requests = audit.requests(plane, namespace=world.namespace, since=begun)
        return any((r.verb, r.resource) == ("watch", "jobs") for r in requests)

    options = Options(cache_warmup=True)
    async with running(kubeconfig, world.namespace, options=options) as second:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not watched():  # noqa: ASYNC110 - polls as ``World.until`` does
                await asyncio.sleep(0.1)
        await until_idle(second)

    assert written(plane, world.namespace, begun) == []
    assert await world.get(MODEL_BOOSTER, "m") == before


@pytest.mark.usefixtures("controller")
async def test_a_refused_token_is_told_and_holds_pods_until_the_user_decides(world: World) -> None:
    spec = {"cacheURI": "pvc://models", "cacheWarmup": {}}
    await world.put(MODEL_BOOSTER, booster_object("m", backend("b", **spec)))
    job = (await jobs_of(world, ""))[""]

    told = {
        "result": "failed",
        "reason": "Gated",
        "message": "owner/model is gated",
        "next": "accept the licence",
    }
    await fail(world, job, 77, told)
    booster = await world.until(MODEL_BOOSTER, "m", has_failed)

    assert warmup_of(booster)["failed"] == 1
    message = warmup_of(booster)["message"]
    assert "the download failed: owner/model is gated; accept the licence" in message
    assert f"kubectl delete job -n {world.namespace} {job['metadata']['name']}" in message
    assert "cacheWarmup.policy: Background" in condition(booster, "Initialized")["message"]
    assert await world.get(MODEL_SERVING, "m-b") is None

    spec["cacheWarmup"] = {"policy": "Background"}
    await world.put(MODEL_BOOSTER, booster_object("m", backend("b", **spec)))
    await world.until(MODEL_SERVING, "m-b")


async def test_missing_rights_are_told(proxy: Proxy, world: World) -> None:
    refusal = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "not you"}
    rule = proxy.add(Rule(Answer(403, refusal), verb="list", resource="jobs", times=None))
    options = Options(cache_warmup=True)
    async with running(proxy.kubeconfig, world.namespace, options=options):
        warmed = backend("b", cacheURI="pvc://models", cacheWarmup={})
        await world.put(MODEL_BOOSTER, booster_object("m", warmed))
        told = (
            "the jobs cannot be listed (403 Forbidden: not you); "
            "check cacheWarmup.enabled of the Helm chart"
        )
        await world.until(
            MODEL_BOOSTER, "m", lambda b: told in condition(b, "Initialized")["message"]
        )
        rule.times = 0
        await jobs_of(world, "")
