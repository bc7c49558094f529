"""The two ways to an endpoint, at once or by the application: they say the same."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest

from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from tests.builders import backend, booster_object, policy
from tests.following import eventually
from tests.webhook import GOOD, UID, Broken, Client, request, review, serving
from webhook.connections import Limits
from webhook.limiter import InFlightLimiter
from webhook.server import MUTATE, VALIDATE, webhook_app

pytestmark = pytest.mark.anyio


SCALED: Object = booster_object("m", backend(scalingCost=1), autoscalingPolicy=policy())
FAULTY: Object = booster_object("m", backend(minReplicas=3, maxReplicas=2))
JSON = "Content-Type: application/json\r\n"


@pytest.mark.parametrize("path", [VALIDATE, MUTATE])
@pytest.mark.parametrize(
    ("body", "headers", "broken"),
    [
        pytest.param(orjson.dumps(review()), JSON, False, id="allowed"),
        pytest.param(orjson.dumps(review(FAULTY)), JSON, False, id="refused"),
        pytest.param(orjson.dumps(review(SCALED)), JSON, False, id="patched"),
        pytest.param(b"{}", JSON, False, id="no review"),
        pytest.param(b"[" * 1000, JSON, False, id="no JSON"),
        pytest.param(b"", JSON, False, id="nothing"),
        pytest.param(orjson.dumps(review()), "", False, id="no content type"),
        pytest.param(orjson.dumps(review()), "Content-Type: text/yaml\r\n", False, id="YAML"),
        pytest.param(
            orjson.dumps(review()), f"{JSON}Content-Encoding: gzip\r\n", False, id="encoded"
        ),
        pytest.param(orjson.dumps(review()), JSON, True, id="our own mistake"),
        pytest.param(b"[" + b"[]," * 300_000 + b"[]]", JSON, False, id="many lists"),
    ],
)
async def test_both_paths_give_the_same_response(
    path: str, body: bytes, headers: str, broken: bool
) -> None:
    context = Context(lookup=Broken()) if broken else Context()  # type: ignore[arg-type]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    async with serving(context=lambda: context) as server:
        # HTTP/1.0 is what is left to the application.
        quick = await server.ask(head.encode() + body)
        slow = await server.ask(head.replace("HTTP/1.1", "HTTP/1.0").encode() + body)
    assert slow[1].pop("connection") == "close"
    assert quick[1].pop("connection", "close") == "close"
    assert quick == slow
    assert quick[0] == 200 or len(quick[2]) <= 200


@pytest.mark.parametrize("tail", [0, 1, 20], ids=["whole", "all but a byte", "all but some"])
async def test_pipelined_requests_are_answered_in_order(tail: int) -> None:
    """The last one comes in two pieces."""
    mutate = request(orjson.dumps(review(SCALED, uid="second")), MUTATE)
    lost = request(b"{}", "/elsewhere")
    sent = GOOD + mutate + lost + request(orjson.dumps(review(uid="fourth"))) + mutate
    cut = len(sent) - tail
    async with serving() as server:
        client = await server.connect()
        client.writer.write(sent[:cut])
        answers = [await client.answer() for _ in range(4)]
        client.writer.write(sent[cut:])
        answers.append(await client.answer())
        client.close()
    assert [status for status, _, _ in answers] == [200, 200, 404, 200, 200]
    said = [orjson.loads(body)["response"] for status, _, body in answers if status == 200]
    assert [one["uid"] for one in said] == [UID, "second", "fourth", "second"]
    assert ["patch" in one for one in said] == [False, True, False, True]


async def test_hundred_concurrent_requests_are_answered() -> None:
    async with serving() as server:
        client = await server.connect()
        client.writer.write(GOOD * 100)
        assert {(await client.answer())[0] for _ in range(100)} == {200}
        client.close()


async def test_body_deadline_is_the_timeout_of_the_api_server() -> None:
    async with serving(limits=Limits(body_seconds=600)) as server:
        client = await server.connect()
        late = request(orjson.dumps(review()), f"{VALIDATE}?timeout=1s")
        client.writer.write(late[:-1])
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert await client.closed(within=30)
        client.close()


async def test_number_of_concurrent_bodies_is_limited() -> None:
    async with serving() as server:
        waiting = [await server.connect() for _ in range(64)]
        for client in waiting:  # who has asked before is no stranger
            assert (await client.ask(GOOD))[0] == 200
            client.writer.write(GOOD[:-1])
        await _wait_for_in_flight(server.metrics, 64)
        status, headers, _ = await server.ask(GOOD)
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        for client in waiting:
            assert (await client.ask(GOOD[-1:]))[0] == 200
            client.close()
        assert (await server.ask(GOOD))[0] == 200


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_bodies_over_the_memory_budget_are_answered_with_503(version: str) -> None:
    """The largest that waits goes, and a small request is answered meanwhile."""
    limiter = InFlightLimiter(2**20)
    async with serving(limiter=limiter) as server:
        large = await server.connect()
        raw = request(b" " * 2**20)[:-1].replace(b"HTTP/1.1", f"HTTP/{version}".encode())
        large.writer.write(raw)
        await eventually(lambda: limiter.reserved_bytes == 2**20 - 1)
        assert (await server.ask(GOOD))[0] == 200
        large.writer.write(b" ")
        async with asyncio.timeout(5):
            status, headers, _ = await large.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert await large.closed(within=5)
        large.close()
        assert (await server.ask(GOOD))[0] == 200


async def _wait_for_in_flight(metrics: Metrics, want: int) -> None:
    name = "controller_runtime_webhook_requests_in_flight"
    async with asyncio.timeout(60):
        # Scrapes are all there is to see of it.
        while metrics.registry.get_sample_value(name, {"webhook": VALIDATE}) != want:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("cut", [False, True], ids=["closed", "cut"])
async def test_disconnect_during_a_request_leaks_nothing(cut: bool) -> None:
    def value(name: str, **labels: str) -> float | None:
        return server.metrics.registry.get_sample_value(name, {"webhook": VALIDATE, **labels})

    async with serving(limits=Limits(closing_seconds=0.5)) as server:
        for _ in range(70):  # more than are let in at a time
            client = await server.connect()
            client.writer.write(GOOD[:-1])
            await client.writer.drain()
            if cut:
                client.writer.transport.abort()
            else:
                client.close()
        assert (await server.ask(GOOD))[0] == 200
        await _wait_for_in_flight(server.metrics, 0)
        assert value("controller_runtime_webhook_requests_total", code="200") == 1
        lost = value("controller_runtime_webhook_requests_total", code="400") or 0
        assert value("controller_runtime_webhook_latency_seconds_count") == lost + 1


async def test_internal_error_keeps_the_connection_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = Context(lookup=Broken())  # type: ignore[arg-type]  # that is what is broken
    async with serving(context=lambda: context) as server:
        client = await server.connect()
        status, headers, body = await client.ask(GOOD)
        assert (status, "connection" in headers) == (500, False)
        assert b"secret" not in body
        assert caplog.text.count(UID) == 1
        assert caplog.text.count("RuntimeError: secret details") == 1
        assert (await client.ask(request(orjson.dumps(review()), MUTATE)))[0] == 200
        client.close()


async def test_slow_reader_gets_every_response() -> None:
    """The answers are 5 MB, more than what usually lies in the buffers of two kernels."""
    faults = [backend(f"b{n}", minReplicas=3, maxReplicas=2) for n in range(16)]
    denied = request(orjson.dumps(review(booster_object("m", *faults))))
    async with serving(limits=Limits(body_seconds=60.0, header_seconds=60.0)) as server:
        client = await server.connect(limit=1024)
        sending = asyncio.create_task(_sent(client, denied * 1200))
        await asyncio.sleep(0.2)  # the server has begun, and cannot get rid of its answers
        got = [len((await client.answer())[2]) for _ in range(1200)]
        await sending
        client.close()
    assert min(got) == max(got)
    assert sum(got) > 5_000_000


async def _sent(client: Client, raw: bytes) -> None:
    client.writer.write(raw)
    await client.writer.drain()


async def test_application_answers_without_the_server() -> None:
    transport = httpx.ASGITransport(webhook_app(Context, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
        answer = await client.post(VALIDATE, json=review())
    assert answer.json()["response"] == {"uid": UID, "allowed": True}


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
