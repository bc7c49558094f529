"""Workers: sharing the event loop, and the end of a ModelBooster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.metrics import Metrics
from app.values.meta import Key
from controller.queue.result import Result
from controller.queue.workers import Workers
from controller.queue.workqueue import WorkQueue

pytestmark = pytest.mark.anyio

WORKERS = 4
PASSES = 400


async def test_passes_that_never_wait_do_not_block_the_event_loop() -> None:
    queue, turns, passes = WorkQueue(), 0, 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def reconcile(key: Key) -> Result:
        nonlocal passes
        passes += 1
        if passes == PASSES:
            queue.shut_down()
        return Result(is_gone=True)

    for number in range(PASSES):
        queue.add(Key("ns", f"m{number}"), low_priority=True)
    beside = asyncio.create_task(others())
    await Workers(queue, reconcile, Metrics(), 36000).run(WORKERS)
    beside.cancel()

    assert passes == PASSES
    assert turns >= PASSES // WORKERS


async def test_a_deleted_booster_has_no_delayed_key() -> None:
    queue, key = WorkQueue(), Key("ns", "m")
    results: Iterator[Result] = iter([Result(), Result(is_gone=True)])

    async def reconcile(key: Key) -> Result:
        result = next(results)
        if not result.is_gone:
            queue.add(key)
        else:
            queue.shut_down()
        return result

    queue.add(key)
    await Workers(queue, reconcile, Metrics(), 36000).run(1)
    assert queue.delayed == 0


async def test_the_last_pass_decides_when_the_next_one_is_due() -> None:
    queue, key, last = WorkQueue(), Key("ns", "m"), Key("ns", "z")
    waits: Iterator[float | None] = iter([30, None])

    async def reconcile(at: Key) -> Result:
        if at == last:
            queue.shut_down()
            return Result(is_gone=True)
        wait = next(waits)
        queue.add(key if wait else last)  # an event during the pass
        return Result(requeue_after_seconds=wait)

    queue.add(key)
    await Workers(queue, reconcile, Metrics(), 36000).run(1)
    due = queue.next_due_seconds()
    assert due is not None
    assert due > 30000
