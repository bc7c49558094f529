"""Plays users and the serving controller, ten times as busy as in real clusters."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_SERVING, SELECTOR, WORKLOAD
from app.values.meta import Object, Resource, is_terminating, uid_of
from tests.builders import backend, booster_object, policy
from tests.controlplane.api import JSON_PATCH, NoAnswer, Refused
from tests.world import NeverSo, World

CHANGES_PER_SECOND = 3.0
"""Changes of ModelBoosters. A busy cluster has one in three seconds."""

HANDS_PER_SECOND = 1.0
"""Manual changes of children."""

POPULATION = 20
NAMES = tuple(f"m{n}" for n in range(POPULATION + POPULATION // 2))

Trouble = (Refused, NoAnswer, NeverSo)
"""Errors of a request that meets a fault or a deleted object; the next change follows."""


class Churn:
    """Creates, edits and deletes ModelBoosters, edits and deletes children, reports pods.

    Args:
        world: the cluster.
        chance: source of all random choices.
        definition: lock, held while a ModelBooster is written and while its definition is
            exchanged, because the API server prunes what is written in between.
        changes_per_second: of ModelBoosters.
        hands_per_second: of children and statuses, by hand.
    """

    def __init__(
        self,
        world: World,
        chance: random.Random,
        definition: asyncio.Lock,
        changes_per_second: float = CHANGES_PER_SECOND,
        hands_per_second: float = HANDS_PER_SECOND,
    ) -> None:
        self._world = world
        self._chance = chance
        self._definition = definition
        self._changes_per_second = changes_per_second
        self._hands_per_second = hands_per_second
        self._kept: set[str] = set()
        self._one_at_a_time = asyncio.Lock()
        """Held to change a ModelBooster, or to remove labels or owner of a child."""
        self._busy: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.written: dict[str, list[Object]] = defaultdict(list)
        """The specs that a stored ModelBooster may have, by name: the last one that was accepted,
        and those sent after it whose answer was lost."""
        self.flaps = True

    async def users(self) -> None:
        """Changes ModelBoosters until cancelled."""
        while True:
            await asyncio.sleep(self._chance.expovariate(self._changes_per_second))
            try:
                async with self._definition:
                    self.done[await self._change()] += 1
            except Refused as exc:
                self.done[f"refused: {exc.status} {exc.reason}"] += 1
            except Trouble:
                self.done["no answer"] += 1

    async def hands(self) -> None:
        """Makes wrong edits of children and statuses until cancelled."""
        while True:
            await asyncio.sleep(self._chance.expovariate(self._hands_per_second))
            try:
                async with self._definition:
                    self.done[await self._meddle()] += 1
            except Trouble:
                self.done["meddled in vain"] += 1

    async def serving(self) -> None:
        """Reports the status of every ModelServing as its controller does, sometimes a bad one."""
        while True:
            await asyncio.sleep(1)
            listed: list[Object] = []
            with suppress(*Trouble):
                listed = await self._world.list(MODEL_SERVING)
            for serving in listed:
                with suppress(*Trouble):  # it was deleted
                    await self._report(serving)

    async def settle(self) -> None:
        """Ends the changes in progress without an error."""
        self.flaps = False
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _change(self) -> str:
        there = [obj["metadata"]["name"] for obj in await self._world.list(MODEL_BOOSTER)]
        free = [name for name in NAMES if name not in there]
        if len(there) < POPULATION:
            await self._write(self._world.create, self._booster(self._chance.choice(free)))
            return "created"
        name = self._chance.choice(there)
        if self._chance.random() < 0.25:
            return await self._delete(name)
        if self._chance.random() < 0.05:
            metadata = {"labels": {"mine": str(self._chance.random())}}
            await self._world.patch(MODEL_BOOSTER, name, {"metadata": metadata})
            return "labelled"
        async with self._one_at_a_time:
            if name in self._kept:
                return "left alone"
            await self._write(self._world.put, self._booster(name))
        return "edited"

    async def _delete(self, name: str) -> str:
        async with self._one_at_a_time:
            if name in self._kept:
                return "left alone"
            how = self._chance.choice(["Background", "Foreground"])
            await self._world.delete(MODEL_BOOSTER, name, propagation=how)
        if self._chance.random() < 0.5:
            return "deleted"
        await self._write(self._world.create, self._booster(name))
        return "deleted and created again at once"

    async def _write(
        self, write: Callable[[Resource, Object], Awaitable[Object]], booster: Object
    ) -> None:
        """Writes a ModelBooster and records which specs may be stored from now on."""
        name = booster["metadata"]["name"]
        try:
            stored = await write(MODEL_BOOSTER, booster)
        except Refused as exc:
            if exc.status >= 500:  # the server may have stored it
                self.written[name].append(booster["spec"])
            raise
        except (*Trouble, asyncio.CancelledError):  # at the end, a write may be in progress
            self.written[name].append(booster["spec"])
            raise
        self.written[name] = [stored["spec"]]

    def _booster(self, name: str) -> Object:
        pick = self._chance.choice
        backends = []
        for letter in sorted(self._chance.sample("abc", k=self._chance.randint(1, 3))):
            fields: dict[str, Any] = {
                "schedulerName": pick(["x", "y"]),
                "routeWeight": self._chance.randint(1, 9),
            }
            if self._chance.random() < 0.2:
                fields |= {"minReplicas": 1, "maxReplicas": 3, "autoscalingPolicy": policy()}
            backends.append(backend(letter, **fields))
        return booster_object(name, *backends, name=pick([None, f"{name}-x", f"{name}-y"]))

    async def _meddle(self) -> str:
        resource = self._chance.choice(CHILDREN)
        listed = await self._world.list(resource, f"{SELECTOR}={WORKLOAD}")
        children = [child for child in listed if child["metadata"].get("ownerReferences")]
        if not children:
            return "found nothing to meddle with"
        child = self._chance.choice(children)
        name = child["metadata"]["name"]
        how = self._chance.random()
        if how < 0.5:
            path, value = self._chance.choice(list(leaves(child["spec"], "/spec")))
            change = {"op": "replace", "path": path, "value": other(value)}
            await self._world.patch(resource, name, [change], kind=JSON_PATCH)
            return "child edited"
        if how < 0.7:
            await self._world.delete(resource, name)
            return "child deleted"
        if how < 0.8:
            await self._strip(child, "labels")
            return "child's labels removed"
        if how < 0.9:
            await self._strip(child, "ownerReferences")
            return "child's owner removed"
        owner = child["metadata"]["ownerReferences"][0]["name"]
        await self._world.patch(MODEL_BOOSTER, owner, {"status": None}, subresource="status")
        return "status wiped"

    async def _strip(self, child: Object, what: str) -> None:
        """Removes labels or owner; the ModelBooster is not changed until they are back.

        A child without an owner rightly stays when its ModelBooster is deleted. A child without
        labels that is no longer wanted is not found before its owner is deleted.
        """
        metadata, resource = child["metadata"], _resource_of(child)
        (ref,) = metadata["ownerReferences"]
        owner: str = ref["name"]
        async with self._one_at_a_time:
            booster = await self._world.get(MODEL_BOOSTER, owner)
            if booster is None or is_terminating(booster) or uid_of(booster) != ref["uid"]:
                return
            if owner in self._kept:
                return
            self._kept.add(owner)
            patch = {what: None, "resourceVersion": metadata["resourceVersion"]}
            with suppress(*Trouble):  # the server may have done it
                await self._world.patch(resource, metadata["name"], {"metadata": patch})

        async def until_back() -> None:
            while True:
                await asyncio.sleep(0.5)
                try:
                    live = await self._world.get(resource, metadata["name"])
                except Trouble:
                    continue
                if live is None or live["metadata"].get(what):
                    self._kept.discard(owner)
                    return

        task = asyncio.create_task(until_back())
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _report(self, serving: Object) -> None:
        name, status = serving["metadata"]["name"], serving.get("status") or {}
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        is_current = status.get("observedGeneration", 0) >= serving["metadata"]["generation"]
        flaps = self.flaps and self._chance.random() < 0.02
        if flaps or not is_current or conditions.get("Available") != "True":
            said = {"status": reported(serving, available=not flaps)}
            await self._world.patch(MODEL_SERVING, name, said, subresource="status")
            self.done["ModelServing unavailable" if flaps else "ModelServing available"] += 1


def reported(serving: Object, *, available: bool) -> Object:
    """Returns the status of a ModelServing whose pods all serve, or none."""
    replicas = serving["spec"].get("replicas", 1)
    reason = "AllGroupsReady" if available else "GroupProgressing"
    return {
        "observedGeneration": serving["metadata"]["generation"],
        "replicas": replicas,
        "availableReplicas": replicas if available else 0,
        "conditions": [
            {
                "type": "Available",
                "status": str(available),
                "reason": reason,
                "message": "as the soak says",
                "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ],
    }


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields every value that is neither a map nor a list, with its JSON pointer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{index}")
    else:
        yield path, value


def other(value: Any) -> Any:
    """Returns another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case _:
            return f"{value}x"


def _resource_of(child: Object) -> Any:
    return next(resource for resource in CHILDREN if resource.kind == child["kind"])
