"""The work queue: deduplication, priority, fairness, delays and backoff."""

from __future__ import annotations

import asyncio
import random

import pytest

from app.values.meta import Key
from controller.queue.ready_queue import MAX_BEGUN
from controller.queue.workqueue import QueueShutDown, WorkQueue

A, B, C = Key("ns", "a"), Key("ns", "b"), Key("ns", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock=clock, jitter=lambda: 0.5)  # in the middle: no jitter


def all_of(queue: WorkQueue) -> list[Key]:
    taken = []
    while (key := queue.take()) is not None:
        taken.append(key)
    return taken


def test_a_key_added_twice_is_handed_out_once(queue: WorkQueue) -> None:
    for key in (A, B, A):
        queue.add(key)
    assert all_of(queue) == [A, B]


def test_a_key_added_while_processing_is_queued_when_done(queue: WorkQueue) -> None:
    queue.add(A)
    assert queue.take() == A
    queue.add(A)
    queue.add(A)
    assert queue.take() is None
    queue.done(A)
    assert all_of(queue) == [A]


def test_a_done_key_is_not_queued_again(queue: WorkQueue) -> None:
    queue.add(A)
    queue.done(queue.take() or B)
    assert queue.take() is None


def test_normal_priority_goes_before_low_priority(queue: WorkQueue) -> None:
    queue.add(A, low_priority=True)
    queue.add(B, low_priority=True)
    queue.add(C)
    assert all_of(queue) == [C, A, B]


def test_an_addition_with_normal_priority_moves_a_key_up(queue: WorkQueue) -> None:
    queue.add(A, low_priority=True)
    queue.add(B, low_priority=True)
    queue.add(B)
    assert all_of(queue) == [B, A]


def test_an_addition_with_low_priority_does_not_move_a_key_down(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(A, low_priority=True)
    queue.add(B)
    assert all_of(queue) == [A, B]


@pytest.mark.parametrize(
    ("added", "want"),
    [
        pytest.param([True], [C, A], id="low priority"),
        pytest.param([True, False], [A, C], id="low, then normal priority"),
        pytest.param([False, True], [A, C], id="normal, then low priority"),
    ],
)
def test_priority_of_a_key_added_while_processing(
    queue: WorkQueue, added: list[bool], want: list[Key]
) -> None:
    queue.add(A)
    queue.take()
    for low in added:
        queue.add(A, low_priority=low)
    queue.done(A)
    queue.add(C)
    assert all_of(queue) == want


def test_a_busy_namespace_delays_another_by_one_key_only(queue: WorkQueue) -> None:
    for i in range(10_000):
        queue.add(Key("busy", f"m{i}"))
    queue.add(Key("calm", "m"))
    assert [queue.take() for _ in range(3)] == [
        Key("busy", "m0"),
        Key("calm", "m"),
        Key("busy", "m1"),
    ]


def with_a_pass(queue: WorkQueue, *keys: Key) -> None:
    """Gives each key a pass that has ended."""
    for key in keys:
        queue.add(key)
        assert queue.take() == key
        queue.done(key)


def test_a_key_that_had_a_pass_goes_before_keys_that_had_none(
    queue: WorkQueue, clock: Clock
) -> None:
    with_a_pass(queue, C)
    clock.now += 29
    for key in (A, B, C):
        queue.add(key)
    assert all_of(queue) == [C, A, B]


@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_key_is_not_preferred_for_ever(queue: WorkQueue, clock: Clock, is_dropped: bool) -> None:
    with_a_pass(queue, C)
    if is_dropped:  # deleted, and created again
        queue.drop(C)
    else:
        clock.now += 30
    for key in (A, B, C):
        queue.add(key)
    assert all_of(queue) == [A, B, C]


def test_a_pass_of_low_priority_makes_no_key_preferred(queue: WorkQueue) -> None:
    queue.add(C, low_priority=True)
    queue.done(queue.take() or A)
    for key in (A, B, C):
        queue.add(key)
    assert all_of(queue) == [A, B, C]


def test_a_new_key_waits_for_four_preferred_ones_at_most(queue: WorkQueue) -> None:
    busy = [Key("busy", f"m{i}") for i in range(10)]
    with_a_pass(queue, *busy)
    for key in (*busy, A, B):
        queue.add(key)
    assert all_of(queue) == [*busy[:4], A, *busy[4:8], B, *busy[8:]]


def test_a_key_that_changes_all_the_time_does_not_stop_a_new_one(queue: WorkQueue) -> None:
    with_a_pass(queue, B)
    queue.add(A)
    taken = []
    while A not in taken:
        queue.add(B)
        key = queue.take()
        assert key is not None
        taken.append(key)
        queue.done(key)
    assert taken == [B, B, B, B, A]


def test_preferred_keys_are_few(queue: WorkQueue) -> None:
    many = [Key("ns", f"m{i}") for i in range(MAX_BEGUN + 1)]
    with_a_pass(queue, *many)
    for key in (A, many[0], many[1]):
        queue.add(key)
    assert all_of(queue) == [many[1], A, many[0]]


def test_a_delayed_key_is_queued_when_due(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after(A, 10)
    clock.now += 9.9
    assert queue.take() is None
    clock.now += 0.2
    assert queue.take() == A


@pytest.mark.parametrize("delays", [(10, 3), (3, 10)])
def test_the_earliest_of_several_delays_wins(
    queue: WorkQueue, clock: Clock, delays: tuple[float, float]
) -> None:
    for delay in delays:
        queue.add_after(A, delay)
    clock.now += 3.1
    assert queue.take() == A
    queue.done(A)
    clock.now += 100
    assert queue.take() is None


@pytest.mark.parametrize("delays", [(10, 3), (3, 10)])
def test_a_scheduled_delay_replaces_an_earlier_one(
    queue: WorkQueue, clock: Clock, delays: tuple[float, float]
) -> None:
    for delay in delays:
        queue.schedule(A, delay)
    assert queue.next_due_seconds() == delays[-1]
    clock.now += delays[-1]
    assert all_of(queue) == [A]
    assert queue.delayed == 0


def test_a_key_due_while_processing_is_queued_once(queue: WorkQueue, clock: Clock) -> None:
    queue.add(A)
    queue.take()
    queue.add_after(A, 1)
    clock.now += 2
    assert queue.take() is None
    queue.done(A)
    assert all_of(queue) == [A]


HOUR = 3600.0
RESYNC_SECONDS = 36000.0


@pytest.mark.parametrize("minutes", [10, pytest.param(3 * 60, marks=pytest.mark.slow)])
def test_a_key_with_many_delays_has_one_entry(queue: WorkQueue, clock: Clock, minutes: int) -> None:
    """Each minute, every key is added, delayed by ten seconds, and then by the resync interval."""
    keys = [Key("ns", f"m{i}") for i in range(500)]
    for key in keys:
        queue.add(key)
    most = 0
    for _ in range(minutes):
        for later in (10, RESYNC_SECONDS):
            while (taken := queue.take()) is not None:
                queue.add_after(taken, later)
                queue.done(taken)
                most = max(most, queue.delayed)
            clock.now += 10
        clock.now += 40
        for key in keys:
            queue.add(key)
    assert most == len(keys)


def test_delayed_keys_are_queued_in_order_of_time(queue: WorkQueue, clock: Clock) -> None:
    chance = random.Random(4)
    want: dict[Key, float] = {}
    for _ in range(3000):
        key = Key("ns", f"m{chance.randrange(200)}")
        if chance.random() < 0.2:
            queue.drop(key)
            want.pop(key, None)
        else:
            delay = chance.uniform(1, HOUR)
            queue.add_after(key, delay)
            want[key] = min(want.get(key, delay), delay)
        assert queue.delayed == len(want)
    came = []
    while (left := queue.next_due_seconds()) is not None:
        clock.now += left
        came += all_of(queue)
    assert came == sorted(want, key=lambda key: want[key])


def test_a_dropped_key_has_no_entry(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after(A, RESYNC_SECONDS)
    queue.retry(A)
    queue.drop(A)
    assert (queue.delayed, queue.failures(A)) == (0, 0)
    clock.now += 2 * RESYNC_SECONDS
    assert queue.take() is None


def pauses(queue: WorkQueue, clock: Clock, count: int, **retry: float) -> list[float]:
    """Returns the delays of a key that always fails."""
    found = []
    queue.add(A)
    for _ in range(count):
        assert queue.take() == A
        queue.retry(A, **retry)
        queue.done(A)
        left = queue.next_due_seconds()
        assert left is not None
        found.append(round(left, 6))
        clock.now += left
    return found


def test_the_backoff_doubles_up_to_two_minutes(queue: WorkQueue, clock: Clock) -> None:
    assert pauses(queue, clock, 17) == [
        *(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96),
        *(81.92, 120, 120),
    ]
    assert queue.failures(A) == 17


def test_the_backoff_does_not_overflow(queue: WorkQueue, clock: Clock) -> None:
    assert pauses(queue, clock, 1200)[-1] == 120


def test_the_minimum_delay_of_a_failure_is_kept(queue: WorkQueue, clock: Clock) -> None:
    assert pauses(queue, clock, 2, at_least_seconds=60) == [60, 60]


def test_forget_resets_the_backoff(queue: WorkQueue, clock: Clock) -> None:
    pauses(queue, clock, 5)
    queue.forget(A)
    assert queue.failures(A) == 0
    queue.take()
    queue.done(A)
    assert pauses(queue, clock, 1) == [0.005]


@pytest.mark.parametrize(("dice", "want"), [(0.0, 0.004), (0.9999999, 0.006)])
def test_the_backoff_has_a_jitter_of_a_fifth(clock: Clock, dice: float, want: float) -> None:
    queue = WorkQueue(clock=clock, jitter=lambda: dice)
    queue.retry(A)
    assert queue.next_due_seconds() == pytest.approx(want)


def test_retries_are_rate_limited(queue: WorkQueue, clock: Clock) -> None:
    for i in range(300):
        queue.retry(Key("ns", f"m{i}"))
    clock.now += 1
    assert len(all_of(queue)) == pytest.approx(110, abs=1)
    clock.now += 1
    assert len(all_of(queue)) == pytest.approx(10, abs=1)


def test_additions_are_not_delayed_by_retries(queue: WorkQueue) -> None:
    for i in range(300):
        queue.retry(Key("ns", f"m{i}"))
    queue.add(A)
    assert queue.take() == A


class Counted:
    def __init__(self) -> None:
        self.said: list[str] = []

    def added(self) -> None:
        self.said.append("added")

    def started(self, waited_seconds: float) -> None:
        self.said.append(f"waited {waited_seconds:g}")

    def finished(self, worked_seconds: float) -> None:
        self.said.append(f"worked {worked_seconds:g}")

    def retried(self) -> None:
        self.said.append("retried")


def test_metrics_are_updated(clock: Clock) -> None:
    counted = Counted()
    queue = WorkQueue(counted, clock)
    queue.add(A)
    clock.now += 2
    queue.take()
    clock.now += 3
    assert queue.running == {A: 3}
    queue.retry(A)
    queue.done(A)
    assert counted.said == ["added", "waited 2", "retried", "worked 3"]
    assert queue.running == {}


# With an event loop.


@pytest.mark.anyio
async def test_getters_are_woken_in_order() -> None:
    queue = WorkQueue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = [group.create_task(queue.get()) for _ in range(2)]
        await asyncio.sleep(0)
        queue.add(A)
        queue.add_after(B, 0.01)
    assert sorted(task.result() for task in waiting) == [A, B]


@pytest.mark.anyio
async def test_a_getter_is_woken_when_the_first_delay_was_replaced() -> None:
    queue = WorkQueue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.schedule(A, 0.01)
        queue.schedule(B, 0.03)
        queue.schedule(A, 36000)
    assert waiting.result() == B


@pytest.mark.anyio
async def test_a_getter_cancelled_while_woken_loses_no_key() -> None:
    queue = WorkQueue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        second = group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(A)  # wakes the first
        first.cancel()
        assert await second == A


@pytest.mark.anyio
async def test_shutdown_ends_waiting_and_later_getters() -> None:
    queue = WorkQueue()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_for_the_end(queue))
        await asyncio.sleep(0)
        queue.shut_down()
    assert waiting.result()
    queue.add(A)
    queue.retry(B)
    assert await wait_for_the_end(queue)
    assert len(queue) == 0


async def wait_for_the_end(queue: WorkQueue) -> bool:
    try:
        await queue.get()
    except QueueShutDown:
        return True
    return False


@pytest.mark.anyio
async def test_done_works_after_shutdown() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await queue.get() == A
    queue.shut_down()
    queue.retry(A)
    queue.done(A)
    assert queue.running == {}
