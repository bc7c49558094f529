"""Children that somebody edits or deletes by hand, on the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    MODEL_UID,
    REGISTRY_MANAGED_BY,
    REVISION,
)
from app.values.meta import Object, Resource
from tests import audit
from tests.builders import backend, booster_object, policy, worker
from tests.component.running import running, written
from tests.controlplane.plane import ControlPlane
from tests.world import World

pytestmark = pytest.mark.anyio


class Child(NamedTuple):
    """One of the children of the ModelBooster of these tests."""

    resource: Resource
    name: str

    def __str__(self) -> str:
        return self.resource.kind


POLICY = Child(AUTOSCALING_POLICY, "m-b1")
BINDING = Child(AUTOSCALING_POLICY_BINDING, "m-b1")
SERVING = Child(MODEL_SERVING, "m-b1")
SERVER = Child(MODEL_SERVER, "m-b1")
ROUTE = Child(MODEL_ROUTE, "m")
FAMILY = (POLICY, BINDING, SERVING, SERVER, ROUTE)


@pytest.fixture
async def family(kubeconfig: Path, world: World) -> AsyncIterator[dict[Child, Object]]:
    """All five kinds of children, looked after by a controller."""
    scaled = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
    async with running(kubeconfig, world.namespace):
        await world.put(MODEL_BOOSTER, booster_object("m", scaled))
        children = {child: await world.until(*child) for child in FAMILY}
        await world.until(MODEL_BOOSTER, "m", lambda o: o["status"]["observedGeneration"] == 1)
        yield children


def core(obj: Object) -> Object:
    """All of a child that is our business."""
    metadata = obj["metadata"]
    return {
        "labels": metadata.get("labels"),
        "ownerReferences": metadata.get("ownerReferences"),
        "spec": obj["spec"],
    }


def like(obj: Object) -> Callable[[Object], bool]:
    return lambda other: core(other) == core(obj)


@pytest.mark.fault("F38")
@pytest.mark.parametrize("child", FAMILY, ids=str)
async def test_deleted_child_is_recreated(
    child: Child, family: dict[Child, Object], world: World
) -> None:
    before = family[child]

    await world.delete(*child)

    again = await world.until(
        *child, lambda o: o["metadata"]["uid"] != before["metadata"]["uid"] and like(before)(o)
    )
    assert again["metadata"]["labels"][MODEL_UID] == before["metadata"]["labels"][MODEL_UID]


def _replicas(obj: Object) -> None:
    obj["spec"]["replicas"] = 9  # the bounds are 1 and 3


def _image(obj: Object) -> None:
    role = obj["spec"]["template"]["roles"][0]
    role["entryTemplate"]["spec"]["containers"][-1]["image"] = "other"


def _sidecar(obj: Object) -> None:
    pod = obj["spec"]["template"]["roles"][0]["entryTemplate"]["spec"]
    pod["containers"].append({"name": "mine", "image": "mine"})


def _grace(obj: Object) -> None:
    obj["spec"]["template"].pop("restartGracePeriodSeconds")


def _port(obj: Object) -> None:
    obj["spec"]["workloadPort"]["port"] = 1


def _more_selective(obj: Object) -> None:
    obj["spec"]["workloadSelector"]["matchLabels"]["mine"] = "x"


def _weight(obj: Object) -> None:
    obj["spec"]["rules"][0]["targetModels"][0]["weight"] = 1


def _rule(obj: Object) -> None:
    obj["spec"]["rules"].append({"name": "mine", "targetModels": [{"modelServerName": "mine"}]})


def _metric(obj: Object) -> None:
    obj["spec"]["metrics"][0]["targetValue"] = 99


def _bounds(obj: Object) -> None:
    obj["spec"]["homogeneousTarget"]["maxReplicas"] = 99


EDITS = [
    *((SERVING, edit) for edit in (_image, _sidecar, _grace)),
    *((SERVER, edit) for edit in (_port, _more_selective)),
    *((ROUTE, edit) for edit in (_weight, _rule)),
    (POLICY, _metric),
    (BINDING, _bounds),
]


@pytest.mark.fault("F37")
@pytest.mark.parametrize(
    ("child", "edit"), EDITS, ids=[f"{child}{edit.__name__}" for child, edit in EDITS]
)
async def test_edited_spec_is_restored(
    child: Child, edit: Callable[[Object], None], family: dict[Child, Object], world: World
) -> None:
    before = family[child]
    edited = deepcopy(before)
    edit(edited)

    stored = await world.put(child.resource, edited)
    assert core(stored) != core(before), "the edit changes nothing"

    after = await world.until(*child, like(before))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def _drop(label: str) -> Callable[[Object], None]:
    def edit(obj: Object) -> None:
        del obj["metadata"]["labels"][label]

    edit.__name__ = f"-{label.partition('/')[0]}-{label.partition('/')[2]}"
    return edit


def _other_revision(obj: Object) -> None:
    obj["metadata"]["labels"][REVISION] = "other"


def _no_labels(obj: Object) -> None:
    del obj["metadata"]["labels"]


def _no_owner(obj: Object) -> None:
    del obj["metadata"]["ownerReferences"]


def _no_flags(obj: Object) -> None:
    ref = obj["metadata"]["ownerReferences"][0]
    del ref["controller"], ref["blockOwnerDeletion"]


METADATA = [
    *(_drop(label) for label in (MANAGED_BY, REGISTRY_MANAGED_BY, MODEL_UID)),
    *(_other_revision, _no_labels, _no_owner, _no_flags),
]


@pytest.mark.fault("F37", "F39")
@pytest.mark.parametrize("edit", METADATA, ids=lambda edit: edit.__name__.strip("_-"))
@pytest.mark.parametrize("child", [SERVING, ROUTE], ids=str)
async def test_edited_labels_and_owner_references_are_restored(
    child: Child, edit: Callable[[Object], None], family: dict[Child, Object], world: World
) -> None:
    before = family[child]
    edited = deepcopy(before)
    edit(edited)

    await world.put(child.resource, edited)

    after = await world.until(*child, like(before))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.fault("F37")
@pytest.mark.parametrize("child", FAMILY, ids=str)
async def test_fields_added_by_others_stay(
    child: Child, family: dict[Child, Object], world: World
) -> None:
    mine: Object = {
        "labels": {"mine": "a"},
        "annotations": {"mine": "b"},
        "finalizers": ["example.com/mine"],
    }
    await world.patch(*child, {"metadata": mine})
    edited = {"metadata": {"labels": {REVISION: "other"}}}

    await world.patch(*child, edited)

    revision = family[child]["metadata"]["labels"][REVISION]
    after = await world.until(*child, lambda o: o["metadata"]["labels"][REVISION] == revision)
    assert after["metadata"]["labels"]["mine"] == "a"
    assert after["metadata"]["annotations"].items() >= {"mine": "b"}.items()
    assert after["metadata"]["finalizers"] == ["example.com/mine"]
    await world.patch(*child, {"metadata": {"finalizers": None}})


async def by_put(world: World, replicas: int) -> None:
    """As the autoscaler of kthena does it up to v0.4.0: it writes the whole object back."""
    live = await world.get(*SERVING)
    assert live is not None
    await world.put(MODEL_SERVING, {**live, "spec": {**live["spec"], "replicas": replicas}})


async def by_merge_patch(world: World, replicas: int) -> None:
    """As it does from v1.0.0 on."""
    await world.patch(*SERVING, {"spec": {"replicas": replicas}})


async def by_scale(world: World, replicas: int) -> None:
    """As ``kubectl scale`` does it."""
    await world.patch(*SERVING, {"spec": {"replicas": replicas}}, subresource="scale")


@pytest.mark.fault("F44")
@pytest.mark.parametrize("written_by", [by_put, by_merge_patch, by_scale])
async def test_replicas_of_the_autoscaler_stay_within_the_bounds(
    written_by: Callable[[World, int], Awaitable[None]],
    family: dict[Child, Object],
    world: World,
) -> None:
    await written_by(world, 2)
    image = worker(image="other:1")
    edited = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy(), workers=[image])
    await world.put(MODEL_BOOSTER, booster_object("m", edited))

    revision = family[SERVING]["metadata"]["labels"][REVISION]
    after = await world.until(*SERVING, lambda o: o["metadata"]["labels"][REVISION] != revision)
    assert after["spec"]["replicas"] == 2

    await written_by(world, 9)
    await world.until(*SERVING, lambda o: o["spec"]["replicas"] == 3)

    lower = {**edited, "minReplicas": 1, "maxReplicas": 2}
    await world.put(MODEL_BOOSTER, booster_object("m", lower))
    await world.until(*SERVING, lambda o: o["spec"]["replicas"] == 2)


async def test_removed_conditions_are_restored(family: dict[Child, Object], world: World) -> None:
    before = await world.until(MODEL_BOOSTER, "m")

    await world.patch(MODEL_BOOSTER, "m", {"status": None}, subresource="status")

    def is_back(booster: Object) -> bool:
        return [c["type"] for c in booster["status"]["conditions"]] == [
            c["type"] for c in before["status"]["conditions"]
        ]

    await world.until(MODEL_BOOSTER, "m", is_back)


@pytest.mark.slow
async def test_label_changes_of_the_model_booster_cause_no_write(
    family: dict[Child, Object], world: World, plane: ControlPlane
) -> None:
    begun = audit.now(plane)

    await world.patch(MODEL_BOOSTER, "m", {"metadata": {"labels": {"mine": "a"}}})
    # What comes after it in the queue has been dealt with, so it has been too.
    await world.put(MODEL_BOOSTER, booster_object("after"))
    await world.until(MODEL_BOOSTER, "after", lambda o: o["status"]["observedGeneration"] == 1)

    ours = [line for line in written(plane, world.namespace, begun) if "after" not in line]
    assert ours == []
