"""The ModelRoute follows what is ready; the test plays the serving controller and the kubelet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.apis.kinds import (
    BACKEND_NAME,
    GROUP_NAME,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    MODEL_UID,
    ROLE,
    WORKLOAD,
)
from app.values.meta import Object, Resource, uid_of
from controller.reconcile.events import EVENT
from controller.status.pod_records import POD
from tests import audit
from tests.builders import backend, booster_object, disaggregated, lora, worker
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane.plane import ControlPlane
from tests.world import World

pytestmark = pytest.mark.anyio

QUICK = 0.2
"""Damping of tests that are not about damping, in seconds."""

ROUTE_WRITE = "200 patch modelroutes/m"

SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def weights(route: Object, rule: int = 0) -> str:
    """Returns the weights of a rule: ``a=95 b=5``."""
    targets = route["spec"]["rules"][rule]["targetModels"]
    return " ".join(f"{t['modelServerName'].removeprefix('m-')}={t['weight']}" for t in targets)


async def until_weights(world: World, want: str, rule: int = 0) -> Object:
    return await world.until(MODEL_ROUTE, "m", lambda route: weights(route, rule) == want)


async def down(world: World, name: str) -> None:
    await world.serve(MODEL_SERVING, f"m-{name}", "Progressing", 0)


async def up(world: World, *names: str) -> None:
    for name in names:
        await world.serve(MODEL_SERVING, f"m-{name}")


def messages(booster: Object) -> dict[str, str]:
    return {b["name"]: b.get("message", "") for b in booster["status"]["backendStatuses"]}


CANARY = (backend("stable", routeWeight=95), backend("next", routeWeight=5))
THREE = tuple(backend(name) for name in "abc")


async def test_two_backends_through_all_transitions(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m", *CANARY))
        await until_weights(world, "stable=95 next=5")  # nobody is ready: as written
        begun = audit.now(plane)
        await up(world, "stable")
        await until_weights(world, "stable=95 next=0")
        await up(world, "next")
        await until_weights(world, "stable=95 next=5")
        await down(world, "stable")
        await until_weights(world, "stable=0 next=5")
        await down(world, "next")
        await until_weights(world, "stable=95 next=5")
        await up(world, "next")
        await until_weights(world, "stable=0 next=5")
        await up(world, "stable")
        await until_weights(world, "stable=95 next=5")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    assert written(plane, world.namespace, begun).count(ROUTE_WRITE) == 6  # one for each change


async def test_three_backends_through_all_transitions(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    ready: set[str] = set()
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m", *THREE))
        await until_weights(world, "a=100 b=100 c=100")
        # A walk along the edges of a cube, which visits every state and each edge once or twice.
        for name in "abacabcbcacbabc":
            ready ^= {name}
            await (up if name in ready else down)(world, name)
            given = {n: 100 if n in ready or not ready else 0 for n in "abc"}
            await until_weights(world, " ".join(f"{n}={w}" for n, w in given.items()))


async def test_start_of_three_backends_together_costs_no_route_write(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", *THREE))
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await asyncio.gather(*(up(world, name) for name in "abc"))
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
    requests = written(plane, world.namespace)
    assert requests.count("201 patch modelroutes/m") == 1
    assert requests.count(ROUTE_WRITE) <= 1  # none, unless the machine is slow


@pytest.mark.slow
async def test_added_backend_gets_its_share_with_its_first_replica(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    stable, following = CANARY
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", stable))
        await up(world, "stable")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        begun = audit.now(plane)

        await world.put(MODEL_BOOSTER, booster_object("m", stable, following))

        await until_weights(world, "stable=95 next=0")
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda o: "next" in o["status"].get("traffic", "")
        )
        assert booster["status"]["traffic"] == "stable 100%, next 0% (5% wanted, no pod ready)"
        assert messages(booster)["next"].startswith(
            "5 % wanted, 0 % until its first pod is ready; "
        )
        await until_idle(controller)
        assert written(plane, world.namespace, begun).count(ROUTE_WRITE) == 1

        await up(world, "next")
        await until_weights(world, "stable=95 next=5")
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda o: o["status"]["traffic"] == "stable 95%, next 5%"
        )
        assert messages(booster) == {"stable": "", "next": ""}
        events = await world.until_listed(
            EVENT, lambda found: sum(e["reason"] == "TrafficShifted" for e in found) == 2
        )
        assert {e["note"] for e in events if e["reason"] == "TrafficShifted"} == {
            "requests go to: stable 100%, next 0% (5% wanted, no pod ready)",
            "requests go to: stable 95%, next 5%",
        }


async def test_backend_at_0_replicas_has_no_share(kubeconfig: Path, world: World) -> None:
    small, large = backend("small"), backend("large", replicas=0)
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m", small, large))
        await up(world, "small")
        await until_weights(world, "small=100 large=0")
        booster = await world.until(
            MODEL_BOOSTER,
            "m",
            lambda o: is_in(ACTIVE)(o) and "0 replicas" in o["status"]["traffic"],
        )
        assert messages(booster)["large"] == "50 % wanted, 0 % while it has 0 replicas"

        await world.put(MODEL_BOOSTER, booster_object("m", small, backend("large")))
        await world.until(MODEL_SERVING, "m-large", lambda o: o["spec"]["replicas"] == 1)
        await up(world, "large")
        await until_weights(world, "small=100 large=100")

        # Its replicas are still there when it goes to 0: it leaves the route at once.
        await world.put(MODEL_BOOSTER, booster_object("m", small, large))
        await until_weights(world, "small=100 large=0")


async def test_rolling_update_keeps_a_backend_with_a_replica(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    several = backend("a", replicas=3)
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", several, backend("b")))
        await up(world, "a", "b")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
        begun = audit.now(plane)
        for ready in (2, 2, 1, 2):
            await world.serve(MODEL_SERVING, "m-a", "UpdateInProgress", ready)
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await up(world, "a")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
        assert ROUTE_WRITE not in written(plane, world.namespace, begun)
        await world.serve(MODEL_SERVING, "m-b", "UpdateInProgress", 0)  # its only replica
        await until_weights(world, "a=100 b=0")


async def test_flapping_canary_costs_one_write(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace, route_ready_seconds=30) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", *CANARY))
        await up(world, "stable", "next")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
        begun = audit.now(plane)
        await down(world, "next")
        await until_weights(world, "stable=95 next=0")
        for _ in range(20):
            await up(world, "next")
            await down(world, "next")
        await until_idle(controller)
        assert written(plane, world.namespace, begun).count(ROUTE_WRITE) == 1


@pytest.mark.slow
async def test_churn_writes_at_most_once_per_change(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    """Ten minutes of the real damping, at a twentieth of its length."""
    changes = 0
    async with running(kubeconfig, world.namespace, route_ready_seconds=0.5) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", *THREE))
        await up(world, *"abc")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_idle(controller)
        begun = audit.now(plane)
        for step in range(30):
            name = "abc"[step % 3]
            await down(world, name)
            await asyncio.sleep(0.1 * (step % 10))  # some interruptions are shorter than the rest
            await up(world, name)
            changes += 2
        await until_weights(world, "a=100 b=100 c=100")
        await until_idle(controller)
        writes = written(plane, world.namespace, begun)
        assert writes.count(ROUTE_WRITE) <= changes
        assert {line for line in writes if "/status" not in line} <= {ROUTE_WRITE}


async def test_edited_weights_are_restored_while_a_backend_is_out(
    kubeconfig: Path, world: World
) -> None:
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", *CANARY))
        await up(world, "stable")
        route = await until_weights(world, "stable=95 next=0")
        (rule,) = route["spec"]["rules"]
        rule["targetModels"][1]["weight"] = 50
        await world.patch(MODEL_ROUTE, "m", {"spec": {"rules": [rule]}})
        await until_weights(world, "stable=95 next=0")

        # The share of the ModelBooster is edited meanwhile, and counts for the others at once.
        edited = (backend("stable", routeWeight=60), backend("next", routeWeight=40))
        await world.put(MODEL_BOOSTER, booster_object("m", *edited))
        await until_weights(world, "stable=60 next=0")


@pytest.mark.slow
async def test_restart_of_the_controller_writes_nothing(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", *CANARY))
        await up(world, "stable")
        await until_weights(world, "stable=95 next=0")
        await world.until(MODEL_BOOSTER, "m", lambda o: "next 0%" in o["status"].get("traffic", ""))
        await until_idle(controller)
    begun = audit.now(plane)
    async with running(kubeconfig, world.namespace) as controller:
        await until_idle(controller)
        await asyncio.sleep(1.5)  # longer than changes settle
        await until_idle(controller)
    assert written(plane, world.namespace, begun) == []


@pytest.mark.slow
async def test_adapter_without_a_backend_is_reported(kubeconfig: Path, world: World) -> None:
    both = (backend("a"), backend("b", loraAdapters=[lora("sql")]))
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK):
        await world.put(MODEL_BOOSTER, booster_object("m", *both))
        await up(world, "a")
        route = await until_weights(world, "a=100 b=0")
        assert weights(route, rule=1) == "b=100"
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda o: "sql" in condition(o, "Active")["message"]
        )
        assert condition(booster, "Active")["message"].endswith(
            'requests for adapter "sql" fail: the only backend with it, b, cannot answer now'
        )
        await up(world, "b")
        booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        assert "sql" not in condition(booster, "Active")["message"]


@pytest.mark.slow
async def test_pods_that_hang_have_no_share(kubeconfig: Path, world: World) -> None:
    """The serving controller does not notice a pod that runs on but is not ready; the router does.

    A replica of prefill and decode needs both.
    """
    await world.until(SERVICE_ACCOUNT, "default")
    async with running(kubeconfig, world.namespace, route_ready_seconds=QUICK):
        booster = await world.put(
            MODEL_BOOSTER, booster_object("m", backend("a"), disaggregated("pd"))
        )
        for role, of in (("leader", "a"), ("prefill", "pd"), ("decode", "pd")):
            labels = {
                MANAGED_BY: WORKLOAD,
                MODEL_UID: uid_of(booster),
                BACKEND_NAME: of,
                ROLE: role,
                GROUP_NAME: f"m-{of}-0",
            }
            spec = {"containers": [{"name": "engine", "image": "x:1"}]}
            await world.create(
                POD,
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": role, "labels": labels},
                    "spec": spec,
                },
            )
            await tell(world, role, is_ready=True)
        await up(world, "a", "pd")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
        await until_weights(world, "a=100 pd=100")

        await tell(world, "decode", is_ready=False)
        await until_weights(world, "a=100 pd=0")
        booster = await world.until(
            MODEL_BOOSTER, "m", lambda o: "no pair ready" in o["status"]["traffic"]
        )
        await tell(world, "decode", is_ready=True)
        await until_weights(world, "a=100 pd=100")
        await tell(world, "leader", is_ready=False)
        await until_weights(world, "a=0 pd=100")


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.slow
async def test_port_changes_with_the_first_new_replica(
    replicas: int, kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        await world.put(MODEL_BOOSTER, booster_object("m", backend("a", replicas=replicas)))
        await up(world, "a")
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))

        edited = backend("a", replicas=replicas, workers=[worker(config={"port": 9000})])
        await world.put(MODEL_BOOSTER, booster_object("m", edited))
        serving = await world.until(MODEL_SERVING, "m-a", lambda o: "9000" in str(o["spec"]))
        booster = await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
        assert condition(booster, "Active")["message"].endswith(
            'ModelServer "m-a" keeps workloadPort until the first replica with the new pod '
            "template is available"
        )

        async def report(updated: int, available: int) -> None:
            """Plays the serving controller: it replaces one replica at a time."""
            status = {
                "observedGeneration": serving["metadata"]["generation"],
                "replicas": replicas,
                "updatedReplicas": updated,
                "currentReplicas": replicas - updated,
                "availableReplicas": available,
                "conditions": [{**update, "status": "True"}],
            }
            await world.patch(MODEL_SERVING, "m-a", {"status": status}, subresource="status")

        update = {
            "type": "UpdateInProgress",
            "reason": "GroupsUpdating",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        await report(0, replicas - 1)
        await report(1, replicas - 1)
        await until_idle(controller)
        server = await world.until(MODEL_SERVER, "m-a")
        assert server["spec"]["workloadPort"]["port"] == 8000
        begun = audit.now(plane)

        await report(1, replicas)
        await world.until(MODEL_SERVER, "m-a", lambda o: o["spec"]["workloadPort"]["port"] == 9000)
        await up(world, "a")
        booster = await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))
        assert condition(booster, "Active")["message"] == "ModelBooster is ready"
        await until_idle(controller)
        writes = written(plane, world.namespace, begun)
        assert writes.count("200 patch modelservers/m-a") == 1

        await world.patch(MODEL_SERVER, "m-a", {"spec": {"workloadPort": {"port": 1}}})
        await world.until(MODEL_SERVER, "m-a", lambda o: o["spec"]["workloadPort"]["port"] == 9000)


async def tell(world: World, pod: str, *, is_ready: bool) -> None:
    """Plays the kubelet."""
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
    }
    await world.patch(POD, pod, {"status": status}, subresource="status")
