"""Network faults and misbehaving clients of the webhook: F60 to F66 of the fault table.

The process and the sockets are real. ``make test-all`` runs them at full length (``IN_FULL``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import orjson
import pytest

from tests.builders import backend, booster_object, worker
from tests.controlplane.plane import ControlPlane
from tests.faults.traffic import MIB, NEVER_READ, Webhook, Webhooks, started
from tests.sizes import IN_FULL
from tests.webhook import GOOD, Client, request, review

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def webhooks(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhooks]:
    yield from started(plane, tmp_path_factory.mktemp("webhooks"))


@pytest.fixture(scope="module")
def webhook(webhooks: Webhooks) -> Webhook:
    """The webhook under attack."""
    return webhooks.start()


@pytest.fixture(scope="module")
def fresh(webhooks: Webhooks) -> Webhook:
    """A webhook that was not attacked, so that its memory holds no garbage of an attack."""
    return webhooks.start()


REUSED_AFTER_SECONDS = (4, 6, 60, 89) if IN_FULL else (4, 6)


class Idle(threading.Thread):
    """A connection that is used, idle for a while, and used again."""

    def __init__(self, webhook: Webhook, seconds: float) -> None:
        super().__init__(daemon=True)
        self._webhook = webhook
        self.seconds = seconds
        self.answers: list[bytes] = []

    def run(self) -> None:
        with self._webhook.blocking(timeout=30) as connection:
            for pause in (self.seconds, 0):
                connection.sendall(GOOD)
                self.answers.append(connection.recv(2**16).partition(b"\r\n")[0])
                time.sleep(pause)  # the injected fault


@pytest.fixture(scope="module", autouse=True)
def idle(webhooks: Webhooks) -> list[Idle]:
    """Connections that stay idle while the other tests run."""
    webhook = webhooks.start()
    threads = [Idle(webhook, seconds) for seconds in REUSED_AFTER_SECONDS]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.fault("F60")
async def test_rolling_restart_under_load_fails_no_request(webhooks: Webhooks) -> None:
    """Clients reuse connections and learn late of removed pods, as API servers do."""
    old = [await asyncio.to_thread(webhooks.start, drain_seconds=3) for _ in range(2)]
    there, done, asked = list(old), asyncio.Event(), 0
    pause = 8 / (200 if IN_FULL else 100)

    async def ask_on(seed: int) -> None:
        nonlocal asked
        chance, client = random.Random(seed), None
        while not done.is_set():
            client = client or await chance.choice(there).connect()
            status, headers, _ = await client.ask(GOOD)
            assert status == 200
            asked += 1
            if headers.get("connection") == "close":
                await _gone(client)
                client = None
            await asyncio.sleep(pause)
        if client is not None:
            await _gone(client)

    async with asyncio.TaskGroup() as group:
        for seed in range(8):
            group.create_task(ask_on(seed))
        for going in old:
            there.append(await asyncio.to_thread(webhooks.start, drain_seconds=3))
            wanted = asked + 50
            await _until(lambda: asked > wanted)  # noqa: B023  # it is waited for at once
            going.stop()
            await asyncio.sleep(0.5)  # until then the Service routes some requests to the old pod
            there.remove(going)
            assert await asyncio.to_thread(going.process.wait, 30) == 0
        done.set()
    assert asked > 200


async def _until(right: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not right():  # noqa: ASYNC110 - it is other tasks that make it right
            await asyncio.sleep(0.05)


async def _gone(*clients: Client) -> None:
    """Closes connections and waits until they are closed."""
    for client in clients:
        client.writer.transport.abort()
    for client in clients:
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()


@asynccontextmanager
async def good_client(webhook: Webhook) -> AsyncIterator[list[int]]:
    """A client that keeps sending requests on one connection; yields the response statuses."""
    statuses: list[int] = []
    client = await webhook.connect()

    async def ask_on() -> None:
        while True:
            statuses.append((await client.ask(GOOD))[0])
            await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask_on())
    try:
        yield statuses
        assert not asking.done(), asking.exception()
        assert statuses
        assert set(statuses) == {200}
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            await asking
        await _gone(client)


HALF_OPEN: dict[str, bytes | None] = {
    "no hello": None,
    "silence after the handshake": b"",
    "half a header": b"POST /validate/modelbooster HTTP/1.1\r\nX: ",
    "half a body": GOOD[: len(GOOD) // 2],
}
MANY = 500


async def _opened(webhook: Webhook, said: bytes | None) -> Client | None:
    try:
        client = await (webhook.silent() if said is None else webhook.connect())
        if said:
            client.writer.write(said)
    except OSError:
        return None
    return client


@pytest.mark.fault("F62")
@pytest.mark.parametrize("kind", HALF_OPEN)
async def test_half_open_connections_do_not_delay_others(webhook: Webhook, kind: str) -> None:
    async with good_client(webhook) as statuses:
        half_open = await _many(webhook, HALF_OPEN[kind])
        before = len(statuses)
        await _until(lambda: len(statuses) > before + 20)
        await _is_served_before_long(webhook)
    await _gone(*half_open)


async def _many(webhook: Webhook, said: bytes | None) -> list[Client]:
    """Returns many half-open connections, without those that the server refused."""
    opened = []
    for _ in range(MANY // 50):
        batch = (_opened(webhook, said) for _ in range(50))
        opened += [client for client in await asyncio.gather(*batch) if client]
    return opened


async def _is_served_before_long(webhook: Webhook) -> None:
    """Retries until a new client is served; a full server may refuse some attempts."""
    async with asyncio.timeout(15):
        while not await _is_served(webhook):  # noqa: ASYNC110 - each try is a connection
            await asyncio.sleep(0.1)


async def _is_served(webhook: Webhook) -> bool:
    try:
        client = await webhook.connect()
    except OSError:
        return False
    try:
        return (await client.ask(GOOD))[0] == 200
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        await _gone(client)


@pytest.mark.fault("F62")
async def test_slow_writers_are_disconnected_and_do_not_delay_shutdown(webhooks: Webhooks) -> None:
    """Clients send one byte a second while the process shuts down."""
    webhook = await asyncio.to_thread(webhooks.start)
    half_open = [await _many(webhook, said) for said in HALF_OPEN.values()]
    clients = [client for kind in half_open[1:] for client in kind]

    async def drip() -> None:
        while True:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.writer.write(b"a")
            await asyncio.sleep(1)  # the injected fault

    dripping = asyncio.create_task(drip())
    try:
        await _is_served_before_long(webhook)
        webhook.stop()
        assert await asyncio.to_thread(webhook.process.wait, 30) == 0
    finally:
        dripping.cancel()
    await _gone(*clients, *half_open[0])


async def _at_once(seconds: float, one: Callable[[], object]) -> int:
    """Lets eight threads do something again and again; returns how often they did."""
    end, done = time.monotonic() + seconds, 0

    async def go_on() -> None:
        nonlocal done
        while time.monotonic() < end:
            await asyncio.to_thread(one)
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(go_on())
    return done


async def _has_forgotten(webhook: Webhook, memory: int, sockets: int) -> None:
    """Waits until the process has as much as before, give or take what allocators keep."""
    await _until(lambda: webhook.sockets <= sockets)
    await _until(lambda: webhook.memory <= memory + 8 * MIB)


@pytest.mark.fault("F63")
async def test_handshake_flood_blocks_nobody_and_leaks_nothing(webhook: Webhook) -> None:
    def shake_hands() -> None:
        with contextlib.suppress(OSError):  # it may be refused while there are too many
            webhook.blocking(timeout=30).close()

    await _at_once(2, shake_hands)
    sockets, memory = webhook.sockets, webhook.memory
    async with good_client(webhook) as statuses:
        done = await _at_once(10 if IN_FULL else 3, shake_hands)
        assert len(statuses) > 1
    assert done > 100
    await _has_forgotten(webhook, memory, sockets)


@pytest.mark.fault("F64")
async def test_resets_leak_nothing(webhook: Webhook) -> None:
    """Of what is kept for 120 s the server forgets what is lost at once."""

    def reset() -> None:
        with contextlib.suppress(OSError), webhook.blocking(timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NEVER_READ)
            connection.sendall(GOOD)
            connection.recv(1)

    await _at_once(2, reset)
    sockets, memory = webhook.sockets, webhook.memory
    assert await _at_once(30 if IN_FULL else 4, reset) > 100
    await _has_forgotten(webhook, memory, sockets)


MAX_BYTES = 8 * MIB
HEAD = b"POST /validate/modelbooster HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def _with_config(text: str) -> bytes:
    obj = booster_object("demo", backend(workers=[worker(config={"x": "HERE"})]))
    return orjson.dumps(review(obj)).replace(b'"HERE"', text.encode())


def _padded(size: int) -> bytes:
    body = orjson.dumps(review())
    return body + b" " * (size - len(body))


BODIES = [
    pytest.param(_padded(MAX_BYTES), 200, id="as long as may be"),
    pytest.param(_padded(MAX_BYTES + 1), 413, id="too long by a byte"),
    pytest.param(_with_config("[" * 10**5 + "]" * 10**5), 200, id="a hundred thousand levels"),
    pytest.param(_with_config("[" + "[]," * 10**6 + "[]]"), 200, id="a million lists"),
    pytest.param(
        _with_config("{" + ",".join(f'"{n}":1' for n in range(6 * 10**5)) + "}"),
        200,
        id="six hundred thousand keys",
    ),
    pytest.param(_with_config("1" * 5000), 400, id="5000 digits"),
    pytest.param(_with_config("9223372036854775808"), 200, id="2^63"),
    pytest.param(_with_config("1e999"), 400, id="beyond every number"),
    pytest.param(_with_config("-0"), 200, id="minus zero"),
    pytest.param(_with_config("NaN"), 400, id="NaN"),
    pytest.param(_with_config("Infinity"), 400, id="Infinity"),
    pytest.param(_with_config('"' + "x" * 7 * MIB + '"'), 200, id="a long text"),
]


@pytest.mark.fault("F65", "F66")
@pytest.mark.parametrize(("body", "want"), BODIES)
async def test_large_bodies_stay_within_their_memory_budget(
    fresh: Webhook, body: bytes, want: int
) -> None:
    """At most four times its size, and 8 MiB."""
    client = await fresh.connect()
    assert (await client.ask(GOOD))[0] == 200
    fresh.forget_peak()
    before = fresh.memory
    client.writer.write(request(body))
    with contextlib.suppress(OSError):  # it may be refused before it is sent
        await client.writer.drain()
    assert (await client.answer())[0] == want
    peak = fresh.peak
    await _gone(client)
    assert peak <= before + 4 * len(body) + 8 * MIB


@pytest.mark.fault("F65")
async def test_endless_body_is_cut(webhook: Webhook) -> None:
    client = await webhook.connect()
    webhook.forget_peak()
    before = webhook.memory
    client.writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    cut = asyncio.create_task(client.closed(within=60))
    chunk, sent = b"10000\r\n" + b" " * 2**16 + b"\r\n", 0
    while not cut.done() and sent < 20 * MAX_BYTES:
        client.writer.write(chunk)
        with contextlib.suppress(OSError):
            await client.writer.drain()
        await asyncio.sleep(0)
        sent += 2**16
    assert await cut
    # What is read while the refusal is on its way is thrown away.
    assert webhook.peak <= before + 4 * MAX_BYTES
    await _gone(client)


@pytest.mark.fault("F65")
@pytest.mark.parametrize("length", [10, 10**6])
async def test_wrong_content_length_is_rejected(webhook: Webhook, length: int) -> None:
    body = orjson.dumps(review())
    client = await webhook.connect()
    client.writer.write(HEAD + f"Content-Length: {length}\r\n\r\n".encode() + body)
    if length > len(body):  # it waits for the rest, for as long as a body may take
        await _gone(client)
    else:  # the rest is taken for another request, which it is not
        assert (await client.answer())[0] == 400
        assert await client.closed(within=10)
    await _gone(client)
    assert await _is_served(webhook)


@pytest.mark.fault("F61")
async def test_idle_connection_can_be_reused(idle: list[Idle]) -> None:
    """The API server keeps connections for 90 s; this looks at what began before all the others."""
    for thread in idle:
        await asyncio.to_thread(thread.join, 120)
        assert thread.answers == [b"HTTP/1.1 200 OK"] * 2, f"after {thread.seconds} s"
