"""The memory of the webhook under load: it stays below the limit that the chart sets.

The process is the real one. The clients follow the protocol; they only send much and then wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.chart import WEBHOOK, container, one, rendered
from tests.controlplane.plane import ControlPlane
from tests.faults.traffic import MIB, Webhook, Webhooks, started
from tests.webhook import GOOD, Client, request

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CLIENTS = 64
IDLE = 180
"""With these, the server has nearly as many connections as it takes."""
ALMOST_WHOLE = request(b" " * 8 * MIB)[:-1]
"""A request with the largest body that is accepted, less a byte."""


@pytest.fixture(scope="module")
def webhooks(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhooks]:
    yield from started(plane, tmp_path_factory.mktemp("webhooks"))


@pytest.fixture
def webhook(webhooks: Webhooks) -> Webhook:
    return webhooks.start()


def limit_bytes() -> int:
    """The memory limit of the webhook's container, as the chart renders it."""
    limit: str = container(one(rendered(), "Deployment", WEBHOOK))["resources"]["limits"]["memory"]
    return int(limit.removesuffix("Mi")) * MIB


class Filler(threading.Thread):
    """Sends all but the last byte of a body, and waits for what the server says."""

    def __init__(self, webhook: Webhook, *, asks_first: bool) -> None:
        super().__init__(daemon=True)
        self._webhook = webhook
        self._asks_first = asks_first
        self.said = b""

    def run(self) -> None:
        with contextlib.suppress(OSError), self._webhook.blocking(timeout=20) as connection:
            if self._asks_first:
                connection.sendall(GOOD)
                connection.recv(2**16)
            with contextlib.suppress(OSError):  # it may be refused before it has sent all
                connection.sendall(ALMOST_WHOLE)
            self.said = connection.recv(2**16)


async def closed(*clients: Client) -> None:
    """Ends connections, and waits until they are."""
    for client in clients:
        client.writer.transport.abort()
    for client in clients:
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


@asynccontextmanager
async def statuses_meanwhile(webhook: Webhook) -> AsyncIterator[dict[str, list[int]]]:
    """Asks all the time, on one connection that is kept and on a new one for each request."""
    found: dict[str, list[int]] = {"kept": [], "new": []}
    kept = await webhook.connect()
    assert (await kept.ask(GOOD))[0] == 200

    stopping = asyncio.Event()

    async def ask_on() -> None:
        while not stopping.is_set():
            found["kept"].append((await kept.ask(GOOD))[0])
            client = await webhook.connect()
            try:
                found["new"].append((await client.ask(GOOD))[0])
            finally:
                await closed(client)
            await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask_on())
    try:
        yield found
        assert not asking.done(), asking.exception()
    finally:
        stopping.set()
        await asyncio.wait([asking], timeout=30)
        asking.cancel()  # only if a request hangs
        with contextlib.suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            await asking
        await closed(kept)


@pytest.mark.parametrize("asks_first", [False, True], ids=["strangers", "after a good request"])
async def test_many_large_bodies_stay_below_the_memory_limit(
    webhook: Webhook, asks_first: bool
) -> None:
    webhook.forget_peak()
    idle = [webhook.blocking(timeout=20) for _ in range(IDLE)]
    for connection in idle:
        connection.sendall(GOOD)
        connection.recv(2**16)
    print(f"with {IDLE} idle connections {webhook.memory / MIB:.0f} MiB")
    fillers = [Filler(webhook, asks_first=asks_first) for _ in range(CLIENTS)]
    async with statuses_meanwhile(webhook) as found:
        for filler in fillers:
            filler.start()
        for filler in fillers:
            await asyncio.to_thread(filler.join)
    peak = webhook.peak
    for connection in idle:
        connection.close()
    print(f"peak {peak / MIB:.0f} MiB, {len(found['new'])} good requests")
    assert peak < limit_bytes()
    refusals = [each.said for each in fillers if each.said.startswith(b"HTTP/1.1 503 ")]
    assert refusals
    assert all(b"\r\nretry-after: 1\r\n" in said for said in refusals)
    for statuses in found.values():
        assert statuses
        assert set(statuses) == {200}
