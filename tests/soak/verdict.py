"""Compares the stored objects with the result of the pure conversion."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.model.children import Desired
from app.values.meta import Object, owner_references, uid_of
from tests import audit
from tests.chart import CONTROLLER
from tests.soak.churn import Trouble
from tests.soak.room import ACCOUNTS, Replica, Room
from tests.world import World

OPTIONS = Options()
TELL_SECONDS = 30.0
"""Interval between two lines that say what the soak waits for."""

STATE = {"Initialized": "True", "Active": "True", "Failed": "False", "Ready": "True"}
"""The conditions of a ModelBooster whose pods all serve."""

Name = tuple[str, str]
"""Kind and name."""


async def until_right(world: World, seconds: float) -> tuple[float, list[str]]:
    """Waits until no problem remains; returns the seconds and the remaining problems."""
    began = time.monotonic()
    told = 0.0
    while True:
        try:
            wrong = await faults(world)
        except Trouble as exc:
            wrong = [str(exc)]
        taken = time.monotonic() - began
        if wrong and taken > told + TELL_SECONDS:
            told = taken
            first = "; ".join(fault[:300] for fault in wrong[:3])
            print(f"after {taken:.0f} s still {len(wrong)} wrong: {first}", flush=True)
        if not wrong or taken > seconds:
            return taken, wrong
        await asyncio.sleep(0.5)


async def faults(world: World) -> list[str]:
    """Returns every difference from the specs."""
    boosters = await world.list(MODEL_BOOSTER)
    live: dict[Name, Object] = {}
    for resource in CHILDREN:
        for obj in await world.list(resource):
            live[resource.kind, obj["metadata"]["name"]] = obj
    found: list[str] = []
    for booster in boosters:
        found += _of_booster(booster, live)
    found += [f"{kind} {name} belongs to nobody: {_told(live[kind, name])}" for kind, name in live]
    return found


async def lost_specs(world: World, written: Mapping[str, Sequence[Object]]) -> list[str]:
    """Returns the ModelBoosters whose stored spec is not one that a user wrote.

    Args:
        world: the cluster.
        written: the specs that may be stored, by name.
    """
    boosters = {obj["metadata"]["name"]: obj["spec"] for obj in await world.list(MODEL_BOOSTER)}
    return [
        f"{name} has a spec that no user wrote: {spec}"
        for name, spec in boosters.items()
        if spec not in written[name]
    ]


def _told(obj: Object) -> Object:
    """The parts of an object that show its history."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {
        "metadata": metadata,
        "managers": [m["manager"] for m in obj["metadata"]["managedFields"]],
    }


def _of_booster(booster: Object, live: dict[Name, Object]) -> Iterator[str]:
    """Yields the problems of a ModelBooster; removes its children from ``live``."""
    name = booster["metadata"]["name"]
    if "deletionTimestamp" in booster["metadata"]:
        yield f"{name} is still being deleted"
    for child in desired_children(
        canonical(ModelBooster.model_validate(booster)), Profile.B, OPTIONS
    ):
        obj = live.pop((child.resource.kind, child.name), None)
        if obj is None:
            yield f"{child.resource.kind} {child.name} is missing"
        else:
            yield from _of_child(child, obj, uid_of(booster))
    status = booster.get("status") or {}
    generation = booster["metadata"]["generation"]
    told = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if told != STATE or status.get("observedGeneration") != generation:
        yield f"{name}, generation {generation}, has the status {status}"


def _of_child(child: Desired, obj: Object, uid: str) -> Iterator[str]:
    what = f"{child.resource.kind} {child.name}"
    if [ref["uid"] for ref in owner_references(obj)] != [uid]:
        yield f"{what} has other owners than {uid}: {_told(obj)}"
    wanted = child.object
    spec = dict(wanted["spec"])
    if child.replica_bounds is not None:
        least, most = child.replica_bounds
        spec["replicas"] = min(max(obj["spec"].get("replicas", 1), least), most)
    for path in _differences(spec, obj["spec"], "spec"):
        yield f"{what}: {path}"
    labels = wanted["metadata"]["labels"]
    yield from (
        f"{what}: {path}"
        for path in _differences(labels, obj["metadata"].get("labels") or {}, "labels")
    )


def _differences(wanted: Any, live: Any, path: str) -> Iterator[str]:
    """Yields the paths where the object differs from what is wanted; extra fields are allowed."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _differences(value, live.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from _differences(one, other, f"{path}[{index}]")
    elif wanted != live:
        yield f"{path} is {live!r}, not {wanted!r}"


def requests(room: Room) -> list[audit.Request]:
    """Returns all requests of the controllers, without the Lease and Events."""
    return [
        request
        for request in audit.requests(room.plane, user=ACCOUNTS[CONTROLLER].name)
        if request.resource not in ("leases", "events")
    ]


async def quiet_for(room: Room, seconds: float) -> list[str]:
    """Waits and returns the controllers' writes in that time; none is expected."""
    begun = await asyncio.to_thread(audit.now, room.plane)
    await asyncio.sleep(seconds)
    asked = await asyncio.to_thread(requests, room)
    return [str(request) for request in asked if request.at > begun and request.is_write]


def unexpected_ends(room: Room) -> list[str]:
    """Returns the process ends that no fault explains, and the lines that report a bug."""
    found = []
    for replica in room.replicas:
        said = replica.log.read_text()
        expected = {0, -9, 1} if replica.command == "controller" else set[int]()
        ended = [
            code
            for life, code in enumerate(replica.ended)
            if code != -15 or _had_begun(replica, life)
        ]
        if set(ended) - expected:
            found.append(f"{replica.name} ended with {sorted(set(ended) - expected)}")
        if replica.ended.count(1) > said.count("the process ends: "):
            found.append(f"{replica.name} ended with 1 and did not say why")
        found += [line for line in said.splitlines() if "this is a bug" in line or "Trace" in line]
    return found


def _had_begun(replica: Replica, life: int) -> bool:
    """Whether a process handled signals: it does not while it still imports its modules."""
    notes = replica.folder / f"{replica.name}.{life}.json"
    return notes.exists() and bool(json.loads(notes.read_text())["tasks"])


def codes(asked: list[audit.Request]) -> Counter[str]:
    """Returns the number of requests by status code."""
    return Counter(f"{request.verb} {request.code}" for request in asked if request.is_write)
