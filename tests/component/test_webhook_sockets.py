"""The webhook's server on real sockets: bad framing, slow clients, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import warnings
from dataclasses import replace

import orjson
import pytest

from tests.controlplane.ports import Port
from tests.webhook import GOOD, UID, Client, Server, request, review, serving
from webhook.connections import Limits
from webhook.server import MUTATE, VALIDATE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("abandoned_handshakes")]

QUICK = Limits(header_seconds=1.0, body_seconds=1.0, handshake_seconds=1.0, closing_seconds=0.5)
BODY = orjson.dumps(review())
HOST = b"Host: x\r\nContent-Type: application/json\r\n"


async def test_one_connection_carries_many_requests() -> None:
    async with serving() as server:
        client = await server.connect()
        for _ in range(3):
            status, headers, body = await client.ask(GOOD)
            assert status == 200
            assert "connection" not in headers
            assert orjson.loads(body)["response"] == {"uid": UID, "allowed": True}
            assert len(body) <= 200
        client.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_ipv4_and_ipv6_are_served_without_a_host(address: str) -> None:
    port = Port()
    port.release()
    async with serving(host="", number=port.number):
        _, writer = await asyncio.open_connection(address, port.number)
        writer.close()


@pytest.mark.fault("F61")
async def test_idle_connection_outlives_the_header_timeout() -> None:
    async with serving(limits=QUICK) as server:
        used, unused = await server.connect(), await server.connect()
        await used.ask(GOOD)
        assert not await used.closed(within=2 * QUICK.header_seconds)
        for client in (used, unused):
            assert (await client.ask(GOOD))[0] == 200
            client.close()


@pytest.mark.fault("F61")
async def test_a_spare_connection_carries_a_request_much_later() -> None:
    """As API servers use those that they opened for a request that another connection carried."""
    limits = Limits(unused_seconds=0.2, spare_connections=3)
    async with serving(limits=limits) as server:
        clients = [await server.connect() for _ in range(8)]
        closed = await asyncio.gather(*(client.closed(within=2) for client in clients))
        assert closed.count(False) == limits.spare_connections
        for client, is_closed in zip(clients, closed, strict=True):
            if not is_closed:
                assert (await client.ask(GOOD))[0] == 200
            client.close()


async def test_spare_connections_are_closed_like_used_ones() -> None:
    async with serving(limits=Limits(unused_seconds=0.2, idle_seconds=1.0)) as server:
        client = await server.connect()
        assert not await client.closed(within=0.5)
        assert await client.closed(within=60)
        client.close()


async def test_connections_without_request_are_closed_and_keep_alive_kept() -> None:
    assert Limits().unused_seconds + Limits().closing_seconds < 10
    limits = Limits(unused_seconds=0.3, closing_seconds=0.2, spare_connections=0)
    async with serving(limits=limits) as server:
        used = await server.connect()
        assert (await used.ask(GOOD))[0] == 200
        unused = [await server.connect() for _ in range(20)]
        assert all(await asyncio.gather(*(client.closed(within=10) for client in unused)))
        assert (await used.ask(GOOD))[0] == 200
        for client in (used, *unused):
            client.close()


async def test_request_may_arrive_byte_by_byte() -> None:
    async with serving() as server:
        client = await server.connect()
        for byte in GOOD:
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert (await client.answer())[0] == 200
        client.close()


async def test_expect_100_continue_is_answered() -> None:
    async with serving() as server:
        client = await server.connect()
        head, _, body = GOOD.partition(b"\r\n\r\n")
        client.writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer())[0] == 100
        assert (await client.ask(body))[0] == 200
        client.close()


async def test_chunked_body_is_read() -> None:
    async with serving() as server:
        half = len(BODY) // 2
        parts = (BODY[:half], BODY[half:], b"")
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        head = f"POST {VALIDATE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode() + HOST
        status, _, body = await server.ask(head + b"\r\n" + chunks)
        assert (status, orjson.loads(body)["response"]["allowed"]) == (200, True)


TOO_LONG = 8 * 1024 * 1024 + 1


@pytest.mark.fault("F65")
async def test_too_long_content_length_is_rejected_at_once() -> None:
    async with serving() as server:
        head = f"POST {VALIDATE} HTTP/1.1\r\nContent-Length: {TOO_LONG}\r\n".encode() + HOST
        status, headers, _ = await server.ask(head + b"\r\n")
        assert (status, headers["connection"]) == (413, "close")


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    async with serving() as server:
        body = BODY + b" " * (TOO_LONG - 1 - len(BODY))
        assert (await server.ask(request(body)))[0] == 200


@pytest.mark.fault("F65")
async def test_endless_chunked_body_is_cut() -> None:
    async with serving() as server:
        client = await server.connect()
        head = f"POST {VALIDATE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode() + HOST
        client.writer.write(head + b"\r\n")
        cut = asyncio.create_task(client.closed(within=60))
        sent, chunk = 0, b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        while sent < 10 * TOO_LONG and not cut.done():
            client.writer.write(chunk)
            with contextlib.suppress(OSError):
                await client.writer.drain()
            await asyncio.sleep(0)
            sent += 0x10000
        assert await cut
        assert sent < 10 * TOO_LONG  # what lies in the buffers of two kernels included
        client.close()


@pytest.mark.fault("F71")
@pytest.mark.parametrize(
    "head",
    [
        pytest.param("Content-Length: 5\r\nContent-Length: 6\r\n", id="two lengths"),
        pytest.param("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", id="length and chunks"),
        pytest.param("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", id="chunks and length"),
        pytest.param("Content-Length: -5\r\n", id="negative length"),
        pytest.param("Content-Length: 0x5\r\n", id="hexadecimal length"),
        pytest.param("Content-Length: 99999999999999999999999\r\n", id="overflowing length"),
        pytest.param("Transfer-Encoding: gzip\r\n", id="unknown encoding"),
        pytest.param("Content-Length : 5\r\n", id="blank before the colon"),
        pytest.param("X: a\r\n Content-Length: 5\r\n", id="folded line"),
        pytest.param("X: a\x00b\r\nContent-Length: 0\r\n", id="NUL"),
        pytest.param("Connection: upgrade\r\nUpgrade: h2c\r\n", id="upgrade"),
        pytest.param("X: " + "a" * 17_000 + "\r\n", id="long field"),
        pytest.param("".join(f"X{i}: a\r\n" for i in range(65)), id="many fields"),
    ],
)
async def test_invalid_framing_closes_the_connection(head: str) -> None:
    async with serving() as server:
        client = await server.connect()
        status, headers, body = await client.ask(
            f"POST {VALIDATE} HTTP/1.1\r\n{head}".encode() + HOST + b"\r\nhello"
        )
        assert (status, headers["connection"]) == (400, "close")
        assert b"hello" not in body
        assert await client.closed(within=30)
        client.close()
        assert (await server.ask(GOOD))[0] == 200


@pytest.mark.fault("F71")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(b"\x16\x03\x01\x00\xa5", id="TLS in TLS"),
        pytest.param(b"hello\r\n\r\n", id="no HTTP"),
        pytest.param(b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", id="CONNECT"),
        pytest.param(b"POST /" + b"a" * 17_000, id="endless path"),
        pytest.param(b"POST / HTTP/1.1\r\nX: " + b"a" * 40_000, id="endless field"),
        pytest.param(
            f"POST {VALIDATE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode()
            + HOST
            + b"\r\nzz\r\n",
            id="bad chunk",
        ),
    ],
)
async def test_invalid_request_closes_the_connection(raw: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        client.writer.write(raw)
        assert await client.closed(within=30)
        client.close()
        assert (await server.ask(GOOD))[0] == 200


@pytest.mark.fault("F71")
@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        pytest.param("GET", VALIDATE, 405, id="GET"),
        pytest.param("PUT", VALIDATE, 405, id="PUT"),
        pytest.param("OPTIONS", MUTATE, 405, id="OPTIONS"),
        pytest.param("DELETE", MUTATE, 405, id="DELETE"),
        pytest.param("POST", "/", 404, id="root"),
        pytest.param("POST", "/" + VALIDATE, 404, id="two slashes"),
        pytest.param("POST", VALIDATE + "/", 404, id="slash at the end"),
        pytest.param("POST", "/%2e" + VALIDATE, 404, id="escaped dot"),
        pytest.param("POST", "/x/.." + VALIDATE, 404, id="two dots"),
        pytest.param("POST", "/docs", 404, id="documentation"),
        pytest.param("POST", VALIDATE + "?timeout=5s", 200, id="with a time"),
        pytest.param("POST", f"https://x{VALIDATE}", 200, id="absolute form"),
    ],
)
async def test_both_paths_accept_post_only(method: str, path: str, want: int) -> None:
    async with serving() as server:
        status, headers, _ = await server.ask(request(BODY, path, method=method))
        assert status == want
        assert headers.get("allow") == ("POST" if want == 405 else None)


@pytest.mark.fault("F71")
async def test_http_1_0_client_is_answered_and_disconnected() -> None:
    async with serving() as server:
        client = await server.connect()
        status, headers, _ = await client.ask(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (status, headers["connection"]) == (200, "close")
        assert await client.closed(within=30)
        client.close()


async def _silent_in_tcp(server: Server) -> bool:
    """Whether a client that never begins its handshake is let go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        return await Client(reader, writer).closed(within=60)
    finally:
        writer.close()


async def _silent_after(server: Server, said: bytes) -> bool:
    client = await server.connect()
    client.writer.write(said)
    try:
        return await client.closed(within=60)
    finally:
        client.close()


async def _dripping(server: Server, said: bytes) -> bool:
    """Whether a client is let go that keeps sending, one byte at a time."""
    client = await server.connect()
    client.writer.write(said)
    try:
        for _ in range(3000):  # 60 s and more
            client.writer.write(b"a")
            await client.writer.drain()
            if await client.closed(within=0.02):
                return True
    except OSError:
        return True
    finally:
        client.close()
    return False


def _slow_clients(server: Server) -> list[asyncio.Task[bool]]:
    half = GOOD[: len(GOOD) // 2]
    return [
        asyncio.create_task(client)
        for _ in range(10)
        for client in (
            _silent_in_tcp(server),
            _silent_after(server, b""),
            _silent_after(server, b"POST / HT"),
            _silent_after(server, half),
            _dripping(server, b"POST / HTTP/1.1\r\nX: "),
            _dripping(server, half),
        )
    ]


@pytest.mark.fault("F62")
async def test_slow_clients_are_disconnected() -> None:
    async with serving(limits=replace(QUICK, idle_seconds=1.0)) as server:
        assert all(await asyncio.gather(*_slow_clients(server)))


@pytest.mark.fault("F62")
async def test_slow_clients_do_not_delay_others() -> None:
    # So long that none of them is let go meanwhile.
    limits = Limits(handshake_seconds=600, header_seconds=600, body_seconds=600, idle_seconds=600)
    async with serving(limits=limits) as server:
        slow = _slow_clients(server)
        for _ in range(50):
            assert (await server.ask(GOOD))[0] == 200
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)


async def test_longest_idle_connection_is_evicted() -> None:
    async with serving(limits=Limits(connections=3)) as server:
        clients = []
        for _ in range(3):
            clients.append(await server.connect())
            assert (await clients[-1].ask(GOOD))[0] == 200
        assert (await clients[0].ask(GOOD))[0] == 200  # so the second is the longest idle now
        assert (await server.ask(GOOD))[0] == 200
        assert await clients[1].closed(within=30)
        assert (await clients[0].ask(GOOD))[0] == 200
        assert (await clients[2].ask(GOOD))[0] == 200
        for client in clients:
            client.close()


async def test_new_connection_is_refused_while_all_are_busy() -> None:
    async with serving(limits=Limits(connections=2)) as server:
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            client.writer.write(GOOD[:-1])
            await client.writer.drain()
        await asyncio.sleep(0.1)  # for the server to have read so far; there is no sign of it
        refused = await server.connect()
        assert await refused.closed(within=30)
        refused.close()
        for client in busy:
            assert (await client.ask(GOOD[-1:]))[0] == 200
            client.close()


async def test_draining_server_answers_and_closes_connections() -> None:
    async with serving(drain_seconds=0.5) as server:
        pooled = await server.connect()
        assert "connection" not in (await pooled.ask(GOOD))[1]
        server.stopping.set()
        await asyncio.sleep(0)
        status, headers, _ = await pooled.ask(GOOD)
        assert (status, headers["connection"]) == (200, "close")
        assert await pooled.closed(within=30)
        pooled.close()
        status, headers, _ = await server.ask(GOOD)
        assert (status, headers["connection"]) == (200, "close")
        async with asyncio.timeout(3):
            await server.done
        with pytest.raises(OSError, match=r".*"):
            await server.connect()


@pytest.mark.fault("F60")
async def test_rolling_update_loses_no_request() -> None:
    """The API server's side: pooled connections, reused until an answer says goodbye."""
    async with serving(drain_seconds=1.0) as old, serving() as new:
        pods, asked = [old], 0

        async def ask_on(seed: int) -> None:
            nonlocal asked
            chance = random.Random(seed)
            client = None
            while not old.done.done():
                client = client or await chance.choice(pods).connect()
                status, headers, _ = await client.ask(GOOD)
                assert status == 200
                asked += 1
                if headers.get("connection") == "close":
                    client.close()
                    client = None
                await asyncio.sleep(0.005)
            if client is not None:
                client.close()

        async with asyncio.TaskGroup() as group:
            for seed in range(4):
                group.create_task(ask_on(seed))
            while asked < 20:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            pods.append(new)
            old.stopping.set()
            await asyncio.sleep(0.5)  # so long the Service goes on sending some to the old one
            pods.remove(old)


@pytest.mark.fault("F62")
async def test_half_open_clients_do_not_delay_shutdown() -> None:
    # Nothing but the time for closing can end a client's part before the test runs out of time.
    limits = Limits(
        closing_seconds=0.3,
        handshake_seconds=0.2,
        header_seconds=600,
        body_seconds=600,
        idle_seconds=600,
    )
    async with serving(limits=limits) as server:
        idle, half_header, half_body = [await server.connect() for _ in range(3)]
        await idle.ask(GOOD)
        half_header.writer.write(GOOD[:10])
        half_body.writer.write(GOOD[:-10])
        deaf = socket.create_connection(("127.0.0.1", server.port))
        server.stopping.set()
        await server.done
        for client in (idle, half_header, half_body):
            assert await client.closed(within=30)
            client.close()
        deaf.close()
    # asyncio does not close what was in a handshake when its server closed, and then warns of it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(10):  # the timers of handshakes are late on a busy machine
            await asyncio.sleep(limits.handshake_seconds)
            gc.collect()


@pytest.mark.fault("F64")
async def test_resets_leak_nothing() -> None:
    async with serving() as server:
        before = len(asyncio.all_tasks())
        for _ in range(50):
            client = await server.connect()
            raw = client.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.writer.write(GOOD)
            await client.reader.read(1)
            client.writer.transport.abort()
        assert (await server.ask(GOOD))[0] == 200
        assert len(asyncio.all_tasks()) <= before + 2


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """The process takes uvloop where there is one; its TLS is another than asyncio's."""
    return request.param
