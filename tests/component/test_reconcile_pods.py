"""What the status says of pods, on the real API server; the test plays the kubelet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import (
    BACKEND_NAME,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_SERVING,
    MODEL_UID,
    WORKLOAD,
)
from app.kube import connect
from app.metrics import Metrics
from app.values.meta import Key, Object, Resource, uid_of
from controller.cluster.informer_set import InformerSet
from controller.status.pod_records import POD
from controller.status.podless import PODLESS_SECONDS
from modelbooster.parts.controller import ControllerPart, leadership_of
from modelbooster.settings import Settings
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
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.proxy import Answer, Proxy, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")

SOON_SECONDS = 60
"""Details wait for company up to 10 s; the rest is for a busy machine. Without news they would be
told with the next full listing, hours later."""

RUNS: Object = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def status(*containers: Object, init: tuple[Object, ...] = (), **fields: Any) -> Object:
    return {
        "phase": "Pending",
        "initContainerStatuses": [*init],
        "containerStatuses": [*containers],
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        **fields,
    }


def container(name: str, state: Object, restarts: int = 0, **last: Object) -> Object:
    base = {"name": name, "image": "x:1", "imageID": "", "ready": False, "restartCount": restarts}
    return {**base, "state": state, "lastState": last}


def crashed(code: int, reason: str, message: str = "", restarts: int = 3) -> Object:
    ended = {"exitCode": code, "reason": reason, "message": message}
    pause = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off {restarts}0s"}}
    return container("engine", pause, restarts, terminated=ended)


TROUBLES: dict[str, tuple[Object, str]] = {
    "image": (
        status(container("engine", {"waiting": {"reason": "ErrImagePull", "message": "gone"}})),
        'image "x:1" of engine cannot be pulled: gone;',
    ),
    "crash": (
        status(crashed(1, "Error", "no GPU"), phase="Running"),
        "engine keeps ending with exit code 1: no GPU; see kubectl logs -n ",
    ),
    "memory": (status(crashed(137, "OOMKilled")), "engine ran out of memory (OOMKilled); raise "),
    "source": (
        status(
            init=(
                container(
                    "model-downloader",
                    {"terminated": {"exitCode": 1, "reason": "Error", "message": "401"}},
                ),
            )
        ),
        "model-downloader could not fetch hf://owner/model, it ended with exit code 1: 401; ",
    ),
    "room": (
        status(
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
                }
            ]
        ),
        "it cannot be scheduled: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu; ",
    ),
}
WELL = status(container("engine", RUNS), container("runtime", RUNS), phase="Running")


def messages(booster: Object) -> dict[str, str]:
    return {b["name"]: b.get("message", "") for b in booster["status"]["backendStatuses"]}


async def start(world: World, serving: str) -> str:
    """Makes the first pod of a ModelServing, as the serving controller does; returns its name."""
    await world.until(SERVICE_ACCOUNT, "default")
    role = (await world.until(MODEL_SERVING, serving))["spec"]["template"]["roles"][0]
    template, name = role["entryTemplate"], f"{serving}-0-{role['name']}-0-0"
    labels = template["metadata"]["labels"]
    metadata = {"name": name, "labels": labels}
    await world.create(
        POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    )
    return name


async def tell(world: World, pod: str, told: Object) -> None:
    """Plays the kubelet."""
    await world.patch(POD, pod, {"status": told}, subresource="status")


def pod_object(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "engine", "image": "x:1"}]},
    }


def our_pod(name: str, uid: str, backend: str = "b1") -> Object:
    labels = {MANAGED_BY: WORKLOAD, MODEL_UID: uid, BACKEND_NAME: backend}
    return pod_object(name, **labels)


@pytest.mark.slow
async def test_status_reports_pod_problems_until_they_end(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", *map(backend, TROUBLES)))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        for name in TROUBLES:
            await world.serve(MODEL_SERVING, f"m-{name}", "Progressing")
        counted = dict.fromkeys(TROUBLES, "0/1 replicas ready")
        before = await world.until(
            MODEL_BOOSTER, "m", lambda o: messages(o) == counted, seconds=SOON_SECONDS
        )
        begun = await asyncio.to_thread(audit.now, plane)
        pods = {name: await start(world, f"m-{name}") for name in TROUBLES}
        for foreign in (our_pod("a", "another-uid", "crash"), pod_object("a-b", app="x")):
            await world.create(POD, foreign)
            await tell(world, foreign["metadata"]["name"], TROUBLES["crash"][0])

        for name, (told, _) in TROUBLES.items():
            await tell(world, pods[name], told)

        wanted = {
            name: f"0/1 replicas ready; pod {pods[name]}: {want}"
            for name, (_, want) in TROUBLES.items()
        }
        after = await world.until(
            MODEL_BOOSTER,
            "m",
            lambda o: all(messages(o)[name].startswith(want) for name, want in wanted.items()),
            seconds=SOON_SECONDS,
        )
        assert condition(after, "Active") == condition(before, "Active")
        writes = written(plane, world.namespace, begun)
        assert set(writes) == {"200 patch modelboosters/m/status"}
        assert len(writes) <= 2  # they wait for each other

        restarted = await asyncio.to_thread(audit.now, plane)
        async with running(kubeconfig, world.namespace) as second:
            await until_idle(second)
        assert written(plane, world.namespace, restarted) == []

        for pod in pods.values():
            await tell(world, pod, WELL)
        await world.until(
            MODEL_BOOSTER, "m", lambda o: messages(o) == counted, seconds=SOON_SECONDS
        )


@pytest.mark.slow
async def test_ready_backend_reports_no_pod_problems(kubeconfig: Path, world: World) -> None:
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        pod = await start(world, "m-b1")
        await tell(world, pod, TROUBLES["memory"][0])
        await world.until(
            MODEL_BOOSTER, "m", lambda o: "OOMKilled" in messages(o)["b1"], seconds=SOON_SECONDS
        )

        await world.serve(MODEL_SERVING, "m-b1")

        booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        assert messages(booster) == {"b1": ""}


async def test_only_new_problems_of_own_pods_queue_a_delayed_pass(
    kubeconfig: Path, world: World
) -> None:
    """Of nine changes of our pod and many of others three are news: the first is that it exists."""
    woken: list[tuple[Key, bool]] = []
    something = asyncio.Event()

    def wake(key: Key, can_wait: bool) -> None:
        woken.append((key, can_wait))
        something.set()

    async def until_woken(times: int) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            while len(woken) < times:
                something.clear()
                await something.wait()

    key = Key(world.namespace, "m")
    await world.until(SERVICE_ACCOUNT, "default")
    booster = await world.put(MODEL_BOOSTER, booster_object("m"))
    async with connect(str(kubeconfig)) as kube:
        informers = InformerSet(kube, wake, (world.namespace,))
        running = asyncio.create_task(informers.run())
        await until_woken(1)  # for the ModelBooster itself
        async with asyncio.timeout(SOON_SECONDS):
            await informers.wait_for_pods()
        foreign = [
            our_pod("of-a-deleted-one", "another-uid"),
            pod_object("unlabelled"),
            pod_object("nobodys", **{MANAGED_BY: WORKLOAD}),
        ]
        for obj in (*foreign, our_pod("ours", uid_of(booster))):
            await world.create(POD, obj)
        for obj in foreign:
            await tell(world, obj["metadata"]["name"], status(crashed(1, "Error")))

        for restarts in (2, 3, 4, 5):
            await tell(world, "ours", status(crashed(1, "Error", restarts=restarts)))
            again = crashed(1, "Error", restarts=restarts)
            await tell(world, "ours", status({**again, "state": RUNS}))
        await tell(world, "ours", status(container("engine", RUNS)))

        await until_woken(4)
        assert woken[1:] == [(key, True)] * 3
        held = [record["metadata"]["name"] for record in informers.cache.pods(booster)]
        assert held == ["ours"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def asked_of_pods(plane: ControlPlane, namespace: str) -> set[str]:
    return {
        f"{request.verb} {MANAGED_BY.partition('/')[2] in request.uri}"
        for request in audit.requests(plane, namespace=namespace)
        if request.agent.startswith(AGENT) and request.resource == "pods"
    }


@pytest.mark.parametrize(
    ("watch_pods", "want"),
    [
        pytest.param(True, {"watch True"}, id="on: by our label only"),
        pytest.param(False, set(), id="off: nothing at all"),
    ],
)
async def test_pod_setting_controls_pod_requests(
    watch_pods: bool, want: set[str], kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    """The controller as a process runs it, with the setting as it is read."""
    metrics, stopping = Metrics("test"), asyncio.Event()
    settings = Settings(watch_pods=watch_pods, namespaces=(world.namespace,), leader_election=False)
    async with connect(str(kubeconfig)) as kube:
        part = ControllerPart(kube, settings, metrics, leadership_of(settings, metrics))
        running = asyncio.create_task(part.run(stopping))
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await tell(world, await start(world, "m-b1"), TROUBLES["crash"][0])
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        stopping.set()
        await running
    assert asked_of_pods(plane, world.namespace) - {"list True"} == want


async def test_missing_pod_permission_is_tolerated(proxy: Proxy, world: World) -> None:
    refused = proxy.add(Rule(Answer(403), resource="pods", times=None))
    async with running(proxy.kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        await world.serve(MODEL_SERVING, "m-b1")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    assert refused.acted


@pytest.mark.slow
async def test_no_pods_at_all_is_reported_with_where_to_look(
    kubeconfig: Path, world: World
) -> None:
    """A quota that counts limits refuses each pod: a container of it has none."""
    quota = Resource("", "v1", "resourcequotas", "ResourceQuota")
    hard = {"limits.cpu": "64", "limits.memory": "256Gi"}
    await world.create(
        quota,
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits"}}
        | {"spec": {"hard": hard}},
    )
    await world.patch(quota, "limits", {"status": {"hard": hard}}, subresource="status")
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        with pytest.raises(Refused, match="must specify limits"):
            await start(world, "m-b1")
        # The serving controller fails before it writes a status.
        told = await world.until(
            MODEL_BOOSTER,
            "m",
            lambda o: "no pod has been created" in messages(o)["b1"],
            seconds=PODLESS_SECONDS + SOON_SECONDS,
        )
        assert f"kubectl describe modelserving,quota -n {world.namespace}" in messages(told)["b1"]

        await world.delete(quota, "limits")
        await start(world, "m-b1")
        await world.until(
            MODEL_BOOSTER,
            "m",
            lambda o: "no pod has been created" not in messages(o)["b1"],
            seconds=SOON_SECONDS,
        )
