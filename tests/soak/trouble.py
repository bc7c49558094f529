"""The faults of a soak, chosen at random from a table."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.values.meta import Resource
from tests.chart import CONTROLLER, NAMESPACE, WEBHOOK
from tests.controlplane import crds
from tests.controlplane.api import JSON_PATCH
from tests.proxy import (
    Answer,
    CutAnswer,
    Delay,
    ErrorEvent,
    Fault,
    ResetAfterCommit,
    ResetBeforeCommit,
    Rewrite,
    Rule,
    Silence,
)
from tests.soak.churn import Trouble
from tests.soak.room import LEASE, SECRET, Replica, Room
from tests.world import Admin

ROUTE_CRD = f"{MODEL_ROUTE.plural}.{MODEL_ROUTE.group}"
BOOSTER_CRD = f"{MODEL_BOOSTER.plural}.{MODEL_BOOSTER.group}"
AUTHORITY = f"{WEBHOOK}-ca"
WATCHED_CRDS = (BOOSTER_CRD, *(f"{kind.plural}.{kind.group}" for kind in CHILDREN))


@dataclass(frozen=True)
class Incident:
    """A fault that is over when ``act`` returns.

    Args:
        row: of the fault table.
        name: the fault.
        act: injects it.
        ends_a_life: whether a controller process may end.
    """

    row: str
    name: str
    act: Callable[[Room, random.Random], Awaitable[None]]
    ends_a_life: bool = False


def weather(
    make: Callable[[random.Random], Fault],
    *,
    verb: str | None = None,
    resource: str | None = None,
    share: float = 1.0,
    cut: bool = False,
    seconds: tuple[float, float] = (2, 8),
) -> Callable[[Room, random.Random], Awaitable[None]]:
    """Returns an act that lets the proxy do something to a share of all requests for a while.

    Args:
        make: returns the fault.
        verb, resource: of the requests that are affected.
        share: of these requests, 0 to 1.
        cut: whether to break the watches first, so that they meet the fault when they reconnect.
        seconds: duration.
    """

    async def act(room: Room, chance: random.Random) -> None:
        room.proxy.add(Rule(make(chance), verb=verb, resource=resource, times=None, chance=share))
        if cut:
            room.proxy.hang_up()
        await asyncio.sleep(chance.uniform(*seconds))
        room.proxy.clear()

    return act


CONFLICT = {"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict"}

NETWORK: tuple[Incident, ...] = (
    Incident(
        "F02",
        "watches cut after some bytes",
        weather(lambda c: CutAnswer(c.randint(0, 5000)), verb="watch", cut=True),
    ),
    Incident(
        "F03",
        "watches silent",
        weather(lambda c: Silence(c.randint(0, 500), c.uniform(5, 30)), verb="watch", cut=True),
    ),
    Incident("F04", "410 as event", weather(lambda c: ErrorEvent(), verb="watch", cut=True)),
    Incident("F04", "410 as status", weather(lambda c: Answer(410), verb="watch", cut=True)),
    Incident("F06", "streaming lists refused", weather(lambda c: Answer(400), cut=True, share=0.5)),
    Incident(
        "F07",
        "too many requests",
        weather(lambda c: Answer(429, headers={"Retry-After": c.choice("0127")}), share=0.3),
    ),
    Incident(
        "F08",
        "5xx",
        weather(lambda c: Answer(c.choice([500, 502, 503, 504])), share=0.3, seconds=(5, 20)),
    ),
    Incident("F09", "slow answers", weather(lambda c: Delay(c.uniform(0.1, 3)), share=0.5)),
    Incident(
        "F10",
        "answers of writes lost",
        weather(lambda c: ResetAfterCommit(), verb="patch", share=0.5),
    ),
    Incident("F10", "writes lost", weather(lambda c: ResetBeforeCommit(), verb="patch", share=0.5)),
    Incident("F11", "cut off", weather(lambda c: ResetBeforeCommit(), seconds=(1, 5), cut=True)),
    Incident(
        "F24",
        "cut off for long",
        weather(lambda c: ResetBeforeCommit(), seconds=(8, 20), cut=True),
        ends_a_life=True,
    ),
    Incident("F12", "garbage", weather(lambda c: Answer(200, "<html>"), share=0.3, cut=True)),
    Incident(
        "F12",
        "garbage in watches",
        weather(lambda c: Rewrite(lambda piece: b"%" + piece), verb="watch", cut=True),
    ),
    Incident(
        "F13",
        "every event twice",
        weather(lambda c: Rewrite(_doubled), verb="watch", cut=True),
    ),
    Incident(
        "F17",
        "listings broken off",
        weather(lambda c: CutAnswer(c.randint(0, 20_000)), verb="list", cut=True),
    ),
    Incident("F30", "409", weather(lambda c: Answer(409, CONFLICT), verb="patch", share=0.5)),
)


def _doubled(piece: bytes) -> bytes:
    return piece + piece


def restart_server(least: float, most: float) -> Callable[[Room, random.Random], Awaitable[None]]:
    """Returns an action that restarts the API server after some seconds."""

    async def act(room: Room, chance: random.Random) -> None:
        await asyncio.to_thread(room.plane.stop_apiserver)
        await asyncio.sleep(chance.uniform(least, most))
        await asyncio.to_thread(room.plane.start_apiserver)
        await asyncio.to_thread(room.plane.restart_controllers)  # the restart may take long

    return act


async def _take_a_right(room: Room, chance: random.Random) -> None:
    await asyncio.to_thread(room.grant, without=MODEL_ROUTE.plural)
    await asyncio.sleep(chance.uniform(5, 10))
    await asyncio.to_thread(room.grant)


async def _remove_a_kind(room: Room, chance: random.Random) -> None:
    await asyncio.to_thread(room.plane.api.request, "DELETE", crds.CRD.path(None, ROUTE_CRD), None)
    await asyncio.sleep(chance.uniform(3, 8))
    await restore_kinds(room)


async def restore_kinds(room: Room) -> None:
    """Installs all definitions again; waits until one that is being removed is gone."""
    definitions = [d for d in crds.children("B") if d["metadata"]["name"] == ROUTE_CRD]
    async with asyncio.timeout(60):
        while True:
            with suppress(*Trouble, TimeoutError):
                path = crds.CRD.path(None, ROUTE_CRD)
                live = await asyncio.to_thread(_found, room, path)
                if live is None or "deletionTimestamp" not in live["metadata"]:
                    await asyncio.to_thread(crds.install, room.plane.api, definitions)
                    # Otherwise its garbage is collected after half a minute, or never.
                    await asyncio.to_thread(room.plane.restart_controllers)
                    return
            await asyncio.sleep(0.2)


async def _exchange_the_definition(room: Room, chance: random.Random) -> None:
    """Installs kthena's own ModelBooster definition for a while, as an upgrade of kthena does.

    No user writes during this time, because the API server would prune it.
    """
    release = chance.choice(["v0.4.0", "v1.0.0"])
    async with room.definition:
        try:
            await asyncio.to_thread(crds.install, room.plane.api, [crds.kthena_booster(release)])
            await asyncio.sleep(chance.uniform(2, 10))
        finally:
            await restore_the_definition(room)


async def restore_the_definition(room: Room) -> None:
    """Installs our ModelBooster definition, however long the API server is away."""
    async with asyncio.timeout(60):
        while True:
            with suppress(*Trouble, TimeoutError):
                await asyncio.to_thread(crds.install, room.plane.api, [crds.model_booster()])
                return
            await asyncio.sleep(0.2)


async def _edit_a_definition(room: Room, chance: random.Random) -> None:
    """Adds a column that kubectl prints; the API server then ends every watch of that kind."""
    name = chance.choice(WATCHED_CRDS)
    admin = Admin(room.plane.api, "")
    definition = await asyncio.to_thread(admin.get, crds.CRD, name)
    if definition is None or "deletionTimestamp" in definition["metadata"]:
        return
    columns = definition["spec"]["versions"][0].get("additionalPrinterColumns", [])
    column = {"name": "Soak", "type": "string", "jsonPath": f".metadata.labels.n{chance.random()}"}
    path = "/spec/versions/0/additionalPrinterColumns"
    kept = [column, *(other for other in columns if other["name"] != column["name"])]
    change = [{"op": "add", "path": path, "value": kept}]
    await asyncio.to_thread(admin.patch, crds.CRD, name, change, kind=JSON_PATCH)


def delete_state(resource: Resource, name: str) -> Callable[[Room, random.Random], Awaitable[None]]:
    """Returns an act that deletes an object in which the program keeps its state."""

    async def act(room: Room, chance: random.Random) -> None:
        await asyncio.to_thread(Admin(room.plane.api, NAMESPACE).delete, resource, name)

    return act


def _found(room: Room, path: str) -> dict[str, dict[str, str]] | None:
    name = path.rpartition("/")[2]
    return Admin(room.plane.api, "").get(crds.CRD, name)


def to_leader(number: signal.Signals) -> Callable[[Room, random.Random], Awaitable[None]]:
    """Returns an action that sends a signal to the leader."""

    async def act(room: Room, chance: random.Random) -> None:
        (await room.leader()).send(number)

    return act


async def _kill_the_other(room: Room, chance: random.Random) -> None:
    leader = await room.leader()
    for replica in room.controllers:
        if replica is not leader:
            replica.send(signal.SIGKILL)


def stand_still(least: float, most: float) -> Callable[[Room, random.Random], Awaitable[None]]:
    """Returns an action that suspends the leader for some seconds."""

    async def act(room: Room, chance: random.Random) -> None:
        leader: Replica = await room.leader()
        leader.send(signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(least, most))
        leader.send(signal.SIGCONT)

    return act


async def _rob(room: Room, chance: random.Random) -> None:
    system = Admin(room.plane.api, NAMESPACE)
    holder = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3}}
    await asyncio.to_thread(system.patch, LEASE, CONTROLLER, holder)


async def _label_the_lease(room: Room, chance: random.Random) -> None:
    label = {"metadata": {"labels": {"mine": str(chance.random())}}}
    await asyncio.to_thread(Admin(room.plane.api, NAMESPACE).patch, LEASE, CONTROLLER, label)


CLUSTER: tuple[Incident, ...] = (
    Incident("F01", "API server restarted", restart_server(0, 2)),
    Incident("F01", "API server away for 10 s", restart_server(8, 12), ends_a_life=True),
    Incident("F20", "leader is frozen", stand_still(1, 4)),
    Incident("F20", "leader is frozen for long", stand_still(12, 18), ends_a_life=True),
    Incident("F23", "Lease edited", _label_the_lease),
    Incident("F23", "Lease taken by somebody else", _rob, ends_a_life=True),
    Incident("F23", "Lease deleted", delete_state(LEASE, CONTROLLER), ends_a_life=True),
    Incident("F51", "Secret of the authority deleted", delete_state(SECRET, AUTHORITY)),
    Incident("-", "kthena's ModelBooster definition installed", _exchange_the_definition),
    Incident("-", "a definition edited", _edit_a_definition),
    Incident("F25", "SIGTERM to the leader", to_leader(signal.SIGTERM), ends_a_life=True),
    Incident("F26", "SIGKILL to the leader", to_leader(signal.SIGKILL), ends_a_life=True),
    Incident("F28", "SIGKILL to the other", _kill_the_other, ends_a_life=True),
    Incident("F31", "a child kind removed", _remove_a_kind),
    Incident("F33", "a right taken away", _take_a_right),
)


class Misfortune:
    """Runs the incidents of a table, one after the other.

    Args:
        room: the environment of the soak.
        table: the incidents.
        pause: shortest and longest pause between two, in seconds.
        happened: counts them.
    """

    def __init__(
        self,
        room: Room,
        table: Sequence[Incident],
        pause: tuple[float, float],
        happened: Counter[tuple[str, str]],
    ) -> None:
        self._room = room
        self._table = table
        self._pause = pause
        self._happened = happened
        self._chance = random.Random(room.chance.random())
        self.spares_lives = False
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Runs every incident once before any runs twice; returns after ``end``."""
        while not self._ending.is_set():
            order = list(self._table)
            self._chance.shuffle(order)
            for incident in order:
                if incident.ends_a_life and self.spares_lives:
                    continue
                if await self._ends_within(self._chance.uniform(*self._pause)):
                    return
                with suppress(*Trouble):
                    await incident.act(self._room, self._chance)
                    self._happened[incident.row, incident.name] += 1

    def end(self) -> None:
        """Stops after the current incident."""
        self._ending.set()

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()
