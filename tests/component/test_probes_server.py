"""The port for probes and metrics, on real sockets: slow clients do not keep the kubelet out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.metrics import Metrics
from modelbooster.parts.probes import Probes
from modelbooster.settings import Settings
from tests.controlplane.ports import LOOPBACK, Port
from tests.webhook import Client

pytestmark = pytest.mark.anyio

PROBE = b"GET /livez HTTP/1.1\r\nHost: pod\r\n\r\n"
HEAD = b"GET /livez HTTP/1.1\r\nHost: pod\r\n"


@asynccontextmanager
async def serving(host: str = LOOPBACK) -> AsyncIterator[int]:
    """Runs the server; gives its port."""
    port = Port()
    port.release()
    settings = Settings(probe_host=host, probe_port=port.number)
    running = asyncio.create_task(Probes(settings, Metrics(), (), ()).run())
    try:
        yield port.number
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(10):
                await running


async def connected(port: int, said: bytes = b"") -> Client:
    client = Client(*await asyncio.open_connection(LOOPBACK, port))
    client.writer.write(said)
    return client


async def is_answered(port: int) -> bool:
    client = await connected(port, PROBE)
    try:
        status, _, body = await client.answer()
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        client.close()
    return (status, body) == (200, b"ok")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_ipv4_and_ipv6_are_served_by_default(address: str) -> None:
    """The pods of a cluster may have addresses of either family only."""
    async with serving(host="") as port:
        client = Client(*await asyncio.open_connection(address, port))
        client.writer.write(PROBE)
        status, _, _ = await client.answer()
        client.close()
    assert status == 200


async def test_probes_on_one_connection_are_answered() -> None:
    async with serving() as port:
        client = await connected(port)
        for _ in range(3):
            status, _, body = await client.ask(PROBE)
            assert (status, body) == (200, b"ok")
        client.writer.write(PROBE.replace(b"/livez", b"/metrics"))
        assert (await client.answer())[0] == 200
        client.close()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="silence"),
        pytest.param(HEAD, id="half a header"),
        pytest.param(PROBE, id="silence after an answer"),
        pytest.param(HEAD + b"Content-Length: 10\r\n\r\nhalf", id="half a body"),
        pytest.param(HEAD + b"Content-Length: 99999999\r\n\r\n" + b"a" * 2**20, id="a large body"),
        pytest.param(HEAD + b"X: " + b"a" * 2**17 + b"\r\n", id="a large header"),
    ],
)
async def test_idle_client_is_disconnected(said: bytes) -> None:
    async with serving() as port:
        client = await connected(port, said)
        assert await client.closed(within=9)
        client.close()
        assert await is_answered(port)


async def test_slow_header_is_disconnected() -> None:
    async with serving() as port:
        client = await connected(port, HEAD + b"X: ")
        with contextlib.suppress(OSError):
            async with asyncio.timeout(9):
                while not await client.closed(within=0.1):
                    client.writer.write(b"a")
        assert await client.closed(within=0)
        client.close()


async def test_many_silent_clients_leave_room_for_a_probe() -> None:
    async with serving() as port:
        silent = [await connected(port) for _ in range(300)]
        async with asyncio.timeout(5):
            while not await is_answered(port):  # noqa: ASYNC110 - each try is a connection
                await asyncio.sleep(0.1)
        ended = await asyncio.gather(*(client.closed(within=1) for client in silent))
        assert sum(ended) >= 300 - 64
        for client in silent:
            client.close()
