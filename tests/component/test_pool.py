"""The connection pool against a server that sends exactly the bytes that a test wants."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import Unreachable
from app.kube.access import Credentials
from app.kube.connections.connection import Endpoint, Response
from app.kube.connections.pool import ConnectionPool
from app.kube.connections.stream import READ_AHEAD_BYTES, read_within, whole_of
from app.kube.request import Request, query_of, serialize
from app.kube.transport import MAX_PARALLEL_WRITES, Transport
from tests.controlplane.credentials import Authority, write_kubeconfig
from tests.following import eventually

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG_UP = b""
"""In place of a response, or after it: the server closes the connection."""


@dataclass
class Peer:
    """Answers each request with the next of its responses, and counts connections.

    Args:
        script: the response to each request, in pieces.
    """

    script: list[list[bytes]]
    connections: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.began.set()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for piece in self.script.pop(0):
                    if piece == HANG_UP:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # send pieces separately, as far as TCP allows
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def peer(*script: list[bytes]) -> AsyncIterator[tuple[Peer, ConnectionPool, Endpoint]]:
    found = Peer([*script])
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = ConnectionPool()
    try:
        yield found, pool, Endpoint(f"http://127.0.0.1:{port}", ssl.create_default_context(), None)
    finally:
        await pool.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        pytest.param([SHORT], Response(200, b"ok", {"content-length": "2"}), id="whole"),
        pytest.param(
            [SHORT[:9], SHORT[9:20], SHORT[20:-1], SHORT[-1:]],
            Response(200, b"ok", {"content-length": "2"}),
            id="in pieces",
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"],
            Response(200, b"ok", {"transfer-encoding": "chunked"}),
            id="in chunks",
        ),
        pytest.param(
            [b"HTTP/1.1 502 Bad Gateway\r\nServer: old\r\n\r\n", b"no way", HANG_UP],
            Response(502, b"no way", {"server": "old"}),
            id="up to the end of the connection",
        ),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", SHORT],
            Response(200, b"ok", {"content-length": "2"}),
            id="after a 100 Continue",
        ),
        pytest.param(
            [SHORT.replace(b"\r\n\r\n", b"\r\nWarning: a\r\nWarning: b\r\n\r\n")],
            Response(200, b"ok", {"content-length": "2", "warning": "a, b"}),
            id="with a repeated header",
        ),
        pytest.param(
            [b"HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n"],
            Response(304, b"", {"etag": "x"}),
            id="without a body",
        ),
    ],
)
async def test_a_response_is_parsed(pieces: list[bytes], want: Response) -> None:
    async with asyncio.timeout(60), peer(pieces) as (_, pool, endpoint):
        assert await pool.send(endpoint, REQUEST) == want


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HANG_UP], id="none"),
        pytest.param([SHORT[:20], HANG_UP], id="half a head"),
        pytest.param([SHORT[:-1], HANG_UP], id="half a body"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n", HANG_UP],
            id="half of the chunks",
        ),
        pytest.param([b"SSH-2.0-OpenSSH_9.2\r\n"], id="another protocol"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"],
            id="two lengths",
        ),
    ],
)
async def test_an_incomplete_response_is_an_error(pieces: list[bytes]) -> None:
    async with asyncio.timeout(60), peer(pieces, [SHORT]) as (found, pool, endpoint):
        with pytest.raises(OSError, match=r"connection|answer"):
            await pool.send(endpoint, REQUEST)
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert found.connections == 2


async def test_a_connection_is_reused() -> None:
    async with asyncio.timeout(60), peer(*[[SHORT]] * 5) as (found, pool, endpoint):
        for _ in range(5):
            assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert found.connections == 1


async def test_concurrent_requests_use_separate_connections() -> None:
    async with asyncio.timeout(60), peer(*[[SHORT]] * 8) as (found, pool, endpoint):
        await asyncio.gather(*(pool.send(endpoint, REQUEST) for _ in range(4)))
        assert found.connections == 4
        await asyncio.gather(*(pool.send(endpoint, REQUEST) for _ in range(4)))
        assert found.connections == 4


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([SHORT, HANG_UP], id="closed by the server"),
        pytest.param([SHORT + b"HTTP/1.1 200 OK\r\n"], id="more data than the response"),
        pytest.param([SHORT + SHORT], id="answered twice"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
            id="Connection: close",
        ),
        pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], id="HTTP/1.0"),
    ],
)
async def test_an_unreliable_connection_is_not_reused(
    first: list[bytes],
) -> None:
    async with asyncio.timeout(60), peer(first, [SHORT]) as (found, pool, endpoint):
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        await eventually(lambda: len(pool) == 0)
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert found.connections == 2


async def test_a_cancelled_request_closes_its_connection() -> None:
    async with asyncio.timeout(60), peer([SHORT[:-1]], [SHORT]) as (found, pool, endpoint):
        sending = asyncio.create_task(pool.send(endpoint, REQUEST))
        await found.began.wait()
        sending.cancel()
        await asyncio.wait([sending])
        await found.ended.wait()
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"


async def test_a_request_without_a_response_ends_at_its_limit() -> None:
    async with asyncio.timeout(60), peer([SHORT[:-1]], [SHORT]) as (found, pool, endpoint):
        with pytest.raises(TimeoutError):
            await pool.send(endpoint, REQUEST, 0.05)
        await found.ended.wait()
        assert (await pool.send(endpoint, REQUEST, 60)).body == b"ok"
        assert found.connections == 2


async def test_the_limit_of_a_request_does_not_hold_for_the_next_one() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT]) as (found, pool, endpoint):
        assert (await pool.send(endpoint, REQUEST, 0.5)).body == b"ok"
        await asyncio.sleep(0.6)
        assert (await pool.send(endpoint, REQUEST, 60)).body == b"ok"
        assert found.connections == 1


async def test_a_limit_that_is_over_before_the_connection_is_made_ends_the_request() -> None:
    async with asyncio.timeout(60), peer([SHORT]) as (_, pool, endpoint):
        with pytest.raises(TimeoutError):
            await pool.send(endpoint, REQUEST, 0)
        assert (await pool.send(endpoint, REQUEST, 60)).body == b"ok"


async def test_a_write_that_waits_for_its_turn_ends_at_its_limit(tmp_path: Path) -> None:
    request = Request("PATCH", "/", body=b"{}", seconds=60)
    silent: list[bytes] = []
    async with (
        asyncio.timeout(60),
        peer(*[silent] * MAX_PARALLEL_WRITES, [SHORT]) as (found, _, endpoint),
    ):
        ca = Authority(tmp_path).ca_file
        kubeconfig = write_kubeconfig(tmp_path / "k", endpoint.server, ca, "t", "default")
        async with Transport(Credentials(str(kubeconfig)), "test") as transport:

            async def write(seconds: float) -> Response:
                return await transport.send(request._replace(seconds=seconds), lambda: None)

            others = [asyncio.create_task(write(60)) for _ in range(MAX_PARALLEL_WRITES)]
            await eventually(lambda: len(found.script) == 1)
            with pytest.raises(Unreachable, match="TimeoutError"):
                await write(0.1)
            assert len(found.script) == 1  # it was not sent
            for other in others:
                other.cancel()
            await asyncio.wait(others)
            assert (await write(60)).body == b"ok"


async def test_a_broken_connection_closes_the_idle_ones() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT], [HANG_UP], [SHORT]) as found_there:
        found, pool, endpoint = found_there
        await asyncio.gather(*(pool.send(endpoint, REQUEST) for _ in range(2)))
        with pytest.raises(ConnectionResetError):
            await pool.send(endpoint, REQUEST)
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert found.connections == 3


async def test_a_cancelled_request_leaves_idle_connections_open() -> None:
    async with asyncio.timeout(10), peer([SHORT], [SHORT], [], [SHORT]) as (found, pool, endpoint):
        await asyncio.gather(*(pool.send(endpoint, REQUEST) for _ in range(2)))
        sending = asyncio.create_task(pool.send(endpoint, REQUEST))
        await eventually(lambda: len(found.script) == 1)
        sending.cancel()
        await asyncio.wait([sending])
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert found.connections == 2


async def test_a_request_cancelled_after_its_handshake_leaves_the_socket_to_the_loop(
    tmp_path: Path,
) -> None:
    """The next socket gets the number of a closed one, even if the event loop still uses that."""
    authority = Authority(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(*authority.serving_pair("server", ["127.0.0.1"]))
    trust = ssl.create_default_context(cafile=authority.ca_file)
    silent = Peer([[]])
    async with asyncio.timeout(60), peer([SHORT]) as (_, pool, plain):
        server = await asyncio.start_server(silent.serve, "127.0.0.1", 0, ssl=serving)
        port = server.sockets[0].getsockname()[1]
        request = asyncio.create_task(
            pool.send(Endpoint(f"https://127.0.0.1:{port}", trust, None), REQUEST)
        )
        while len(pool) == 0:  # noqa: ASYNC110  # the handshake is over, the request not sent
            await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])

        assert (await pool.send(plain, REQUEST)).body == b"ok"
        server.close()


async def test_another_authority_needs_a_new_connection() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT]) as (found, pool, endpoint):
        await pool.send(endpoint, REQUEST)
        await pool.send(endpoint._replace(tls=ssl.create_default_context()), REQUEST)
        assert found.connections == 2


async def read_all(pool: ConnectionPool, endpoint: Endpoint) -> bytes:
    return (await whole_of(await pool.open(endpoint, REQUEST))).body


CHUNKS = b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_is_read_in_pieces_as_they_arrive() -> None:
    async with asyncio.timeout(60), peer([CHUNKS, b"1\r\no\r\n"]) as (_, pool, endpoint):
        opened = await pool.open(endpoint, REQUEST)
        assert (opened.status, opened.headers["a"]) == (200, "b")
        assert await opened.read() == b"o"
        with pytest.raises(TimeoutError):
            await read_within(opened, time.monotonic() + 60, 0.01)
        with pytest.raises(TimeoutError):
            await read_within(opened, time.monotonic(), None)
        opened.close()
        await eventually(lambda: len(pool) == 0)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([SHORT], id="with a length"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", SHORT], id="after a 100 Continue"),
        pytest.param([CHUNKS, b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"], id="in chunks"),
    ],
)
async def test_a_connection_serves_again_when_all_of_a_body_was_read(pieces: list[bytes]) -> None:
    async with asyncio.timeout(60), peer(pieces, [SHORT], pieces) as (found, pool, endpoint):
        assert await read_all(pool, endpoint) == b"ok"
        assert (await pool.send(endpoint, REQUEST)).body == b"ok"
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 1


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        pytest.param([SHORT + SHORT], b"ok", id="answered twice"),
        pytest.param([b"HTTP/1.1 502 No\r\n\r\n", b"no", HANG_UP], b"no", id="without a length"),
    ],
)
async def test_an_unreliable_connection_is_not_read_again(pieces: list[bytes], want: bytes) -> None:
    async with asyncio.timeout(60), peer(pieces, [SHORT]) as (found, pool, endpoint):
        assert await read_all(pool, endpoint) == want
        await eventually(lambda: len(pool) == 0)
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 2


async def test_a_response_that_is_closed_twice_gives_its_connection_back_once() -> None:
    longer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
    async with asyncio.timeout(10), peer([SHORT], [SHORT], [longer]) as (found, pool, endpoint):
        response = await pool.open(endpoint, REQUEST)
        await whole_of(response)
        response.close()
        responses = await asyncio.gather(*(pool.send(endpoint, REQUEST) for _ in range(2)))
        assert sorted(each.body for each in responses) == [b"ok", b"other"]
        assert found.connections == 2


async def test_a_body_that_nobody_read_does_not_reach_the_next_request() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT]) as (found, pool, endpoint):
        (await pool.open(endpoint, REQUEST)).close()
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 2


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([CHUNKS, b"1\r\no\r\n", HANG_UP], id="half of the chunks"),
        pytest.param([CHUNKS, b"x"], id="no chunks"),
        pytest.param([SHORT[:-1], HANG_UP], id="half of the length"),
    ],
)
async def test_a_body_that_breaks_off_is_an_error(pieces: list[bytes]) -> None:
    async with asyncio.timeout(60), peer(pieces, [SHORT]) as (found, pool, endpoint):
        with pytest.raises(OSError, match=r"connection|answer"):
            await read_all(pool, endpoint)
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 2


async def test_an_idle_connection_that_the_server_closes_costs_no_list() -> None:
    async with asyncio.timeout(60), peer([SHORT], [HANG_UP], [SHORT]) as (found, pool, endpoint):
        assert await read_all(pool, endpoint) == b"ok"
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 2


async def test_a_server_waits_while_nobody_reads() -> None:
    size = 16 << 20
    large = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, bytes(size)]
    async with asyncio.timeout(60), peer(large, [SHORT]) as (found, pool, endpoint):
        opened = await pool.open(endpoint, REQUEST)
        await asyncio.sleep(0.1)  # what a server sends meanwhile waits in the system's buffers
        first = await opened.read()
        assert len(first) <= 2 * READ_AHEAD_BYTES
        assert len(first) + len((await whole_of(opened)).body) == size
        assert await read_all(pool, endpoint) == b"ok"
        assert found.connections == 1


def test_a_request_is_serialized() -> None:
    request = Request("PATCH", "/apis/x", {"force": "true", "none": ""}, b"{}")
    assert serialize(request, "https://h:1/k8s", {"A": "b"}) == (
        b"PATCH /k8s/apis/x?force=true HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert query_of(Request("GET", "/", {"labelSelector": "a=b,c"})) == "?labelSelector=a%3Db%2Cc"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "a\r"])
def test_a_header_cannot_inject_another(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        serialize(Request("GET", "/"), "https://h", {"Authorization": value})
