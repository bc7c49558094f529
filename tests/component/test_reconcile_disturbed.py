"""Whatever can be done to a model that serves, while the controller looks and while it does not.

The first table has one line for each disturbance. The second part edits every single field that
we send, of every kind of child; the fields are those that the pure conversion makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    CHILDREN,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
)
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Object, Resource, uid_of
from controller.controller import Controller
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE
from tests import audit
from tests.builders import backend, booster_object, model, policy
from tests.component.running import (
    ACTIVE,
    DEPLOYING,
    condition,
    is_in,
    running,
    until_idle,
    written,
)
from tests.controlplane.api import JSON_PATCH, Refused
from tests.controlplane.plane import ControlPlane
from tests.soak.churn import leaves, other
from tests.world import World

pytestmark = pytest.mark.anyio

SCALED = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
FAMILY: dict[Resource, str] = {
    AUTOSCALING_POLICY: "m-b1",
    AUTOSCALING_POLICY_BINDING: "m-b1",
    MODEL_SERVING: "m-b1",
    MODEL_SERVER: "m-b1",
    MODEL_ROUTE: "m",
}
Family = dict[Resource, Object]


@dataclass(frozen=True)
class Disturbance:
    """One line of the table.

    Args:
        name: what happens.
        act: lets it happen.
        heals: waits until all is as it should be.
        costs: writes that this takes, if it takes exactly these.
    """

    name: str
    act: Callable[[World, Family], Awaitable[None]]
    heals: Callable[[World, Family], Awaitable[None]]
    costs: tuple[str, ...] | None = None


def core(obj: Object) -> Object:
    """All of a child that is our business."""
    metadata = obj["metadata"]
    shown = {name: metadata.get(name) for name in ("labels", "ownerReferences")}
    return {**shown, "spec": obj["spec"]}


async def all_are_back(world: World, before: Family, *, same: bool = True) -> None:
    """Waits until every child is as it was, and the same object too if that is wanted."""

    def is_back(resource: Resource) -> Callable[[Object], bool]:
        return lambda o: (
            core(o) == core(before[resource])
            and (not same or uid_of(o) == uid_of(before[resource]))
            and "deletionTimestamp" not in o["metadata"]
        )

    for resource, name in FAMILY.items():
        await world.until(resource, name, is_back(resource))


async def as_before(world: World, before: Family) -> None:
    await all_are_back(world, before)
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


async def made_anew(world: World, before: Family) -> None:
    await all_are_back(world, before, same=False)
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


async def all_deleted(world: World, before: Family) -> None:
    for resource, name in FAMILY.items():
        await world.delete(resource, name)


async def labels_removed(world: World, before: Family) -> None:
    for resource, name in FAMILY.items():
        await world.patch(resource, name, {"metadata": {"labels": None}})


async def labels_removed_and_not_wanted(world: World, before: Family) -> None:
    await labels_removed(world, before)
    await world.put(MODEL_BOOSTER, booster_object("m", backend("c")))


async def gone(world: World, before: Family) -> None:
    for resource, name in FAMILY.items():
        if resource is not MODEL_ROUTE:
            await world.until_gone(resource, name)
    await world.serve(MODEL_SERVING, "m-c")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))


async def owners_removed(world: World, before: Family) -> None:
    for resource, name in FAMILY.items():
        await world.patch(resource, name, {"metadata": {"ownerReferences": None}})


async def foreign_labels(world: World, before: Family) -> None:
    mine = {"labels": {"mine": "a"}, "annotations": {"mine": "b"}}
    for resource, name in FAMILY.items():
        await world.patch(resource, name, {"metadata": mine})


async def foreign_labels_stay(world: World, before: Family) -> None:
    await world.put(MODEL_BOOSTER, booster_object("after"))
    await world.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
    for resource, name in FAMILY.items():
        live = await world.until(resource, name)
        assert live["metadata"]["labels"]["mine"] == "a"
        ours = {POD_INPUTS, POD_TEMPLATE} if resource is MODEL_SERVING else set()
        annotations = live["metadata"]["annotations"]
        assert annotations["mine"] == "b"
        assert annotations.keys() == {"mine", *ours}


async def name_taken(world: World, before: Family) -> None:
    """A backend is added whose ModelServer's name somebody else uses."""
    theirs = {**before[MODEL_SERVER], "metadata": {"name": "m-c"}}
    await world.create(MODEL_SERVER, theirs)
    await world.put(MODEL_BOOSTER, booster_object("m", SCALED, backend("c")))


async def left_alone_until_it_goes(world: World, before: Family) -> None:
    theirs = await world.until(MODEL_SERVER, "m-c")
    booster = await world.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildNameConflict")))
    assert 'ModelServer "m-c"' in condition(booster, "Failed")["message"]
    assert await world.get(MODEL_SERVER, "m-c") == theirs
    await world.delete(MODEL_SERVER, "m-c")
    await world.until(MODEL_SERVER, "m-c", lambda o: uid_of(o) != uid_of(theirs))
    await world.serve(MODEL_SERVING, "m-c")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))


async def unavailable(world: World, before: Family) -> None:
    await world.serve(MODEL_SERVING, "m-b1", "Progressing")


async def told_until_it_serves(world: World, before: Family) -> None:
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


async def stale(world: World, before: Family) -> None:
    """The serving controller is stopped: its status is about an older spec."""
    live = await world.until(MODEL_SERVING, "m-b1")
    old = {"observedGeneration": live["metadata"]["generation"] - 1}
    await world.patch(MODEL_SERVING, "m-b1", {"status": old}, subresource="status")


async def edited_spec(world: World, before: Family) -> None:
    other_scheduler = {**SCALED, "schedulerName": "other"}
    await world.put(MODEL_BOOSTER, booster_object("m", other_scheduler))


async def not_believed_until_it_is_about_the_new(world: World, before: Family) -> None:
    await world.until(MODEL_SERVING, "m-b1", lambda o: o["spec"]["schedulerName"] == "other")
    serving = await world.until(MODEL_SERVING, "m-b1")
    assert condition(serving, "Available")["status"] == "True"
    await world.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE, 2))


async def wiped(world: World, before: Family) -> None:
    await world.patch(MODEL_BOOSTER, "m", {"status": None}, subresource="status")


async def booster_labelled(world: World, before: Family) -> None:
    mine = {"labels": {"mine": "a"}, "annotations": {"mine": "b"}}
    await world.patch(MODEL_BOOSTER, "m", {"metadata": mine})


async def nothing(world: World, before: Family) -> None:
    """What comes after it in the queue has been dealt with, so it has been too."""
    await world.put(MODEL_BOOSTER, booster_object("after"))
    await world.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
    await as_before(world, before)


async def deleted_and_made_again(world: World, before: Family) -> None:
    await world.delete(MODEL_BOOSTER, "m")
    await world.put(MODEL_BOOSTER, booster_object("m", SCALED))


async def has_children_of_its_own(world: World, before: Family) -> None:
    uid = uid_of(await world.until(MODEL_BOOSTER, "m"))

    def is_its_own(obj: Object) -> bool:
        return [ref["uid"] for ref in obj["metadata"]["ownerReferences"]] == [uid]

    for resource, name in FAMILY.items():
        await world.until(resource, name, is_its_own)
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))


async def deleted_in_the_foreground(world: World, before: Family) -> None:
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": ["example.com/mine"]}})
    await world.delete(MODEL_BOOSTER, "m", propagation="Foreground")
    await world.until_gone(MODEL_SERVING, "m-b1")


async def nothing_comes_back(world: World, before: Family) -> None:
    await world.put(MODEL_BOOSTER, booster_object("after"))
    await world.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
    await world.patch(MODEL_ROUTE, "m", {"metadata": {"finalizers": None}})
    await world.until_gone(MODEL_BOOSTER, "m")
    for resource, name in FAMILY.items():
        await world.until_gone(resource, name)


REPORTED = "200 patch modelboosters/m/status"
DISTURBANCES = (
    Disturbance("children deleted", all_deleted, made_anew),
    Disturbance("our labels removed", labels_removed, as_before),
    Disturbance("our labels removed, then unwanted", labels_removed_and_not_wanted, gone),
    Disturbance("owner references removed", owners_removed, as_before),
    Disturbance("foreign labels and annotations", foreign_labels, foreign_labels_stay, ()),
    Disturbance("a foreign object of our name", name_taken, left_alone_until_it_goes),
    Disturbance("unavailable again", unavailable, told_until_it_serves, (REPORTED, REPORTED)),
    # We changed nothing: the last known state of the pods counts until there is news.
    Disturbance("stale status", stale, nothing, ()),
    Disturbance("status of an older spec", edited_spec, not_believed_until_it_is_about_the_new),
    Disturbance("conditions wiped", wiped, as_before, (REPORTED,)),
    Disturbance("ModelBooster labelled", booster_labelled, nothing, ()),
    Disturbance("deleted and made again", deleted_and_made_again, has_children_of_its_own),
    Disturbance("deleted in the foreground", deleted_in_the_foreground, nothing_comes_back, ()),
)


async def serving(controller: Controller, world: World) -> Family:
    """Makes the ModelBooster m and brings it to Active; returns its children."""
    await world.put(MODEL_BOOSTER, booster_object("m", SCALED))
    await world.serve(MODEL_SERVING, "m-b1")
    await world.until(MODEL_BOOSTER, "m", is_in(ACTIVE))
    await until_idle(controller)
    return {resource: await world.until(resource, name) for resource, name in FAMILY.items()}


@pytest.mark.parametrize("unseen", [False, True], ids=["seen", "while nobody looked"])
@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda d: d.name)
async def test_serving_model_recovers_from_a_disturbance(
    disturbance: Disturbance,
    unseen: bool,
    kubeconfig: Path,
    world: World,
    plane: ControlPlane,
) -> None:
    async with running(kubeconfig, world.namespace) as controller:
        before = await serving(controller, world)
        begun = audit.now(plane)
        if not unseen:
            await disturbance.act(world, before)
            await disturbance.heals(world, before)
            await until_idle(controller)
    if unseen:
        await disturbance.act(world, before)
        begun = audit.now(plane)
        async with running(kubeconfig, world.namespace) as controller:
            await disturbance.heals(world, before)
            await until_idle(controller)
    if disturbance.costs is not None:
        lines = [line for line in written(plane, world.namespace, begun) if "after" not in line]
        assert tuple(lines) == disturbance.costs


# Every field of every child.


def fields() -> list[tuple[Resource, str, Any]]:
    """Returns every field that we send, by kind and JSON pointer, with its value."""
    meaning = model("m", SCALED)
    return [
        (child.resource, pointer, value)
        for child in desired_children(meaning, Profile.B, Options())
        for pointer, value in leaves(child.object["spec"], "/spec")
        # Theirs who scale, within the bounds.
        if (child.resource, pointer) != (MODEL_SERVING, "/spec/replicas")
    ]


FIELDS = fields()


def named(resource: Resource, number: int) -> str:
    """The name of a kind's child of the n-th ModelBooster."""
    return f"m{number}" if resource is MODEL_ROUTE else f"m{number}-b1"


def others(value: Any) -> list[Any]:
    """Other values for a field, the likeliest first: where only some are legal, one of these is."""
    if isinstance(value, str):
        return [other(value), "And", "SGLang", "11"]
    return [other(value), *([value - 1] if type(value) is int else [])]


async def edited(world: World, operation: str) -> list[Refused]:
    """Edits each field, in the children of a ModelBooster of its own; returns what is impossible.

    A field is impossible to edit if the server takes none of the values.
    """
    impossible: list[Refused] = []
    numbers: dict[Resource, int] = dict.fromkeys(CHILDREN, 0)
    for resource, pointer, value in FIELDS:
        change: Object = {"op": operation, "path": pointer}
        edits = [{**change, "value": new} for new in others(value)]
        name = named(resource, numbers[resource])
        numbers[resource] += 1
        refusals = []
        for edit in edits if operation == "replace" else [change]:
            try:
                await world.patch(resource, name, [edit], kind=JSON_PATCH)
                break
            except Refused as exc:
                refusals.append(exc)
        else:
            impossible.append(refusals[-1])
    return impossible


IMPOSSIBLE = {
    "replace": (1, ("modelName is immutable",)),
    "remove": (60, ("Required value", "modelName", "must be specified", "required", "should have")),
}
"""How many fields nobody can edit, at most, and what the server says of them."""


@pytest.mark.fault("F37")
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("unseen", [False, True], ids=["seen", "while nobody looked"])
@pytest.mark.parametrize("operation", ["replace", "remove"])
async def test_every_applied_field_is_restored(
    operation: str, unseen: bool, kubeconfig: Path, world: World
) -> None:
    count = max(sum(resource is kind for resource, *_ in FIELDS) for kind in FAMILY)

    async def children() -> dict[tuple[str, str], Object]:
        return {
            (resource.kind, child["metadata"]["name"]): core(child)
            for resource in FAMILY
            for child in await world.list(resource)
        }

    async def all_right() -> None:
        async with asyncio.timeout(100):
            while await children() != before:  # noqa: ASYNC110 - polls as ``World.until`` does
                await asyncio.sleep(0.2)

    async with running(kubeconfig, world.namespace) as controller:
        await asyncio.gather(
            *(world.create(MODEL_BOOSTER, booster_object(f"m{n}", SCALED)) for n in range(count))
        )
        for n in range(count):
            await world.until(MODEL_BOOSTER, f"m{n}", is_in(DEPLOYING))
        await until_idle(controller)
        before = await children()
        if not unseen:
            impossible = await edited(world, operation)
            await all_right()
    if unseen:
        impossible = await edited(world, operation)
        assert await children() != before
        async with running(kubeconfig, world.namespace):
            await all_right()
    most, words = IMPOSSIBLE[operation]
    assert len(impossible) <= most
    for refusal in impossible:
        assert any(said in refusal.message for said in words), refusal
