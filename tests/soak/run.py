"""One soak, from the first fault to the verdict."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from contextlib import suppress
from pathlib import Path

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from tests.soak.churn import Churn
from tests.soak.report import Report
from tests.soak.room import Room, open_room
from tests.soak.samples import Samples
from tests.soak.trouble import (
    CLUSTER,
    NETWORK,
    Misfortune,
    restore_kinds,
    restore_the_definition,
)
from tests.soak.verdict import (
    codes,
    lost_specs,
    quiet_for,
    requests,
    unexpected_ends,
    until_right,
)

SETTLE_SECONDS = 420.0
"""The lease duration plus the longest time a watch may be silent."""

DEADLY_SHARE = 0.4
"""The part of the time in which processes are killed. In the rest each one lives long enough to
fill its caches, after which a leak can be told from them."""

DETAILS_SECONDS = 15.0
"""Details of a status wait up to ten seconds, to be written together."""


def soak(minutes: float, seed: int, folder: Path) -> Report:
    """Runs a soak and returns its report.

    Args:
        minutes: how long faults are injected.
        seed: seed of all random choices.
        folder: for logs and the server's files; it must not exist.
    """
    folder.mkdir(parents=True)
    report = Report(seed, minutes)
    with open_room(folder, seed) as room:
        asyncio.run(_in(room, report))
    return report


async def _in(room: Room, report: Report) -> None:
    seconds = 60 * report.minutes
    # The proxy's server logs every connection that it breaks.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    churn = Churn(room.world, random.Random(room.chance.random()), room.definition)
    samples = Samples(room, *(_sampling(report.minutes)))
    lanes = [
        Misfortune(room, NETWORK, (0.5, 4), report.happened),
        Misfortune(room, CLUSTER, (2, 10), report.happened),
    ]
    keeping = [asyncio.create_task(replica.keep()) for replica in room.replicas]
    always = [*keeping, *map(asyncio.create_task, (samples.run(), churn.serving()))]
    changing = [asyncio.create_task(work) for work in (churn.users(), churn.hands())]
    faulty = [asyncio.create_task(lane.run()) for lane in lanes]

    await _unless_one_ends(DEADLY_SHARE * seconds, [*always, *changing, *faulty])
    # From now on no process is stopped on purpose, so that a leak shows.
    for lane in lanes:
        lane.spares_lives = True
    await _unless_one_ends((1 - DEADLY_SHARE) * seconds, [*always, *changing, *faulty])
    # The calm after the faults is a different load: all watches are open at once.
    report.slopes = samples.slopes()
    for lane in lanes:
        lane.end()
    await asyncio.gather(*faulty)
    await _cancel(changing)
    await _repair(room)
    if report.minutes < 10:
        # A watch that is still silent would be so for longer than a short soak waits.
        room.proxy.hang_up()
    await churn.settle()

    print("the last fault is over", flush=True)
    report.settled_seconds, report.wrong = await until_right(room.world, SETTLE_SECONDS)
    await asyncio.sleep(DETAILS_SECONDS)
    report.wrong += await lost_specs(room.world, churn.written)
    report.quiet_seconds = 20 if report.minutes < 10 else 60
    report.wrong += [
        f"written for no reason: {line}" for line in await quiet_for(room, report.quiet_seconds)
    ]
    report.boosters = len(await room.world.list(MODEL_BOOSTER))
    report.children = sum([len(await room.world.list(resource)) for resource in CHILDREN])
    await _cancel(always)
    report.wrong += unexpected_ends(room)
    if spare := samples.last("leader", "spare_entries"):
        report.wrong.append(f"the work queue holds {spare:g} entries more than ModelBoosters")
    samples.write(room.folder / "samples.json")
    report.churn, report.codes = churn.done, codes(requests(room))
    report.lives = {replica.name: len(replica.ended) for replica in room.replicas}


def _sampling(minutes: float) -> tuple[float, float]:
    """Seconds between two samples, and how long a process may warm up; a short soak is for CI."""
    return (10.0, 240.0) if minutes >= 10 else (2.0, 15.0)


async def _repair(room: Room) -> None:
    """Repairs what the faults left behind."""
    room.proxy.clear()
    await asyncio.to_thread(room.grant)
    await restore_kinds(room)
    await restore_the_definition(room)
    for replica in room.replicas:
        replica.send(signal.SIGCONT)


async def _unless_one_ends(seconds: float, tasks: list[asyncio.Task[None]]) -> None:
    """Waits, and raises the exception of any task that ends early."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
        raise RuntimeError("a part of the soak has ended before its time")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
