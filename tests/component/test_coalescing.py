"""When the event loop stops so that messages arrive together, and when it does not."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.kube.access import Credentials
from app.kube.connections.coalescing import MANY_REQUESTS, MAX_SECONDS, SHARE, Coalescing
from app.kube.connections.connection import Endpoint
from app.kube.connections.pool import ConnectionPool
from app.kube.request import Request, serialize
from tests.controlplane.plane import ControlPlane

pytestmark = pytest.mark.anyio

TURNS = 20
"""More turns of the event loop than one message needs."""


async def _message(coalescing: Coalescing, *, is_full: bool = False) -> None:
    coalescing.arrived(is_full=is_full)
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _with(requests: int, seconds: float) -> tuple[Coalescing, list[float]]:
    """Returns one with requests under way, and its stops. Responses took some seconds before."""
    stops: list[float] = []
    coalescing = Coalescing(stops.append)
    for _ in range(100):
        coalescing.sent()
        coalescing.answered(time.monotonic() - seconds)
    for _ in range(requests):
        coalescing.sent()
    return coalescing, stops


async def test_few_requests_are_not_delayed() -> None:
    coalescing, stops = _with(MANY_REQUESTS - 1, 1.0)
    await _message(coalescing)
    assert stops == []


async def test_a_stop_is_a_share_of_the_time_of_a_response() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 0.04)
    await _message(coalescing)  # the first one: nothing was collected before
    await _message(coalescing)
    assert len(stops) == 1
    assert 0 < stops[0] <= SHARE * 0.05


async def test_a_list_is_read_without_stops() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 30.0)
    for _ in range(3):
        await _message(coalescing, is_full=True)
    assert stops == []


async def test_a_small_message_beside_a_list_causes_no_stop() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 30.0)
    await _message(coalescing)
    coalescing.arrived(is_full=True)
    await _message(coalescing)
    assert stops == []


async def test_one_request_that_hangs_does_not_delay_others_for_long() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 0.001)
    coalescing.sent()
    coalescing.answered(time.monotonic() - 10)
    await _message(coalescing)
    await _message(coalescing)
    assert all(stop < 0.005 for stop in stops)


async def test_a_stop_is_short_if_responses_take_long() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 30.0)
    await _message(coalescing)
    await _message(coalescing)
    assert 0 < stops[0] <= MAX_SECONDS


async def test_messages_of_one_turn_cause_one_stop() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 30.0)
    await _message(coalescing)
    for _ in range(10):
        coalescing.arrived()
    await _message(coalescing)
    assert len(stops) == 1


async def test_a_turn_that_takes_longer_than_a_stop_causes_none() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 0.001)
    await _message(coalescing)
    await asyncio.sleep(0.01)
    await _message(coalescing)
    assert stops == []


async def test_nothing_stops_any_more_when_the_requests_have_ended() -> None:
    coalescing, stops = _with(MANY_REQUESTS, 30.0)
    coalescing.arrived()
    for _ in range(MANY_REQUESTS):
        coalescing.answered(time.monotonic())
    await _message(coalescing)
    await _message(coalescing)
    assert stops == []


@pytest.mark.parametrize(("at_once", "stops_are_due"), [(2, False), (32, True)])
async def test_requests_to_the_api_server(
    plane: ControlPlane, at_once: int, stops_are_due: bool
) -> None:
    """All are answered, whether the loop stops or not."""
    watch = {"watch": "true", "timeoutSeconds": "1"}  # a request that takes a second
    request = Request("GET", "/api/v1/configmaps", watch)
    assert bool(await _stops(plane, request, at_once, times=3)) is stops_are_due


async def test_long_responses_do_not_prevent_stops(plane: ControlPlane) -> None:
    """Nor do events that were collected: they are as long together."""
    path = "/api/v1/namespaces/default/configmaps"
    long = {"metadata": {"name": "long"}, "data": {"text": "x" * 30_000}}
    plane.api.request("POST", path, long)
    try:
        assert await _stops(plane, Request("GET", f"{path}/long"), 32, times=20)
    finally:
        plane.api.request("DELETE", f"{path}/long")


async def _stops(plane: ControlPlane, request: Request, at_once: int, *, times: int) -> list[float]:
    """Sends a request many times, and returns the stops. All must be answered."""
    stops: list[float] = []

    def stop(seconds: float) -> None:
        stops.append(seconds)
        time.sleep(seconds)

    access = await Credentials(str(plane.kubeconfig)).current()
    endpoint = Endpoint(access.server, access.tls, access.tls_name)
    headers = {"Authorization": access.authorization or ""}
    text = serialize(request, access.server, headers)
    pool = ConnectionPool(Coalescing(stop))

    async def ask() -> set[int]:
        return {(await pool.send(endpoint, text)).status for _ in range(times)}

    try:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask()) for _ in range(at_once)]
    finally:
        await pool.close()
    assert [task.result() for task in asking] == [{200}] * at_once
    return stops
