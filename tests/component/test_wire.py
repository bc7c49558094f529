"""The wire against a peer that says exactly what a test wants, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.kube.request import Request, query_of, written
from app.kube.wire import Answer, Place, Wire
from tests.following import eventually

pytestmark = pytest.mark.anyio

ASKED = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG_UP = b""
"""Instead of an answer, or behind one: the end of the connection."""


@dataclass
class Peer:
    """Answers each request with the next of its pieces, and counts connections.

    Args:
        script: what it says, request by request; every answer may be of several pieces.
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
                    await asyncio.sleep(0)  # pieces shall arrive as such, as far as TCP lets them
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def peer(*script: list[bytes]) -> AsyncIterator[tuple[Peer, Wire, Place]]:
    found = Peer([*script])
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wire = Wire()
    try:
        yield found, wire, Place(f"http://127.0.0.1:{port}", ssl.create_default_context(), None)
    finally:
        await wire.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        pytest.param([SHORT], Answer(200, b"ok", {"content-length": "2"}), id="whole"),
        pytest.param(
            [SHORT[:9], SHORT[9:20], SHORT[20:-1], SHORT[-1:]],
            Answer(200, b"ok", {"content-length": "2"}),
            id="in pieces",
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"],
            Answer(200, b"ok", {"transfer-encoding": "chunked"}),
            id="in chunks",
        ),
        pytest.param(
            [b"HTTP/1.1 502 Bad Gateway\r\nServer: old\r\n\r\n", b"no way", HANG_UP],
            Answer(502, b"no way", {"server": "old"}),
            id="up to the end of the connection",
        ),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", SHORT],
            Answer(200, b"ok", {"content-length": "2"}),
            id="after a word that it will come",
        ),
        pytest.param(
            [b"HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n"],
            Answer(304, b"", {"etag": "x"}),
            id="without a body",
        ),
    ],
)
async def test_response_is_parsed(pieces: list[bytes], want: Answer) -> None:
    async with asyncio.timeout(60), peer(pieces) as (_, wire, place):
        assert await wire.ask(place, ASKED) == want


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
async def test_incomplete_response_is_an_error(pieces: list[bytes]) -> None:
    async with asyncio.timeout(60), peer(pieces, [SHORT]) as (found, wire, place):
        with pytest.raises(OSError, match=r"connection|answer"):
            await wire.ask(place, ASKED)
        assert (await wire.ask(place, ASKED)).body == b"ok"
        assert found.connections == 2


async def test_connection_is_reused() -> None:
    async with asyncio.timeout(60), peer(*[[SHORT]] * 5) as (found, wire, place):
        for _ in range(5):
            assert (await wire.ask(place, ASKED)).body == b"ok"
        assert found.connections == 1


async def test_concurrent_requests_use_separate_connections() -> None:
    async with asyncio.timeout(60), peer(*[[SHORT]] * 8) as (found, wire, place):
        await asyncio.gather(*(wire.ask(place, ASKED) for _ in range(4)))
        assert found.connections == 4
        await asyncio.gather(*(wire.ask(place, ASKED) for _ in range(4)))
        assert found.connections == 4


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([SHORT, HANG_UP], id="ended by the server meanwhile"),
        pytest.param([SHORT + b"HTTP/1.1 200 OK\r\n"], id="more was said than was asked for"),
        pytest.param([SHORT + SHORT], id="answered twice"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
            id="the server says that it ends it",
        ),
        pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], id="HTTP of old"),
    ],
)
async def test_unreliable_connection_is_not_reused(
    first: list[bytes],
) -> None:
    async with asyncio.timeout(60), peer(first, [SHORT]) as (found, wire, place):
        assert (await wire.ask(place, ASKED)).body == b"ok"
        await eventually(lambda: len(wire) == 0)
        assert (await wire.ask(place, ASKED)).body == b"ok"
        assert found.connections == 2


async def test_cancelled_request_closes_its_connection() -> None:
    async with asyncio.timeout(60), peer([SHORT[:-1]], [SHORT]) as (found, wire, place):
        asking = asyncio.create_task(wire.ask(place, ASKED))
        await found.began.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await found.ended.wait()
        assert (await wire.ask(place, ASKED)).body == b"ok"


async def test_idle_connections_are_closed_after_one_broke() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT], [HANG_UP], [SHORT]) as found_there:
        found, wire, place = found_there
        await asyncio.gather(*(wire.ask(place, ASKED) for _ in range(2)))
        with pytest.raises(ConnectionResetError):
            await wire.ask(place, ASKED)
        assert (await wire.ask(place, ASKED)).body == b"ok"
        assert found.connections == 3


async def test_a_cancelled_request_leaves_idle_connections_open() -> None:
    async with asyncio.timeout(10), peer([SHORT], [SHORT], [], [SHORT]) as (found, wire, place):
        await asyncio.gather(*(wire.ask(place, ASKED) for _ in range(2)))
        asking = asyncio.create_task(wire.ask(place, ASKED))
        await eventually(lambda: len(found.script) == 1)
        asking.cancel()
        await asyncio.wait([asking])
        assert (await wire.ask(place, ASKED)).body == b"ok"
        assert found.connections == 2


async def test_changed_ca_bundle_opens_a_new_connection() -> None:
    async with asyncio.timeout(60), peer([SHORT], [SHORT]) as (found, wire, place):
        await wire.ask(place, ASKED)
        await wire.ask(place._replace(tls=ssl.create_default_context()), ASKED)
        assert found.connections == 2


def test_request_is_written_completely() -> None:
    request = Request("PATCH", "/apis/x", {"force": "true", "none": ""}, b"{}")
    assert written(request, "https://h:1/k8s", {"A": "b"}) == (
        b"PATCH /k8s/apis/x?force=true HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert query_of(Request("GET", "/", {"labelSelector": "a=b,c"})) == "?labelSelector=a%3Db%2Cc"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "a\r"])
def test_header_injection_is_rejected(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        written(Request("GET", "/"), "https://h", {"Authorization": value})
