"""Another CustomResourceDefinition of ModelBooster comes and goes; no spec may be lost by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from app.apis.kinds import (
    BACKEND_NAME,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_SERVING,
    MODEL_UID,
    WORKLOAD,
)
from app.errors import Invalid
from app.kube import connect
from app.values.meta import Object, Resource, uid_of
from controller.controller import Controller
from controller.reconcile.events import EVENT
from controller.status.patch import status_patch
from controller.status.pod_records import POD
from tests import audit
from tests.builders import backend, booster_object, worker
from tests.component.running import DEPLOYING, is_in, running, until_idle, written
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.proxy import Answer, Proxy, Rule
from tests.world import PATIENCE_SECONDS, Admin, World

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RELEASES = ("v0.4.0", "v1.0.0")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")

TEXT = "<b> & 'c' \" \\ ünï \u2028 \x01\x08\x0c /~ \U0001f600 \ufffd"
"""Characters that JSON may write in several ways."""

NUMBERS = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1.5e-7, 1e-5, 1e21, 2.5e300, 123456789.125]


@pytest.fixture(scope="module")
def exchanged() -> Iterator[ControlPlane]:
    """A control plane whose definition of ModelBooster tests may exchange."""
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        yield plane


@pytest.fixture
def cluster(exchanged: ControlPlane) -> Iterator[World]:
    """A namespace there; our definition is back after the test."""
    made = exchanged.api.request(
        "POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-"}}
    )
    yield World(Admin(exchanged.api, made["metadata"]["name"]))
    crds.install(exchanged.api, [crds.model_booster()])


async def install(plane: ControlPlane, definition: Object) -> None:
    await asyncio.to_thread(crds.install, plane.api, [definition])


async def until_read(world: World, name: str, *, whole: bool) -> None:
    """Waits until the API server reads with our schema, or with another one."""
    await world.until(MODEL_BOOSTER, name, lambda o: ("modelName" in o.get("status", {})) is whole)


async def listed(world: World, resource: Resource = MODEL_BOOSTER) -> list[Object]:
    """Lists the objects of a kind, as soon as the server has prepared that after an exchange."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await world.list(resource)
            except Refused as exc:
                if exc.status != 429:
                    raise
            await asyncio.sleep(0.05)


async def until_ours(controller: Controller, *, ours: bool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while controller.schema.is_ours is not ours:  # noqa: ASYNC110 - polls as ``until`` does
            await asyncio.sleep(0.02)


def text_of(spec: Object) -> str:
    return json.dumps(spec, sort_keys=True)


def boosters() -> list[Object]:
    """ModelBoosters in both forms, and with values that can be written in several ways."""
    odd = {"served": {TEXT: TEXT, "numbers": NUMBERS, "nothing": [[], {}, False, "0"]}}
    return [
        booster_object("several", backend("a"), backend("b"), owner=TEXT),
        booster_object("single", backend=backend("c", env=[{"name": "A", "value": TEXT}])),
        booster_object("odd", backend("d", workers=[worker(config=odd)])),
    ]


def pod_of(booster: Object, name: str) -> Object:
    labels = {MANAGED_BY: WORKLOAD, MODEL_UID: uid_of(booster), BACKEND_NAME: "a"}
    containers = [{"name": "engine", "image": "x:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": containers},
    }


async def test_twenty_crd_replacements_lose_nothing(
    exchanged: ControlPlane, cluster: World
) -> None:
    await cluster.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}})
    specs: dict[str, Object] = {}
    made: dict[str, Object] = {}
    for obj in boosters():
        made[obj["metadata"]["name"]] = await cluster.create(MODEL_BOOSTER, obj)
        specs[obj["metadata"]["name"]] = obj["spec"]

    async def edit(number: int) -> None:
        for name in specs:
            specs[name] = {**specs[name], "name": f"{name}-{number}"}
            await cluster.patch(MODEL_BOOSTER, name, {"spec": {"name": f"{name}-{number}"}})

    async def disturb(number: int) -> None:
        """Wakes passes: a child that is edited, one that reports, a pod in trouble."""
        for serving in await listed(cluster, MODEL_SERVING):
            name = serving["metadata"]["name"]
            await cluster.patch(MODEL_SERVING, name, {"spec": {"replicas": 9}})
            await asyncio.to_thread(
                cluster.admin.serve, MODEL_SERVING, name, "Progressing", number % 2
            )
        pod = await cluster.create(POD, pod_of(made["several"], f"pod-{number}"))
        image = {"name": "engine", "image": "x:1", "imageID": "", "ready": False, "restartCount": 0}
        waits = {"waiting": {"reason": "ErrImagePull", "message": f"try {number}"}}
        told = {"phase": "Pending", "containerStatuses": [{**image, "state": waits}]}
        await cluster.patch(POD, pod["metadata"]["name"], {"status": told}, subresource="status")

    number = 0
    while number < 20:
        # Four exchanges for each controller; each second one begins while theirs is installed.
        async with running(exchanged.kubeconfig, cluster.namespace, poll_seconds=1) as controller:
            for _ in range(4):
                if number % 4:
                    await edit(number)
                await install(exchanged, crds.kthena_booster(RELEASES[number % 2]))
                await disturb(number)
                await until_read(cluster, "several", whole=False)
                await until_ours(controller, ours=False)
                await disturb(number + 100)
                number += 1
                if number % 4 == 0:
                    break
                await install(exchanged, crds.model_booster())
                await until_read(cluster, "several", whole=True)
        # A controller that remembers nothing, while theirs is installed.
        async with running(exchanged.kubeconfig, cluster.namespace, poll_seconds=1) as controller:
            await until_ours(controller, ours=False)
            await disturb(number + 200)
            await install(exchanged, crds.model_booster())
            await until_ours(controller, ours=True)
            for name, spec in specs.items():
                stored = await cluster.until(MODEL_BOOSTER, name, bool)
                assert text_of(stored["spec"]) == text_of(spec), (number, name)
                generation = stored["metadata"]["generation"]
                await cluster.until(MODEL_BOOSTER, name, is_in(DEPLOYING, generation))
            for serving in await listed(cluster, MODEL_SERVING):
                await cluster.until(
                    MODEL_SERVING,
                    serving["metadata"]["name"],
                    lambda o: o["spec"]["replicas"] == 1,
                )


@pytest.mark.parametrize("release", ["v0.1.0", *RELEASES])
async def test_children_stay_unchanged_while_the_crd_is_replaced(
    exchanged: ControlPlane, cluster: World, release: str
) -> None:
    async with running(exchanged.kubeconfig, cluster.namespace) as controller:
        spec = booster_object("m", backend=backend("c", routeWeight=7))["spec"]
        await cluster.create(MODEL_BOOSTER, booster_object("m", backend=spec["backend"]))
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await until_idle(controller)
        await install(exchanged, crds.kthena_booster(release))
        await until_read(cluster, "m", whole=False)
        await until_ours(controller, ours=False)
        since = audit.now(exchanged)

        await cluster.patch(MODEL_SERVING, "m-c", {"spec": {"replicas": 5}})
        fault = controller.schema.fault()
        assert fault is not None
        assert "helm upgrade" in fault
        told = await cluster.until_listed(
            EVENT, lambda events: any(e["reason"] == "SchemaReplaced" for e in events)
        )
        (event,) = [e for e in told if e["reason"] == "SchemaReplaced"]
        assert event["regarding"]["name"] == "m"
        assert "is not the one of model-booster" in event["note"]
        await until_idle(controller)
        assert written(exchanged, cluster.namespace, since) == []

        await install(exchanged, crds.model_booster())
        await cluster.until(MODEL_SERVING, "m-c", lambda o: o["spec"]["replicas"] == 1, seconds=10)
        assert controller.schema.fault() is None
        stored = await cluster.until(MODEL_BOOSTER, "m")
        assert text_of(stored["spec"]) == text_of(spec)
        assert stored["metadata"]["generation"] == 1


async def test_status_is_rejected_before_the_replacement_is_noticed(
    exchanged: ControlPlane, cluster: World
) -> None:
    """The write itself is safe: nothing else has told the controller yet."""
    for obj in boosters():
        await cluster.create(MODEL_BOOSTER, obj)
    read = {o["metadata"]["name"]: o for o in await listed(cluster)}
    status = {"observedGeneration": 1, "modelName": "x"}
    async with connect(str(exchanged.kubeconfig)) as kube:

        async def write(booster: Object, **how: bool) -> Object:
            key = (cluster.namespace, booster["metadata"]["name"])
            patch = status_patch(booster, status, **how)
            return await kube.json_patch(MODEL_BOOSTER, *key, patch, subresource="status")

        for release in ("v0.1.0", *RELEASES):
            await install(exchanged, crds.kthena_booster(release))
            await until_read(cluster, "odd", whole=False)
            pruned = await listed(cluster)
            for booster in (*read.values(), *pruned):
                for with_spec in (True, False):
                    with pytest.raises(Invalid):
                        await write(booster, with_spec=with_spec)
            await install(exchanged, crds.model_booster())
            await until_read(cluster, "odd", whole=True)
        for name, booster in read.items():
            after = await write(booster)
            assert text_of(after["spec"]) == text_of(booster["spec"]), name
            with pytest.raises(Invalid):  # a spec that differs in one value
                await write({**after, "spec": {**after["spec"], "owner": "somebody"}})


async def test_spec_change_without_generation_stops_reconciliation(
    exchanged: ControlPlane, cluster: World
) -> None:
    """Ours with one field less: what is read has the mark, and lacks the field."""
    edited = json.loads(json.dumps(crds.model_booster()))
    schema = edited["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["owner"]
    async with running(exchanged.kubeconfig, cluster.namespace, poll_seconds=600) as controller:
        await cluster.create(MODEL_BOOSTER, booster_object("m", owner="me"))
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await until_idle(controller)
        await install(exchanged, edited)
        await cluster.until(MODEL_BOOSTER, "m", lambda o: "owner" not in o["spec"])
        await cluster.patch(MODEL_BOOSTER, "m", {"metadata": {"labels": {"a": "b"}}})
        await until_ours(controller, ours=False)
        await install(exchanged, crds.model_booster())
        await until_ours(controller, ours=True)


async def test_rejected_status_is_retried_with_delay(
    plane: ControlPlane, proxy: Proxy, world: World
) -> None:
    """A precondition that fails though our definition is installed only delays the status."""
    proxy.add(Rule(Answer(422), verb="patch", resource="modelboosters", times=1))
    async with running(proxy.kubeconfig, world.namespace) as controller:
        await world.create(MODEL_BOOSTER, booster_object("m"))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        assert controller.schema.is_ours
    tries = proxy.count(verb="patch", resource="modelboosters")
    assert tries == 2
