"""What the controller makes of refusals, lost answers and a server that is not well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING
from app.values.meta import Object, Resource
from controller.controller import Controller
from controller.reconcile.events import EVENT
from tests import audit
from tests.builders import backend, booster_object, policy
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.following import eventually
from tests.proxy import Answer, Delay, Proxy, ResetAfterCommit, ResetBeforeCommit, Rule, Silence
from tests.world import World

pytestmark = pytest.mark.anyio

QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")
APPLY_FAILED = ("FFT", "ChildApplyFailed")


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(plane, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def controller(proxy: Proxy, namespace: str) -> AsyncIterator[Controller]:
    async with running(proxy.kubeconfig, namespace) as controller:
        yield controller


def refusal(code: int, reason: str, message: str, **details: object) -> Answer:
    """An answer of the API server itself."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }
    return Answer(code, body)


SCALED = backend(minReplicas=1, maxReplicas=2, autoscalingPolicy=policy())


async def warnings(world: World) -> list[str]:
    return [e["note"] for e in await world.list(EVENT) if e["type"] == "Warning"]


@pytest.mark.fault("F03")
async def test_status_is_written_after_a_change_that_the_watch_does_not_show(
    controller: Controller, world: World, proxy: Proxy, plane: ControlPlane
) -> None:
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await until_idle(controller)
    silent = proxy.add(Rule(Silence(), verb="watch", resource="modelboosters", times=None))
    proxy.hang_up()
    await eventually(lambda: silent.acted)
    await world.patch(MODEL_BOOSTER, "m", {"metadata": {"labels": {"team": "a"}}})
    since = await asyncio.to_thread(audit.now, plane)

    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))

    assert written(plane, world.namespace, since) == [
        "409 patch modelboosters/m/status",
        "200 patch modelboosters/m/status",
    ]


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    "fault", [ResetAfterCommit(), ResetBeforeCommit()], ids=["after", "before"]
)
@pytest.mark.parametrize("resource", CHILDREN, ids=lambda r: r.kind)
@pytest.mark.usefixtures("controller")
async def test_lost_response_costs_a_retry_and_no_duplicate(
    resource: Resource, fault: ResetAfterCommit | ResetBeforeCommit, world: World, proxy: Proxy
) -> None:
    rule = proxy.add(Rule(fault, verb="patch", resource=resource.plural))

    await world.put(MODEL_BOOSTER, booster_object("m", SCALED))

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert rule.acted == 1
    assert len(await world.list(resource)) == 1
    assert await warnings(world) == []


@pytest.mark.fault("F30")
@pytest.mark.parametrize(
    ("resource", "subresource"),
    [(MODEL_SERVING, None), (MODEL_ROUTE, None), (MODEL_BOOSTER, "status")],
    ids=["ModelServing", "ModelRoute", "status"],
)
@pytest.mark.usefixtures("controller")
@pytest.mark.slow
async def test_conflicts_do_not_count_as_failures(
    resource: Resource, subresource: str | None, world: World, proxy: Proxy
) -> None:
    conflict = refusal(409, "Conflict", "the object has been modified")
    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    rule = proxy.add(
        Rule(conflict, verb="patch", resource=resource.plural, subresource=subresource, times=4)
    )

    await world.put(MODEL_BOOSTER, booster_object("m", backend(schedulerName="x"), name="qwen"))

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
    assert rule.acted == 4
    assert await warnings(world) == []


@pytest.mark.fault("F08")
@pytest.mark.usefixtures("controller")
async def test_busy_server_is_retried(world: World, proxy: Proxy) -> None:
    busy = proxy.add(Rule(Answer(503), verb="patch", resource="modelroutes", times=3))

    await world.put(MODEL_BOOSTER, booster_object("m"))

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    assert busy.acted == 3
    assert await warnings(world) == []
    # What was made stood in for what the watch had not shown yet.
    assert proxy.count(verb="patch", resource="modelservings") == 1


@pytest.mark.fault("F08")
@pytest.mark.usefixtures("controller")
@pytest.mark.slow
async def test_permanently_busy_server_is_reported_until_it_recovers(
    world: World, proxy: Proxy
) -> None:
    proxy.add(Rule(Answer(503), verb="patch", resource="modelroutes", times=None))

    await world.put(MODEL_BOOSTER, booster_object("m"))

    await world.until(MODEL_BOOSTER, "m", is_in(("UUU", "StatusUnknown")))
    booster = await world.until(MODEL_BOOSTER, "m", is_in(APPLY_FAILED), seconds=60)
    assert condition(booster, "Failed")["message"].startswith('ModelRoute "m": ')
    proxy.clear()
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING), seconds=60)


@pytest.mark.fault("F09")
@pytest.mark.usefixtures("controller")
async def test_slow_pass_is_reported(world: World, proxy: Proxy) -> None:
    proxy.add(Rule(Delay(4), verb="patch", resource="modelroutes"))

    await world.put(MODEL_BOOSTER, booster_object("m"))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(("UUU", "Reconciling")))
    assert booster["status"]["observedGeneration"] == -1
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


REFUSALS = [
    pytest.param(
        refusal(403, "Forbidden", 'cannot patch resource "modelroutes"'), "Forbidden: ", id="403"
    ),
    pytest.param(refusal(422, "Invalid", "spec.x: Invalid value"), "Rejected: ", id="422"),
    pytest.param(
        refusal(500, "", "failed to create typed patch object (x): .spec.x: field not declared"),
        "Rejected: ",
        id="500 for a field that the schema lacks",
    ),
    pytest.param(Answer(404, "404 page not found\n"), "KindUnavailable: ", id="no such kind"),
]


@pytest.mark.fault("F32", "F33")
@pytest.mark.parametrize(("answer", "prefix"), REFUSALS)
async def test_rejected_child_is_named_and_the_others_are_created(
    answer: Answer, prefix: str, world: World, proxy: Proxy, controller: Controller
) -> None:
    refused = proxy.add(Rule(answer, verb="patch", resource="modelroutes", name="m", times=2))

    await world.put(MODEL_BOOSTER, booster_object("m"))

    booster = await world.until(MODEL_BOOSTER, "m", is_in(APPLY_FAILED))
    assert condition(booster, "Failed")["message"].startswith(f'{prefix}ModelRoute "m": ')
    await world.until(MODEL_SERVING, "m-b1")
    await world.until(MODEL_SERVER, "m-b1")
    if prefix == "Rejected: ":
        # The same would be refused again; another spec might not be.
        await world.serve(MODEL_SERVING, "m-b1")
        await world.put(MODEL_BOOSTER, booster_object("after"))
        await world.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
        await until_idle(controller)
        assert refused.acted == 1
        proxy.clear()
        await world.put(MODEL_BOOSTER, booster_object("m", name="qwen"))
        await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))
    else:
        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        assert refused.acted == 2


@pytest.mark.fault("F34")
async def test_terminating_namespace_gets_no_writes(
    controller: Controller, world: World, proxy: Proxy
) -> None:
    going = refusal(
        403,
        "Forbidden",
        "unable to create new content in namespace x because it is being terminated",
        causes=[{"reason": "NamespaceTerminating"}],
    )
    rule = proxy.add(Rule(going, verb="patch", times=None))

    await world.put(MODEL_BOOSTER, booster_object("m"))
    await world.until(MODEL_BOOSTER, "m")
    await until_idle(controller)
    while rule.acted < 1:  # the first answer ends the pass
        await until_idle(controller)

    assert rule.acted == 1
    assert await warnings(world) == []


@pytest.mark.fault("F32")
async def test_child_rejected_by_an_admission_policy(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    name = f"no-routes-{uuid4().hex[:8]}"
    await asyncio.to_thread(forbid, plane, name, world.namespace)
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))

        booster = await world.until(MODEL_BOOSTER, "m", is_in(APPLY_FAILED))

        message = condition(booster, "Failed")["message"]
        assert message.startswith('Rejected: ModelRoute "m": ')
        assert "no routes on Sundays" in message
        assert condition(booster, "Stalled")["status"] == "True"
        route = [line for line in written(plane, world.namespace) if "modelroutes" in line]
        assert len(route) == 1
    lift(plane, name)


@pytest.mark.fault("F35")
async def test_raised_quota_lets_the_child_be_created(
    kubeconfig: Path, world: World, plane: ControlPlane
) -> None:
    counted = f"count/{MODEL_ROUTE.plural}.{MODEL_ROUTE.group}"
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {counted: "0"}},
    }
    await world.put(QUOTA, quota)
    await world.until(QUOTA, "few", lambda o: o["status"]["used"][counted] == "0")
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m"))
        booster = await world.until(MODEL_BOOSTER, "m", is_in(APPLY_FAILED))
        assert condition(booster, "Failed")["message"].startswith('QuotaExceeded: ModelRoute "m"')

        await world.patch(QUOTA, "few", {"spec": {"hard": {counted: "1"}}})

        await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))


@pytest.mark.fault("F32")
@pytest.mark.usefixtures("controller")
async def test_new_spec_is_tried_at_once_after_a_failure(
    world: World, proxy: Proxy, plane: ControlPlane
) -> None:
    proxy.add(Rule(refusal(422, "Invalid", "bad"), verb="patch", resource="modelservers"))
    await world.put(MODEL_BOOSTER, booster_object("m", backend("a")))
    await world.until(MODEL_BOOSTER, "m", is_in(APPLY_FAILED))
    begun = audit.now(plane)

    await world.put(MODEL_BOOSTER, booster_object("m", backend("b")))

    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
    assert "200 delete modelservings/m-a" in written(plane, world.namespace, begun)


ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def forbid(plane: ControlPlane, name: str, namespace: str) -> None:
    """Lets the server itself refuse every ModelRoute of a namespace; returns when it does."""
    rule = {
        "apiGroups": [MODEL_ROUTE.group],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [MODEL_ROUTE.plural],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    refuse = {"expression": "false", "message": "no routes on Sundays", "reason": "Invalid"}
    plane.api.request(
        "POST",
        f"{ADMISSION}/validatingadmissionpolicies",
        {
            "metadata": {"name": name},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [refuse]},
        },
    )
    plane.api.request(
        "POST",
        f"{ADMISSION}/validatingadmissionpolicybindings",
        {
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": here},
            },
        },
    )
    probe = {
        "apiVersion": MODEL_ROUTE.api_version,
        "kind": MODEL_ROUTE.kind,
        "metadata": {"name": "probe"},
        "spec": {"modelName": "x", "rules": []},
    }
    while True:  # a new policy takes a moment
        try:
            plane.api.request("POST", MODEL_ROUTE.path(namespace), probe, params={"dryRun": "All"})
        except Refused as refused:
            if "Sundays" in refused.message:
                return


def lift(plane: ControlPlane, name: str) -> None:
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        plane.api.request("DELETE", f"{ADMISSION}/{kind}/{name}")
