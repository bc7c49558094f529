"""What the two paths answer to whatever comes in, over TLS and a real socket."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from tests.builders import backend, booster_object, policy, worker
from tests.webhook import UID, Broken, review, serving, trust
from webhook.server import MUTATE, VALIDATE

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


@asynccontextmanager
async def _client(
    metrics: Metrics | None = None, context: Context | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(context=lambda: context or Context(), metrics=metrics) as server,
        httpx.AsyncClient(verify=trust(), base_url=server.url, trust_env=False) as client,
    ):
        yield client


async def _post(body: bytes, path: str = VALIDATE, **headers: str) -> httpx.Response:
    async with _client() as client:
        return await client.post(path, content=body, headers=headers or JSON)


@pytest.mark.fault("F72")
@pytest.mark.parametrize(
    ("headers", "want"),
    [
        pytest.param({"content-type": "application/json"}, 200, id="as sent"),
        pytest.param({"content-type": "application/json; charset=utf-8"}, 200, id="charset"),
        pytest.param({"content-type": "Application/JSON ;a=b"}, 200, id="capitals"),
        pytest.param({"x": "y"}, 415, id="none"),
        pytest.param({"content-type": ""}, 415, id="empty"),
        pytest.param({"content-type": "text/yaml"}, 415, id="YAML"),
        pytest.param({"content-type": "application/json-patch+json"}, 415, id="a longer one"),
        pytest.param({**JSON, "content-encoding": "gzip"}, 415, id="gzip"),
        pytest.param({**JSON, "content-encoding": "identity"}, 200, id="identity"),
    ],
)
async def test_content(headers: dict[str, str], want: int) -> None:
    answer = await _post(orjson.dumps(review()), **headers)
    assert answer.status_code == want
    assert len(answer.content) <= 200


def _with_config(text: str) -> bytes:
    """A review whose engine argument is this piece of JSON, unchanged."""
    flag = "chat-template" if text.startswith('"') else "allowed-origins"  # a text, or JSON
    obj = booster_object("demo", backend(workers=[worker(config={flag: "HERE"})]))
    return orjson.dumps(review(obj)).replace(b'"HERE"', text.encode())


DEEP = 100_000


@pytest.mark.fault("F66")
@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("[" * 31 + "1" + "]" * 31, True, id="levels that are allowed"),
        pytest.param("[" * 40 + "1" + "]" * 40, False, id="more levels"),
        pytest.param("[" * 1000 + "]" * 1000, False, id="a thousand levels"),
        pytest.param("[" * DEEP + "]" * DEEP, False, id="a hundred thousand levels"),
        pytest.param('{"a":' * DEEP + "1" + "}" * DEEP, False, id="as many maps"),
        pytest.param("[" + "[]," * 1_000_000 + "[]]", False, id="a million lists"),
        pytest.param("[" + "[]," * 200_000 + "[]]", False, id="two hundred thousand lists"),
        pytest.param(
            "{" + ",".join(f'"{n}":1' for n in range(300_000)) + "}", False, id="many keys"
        ),
        pytest.param("9223372036854775807", True, id="2^63 - 1"),
        pytest.param("9223372036854775808", False, id="2^63"),
        pytest.param("18446744073709551616", True, id="2^64, a fraction to the API server"),
        pytest.param("-0", True, id="minus zero"),
        pytest.param("1e300", True, id="a large fraction"),
        pytest.param('"\\u0000"', False, id="NUL"),
        pytest.param('"\\ud83d\\ude00"', True, id="a pair"),
    ],
)
async def test_config_that_can_be_decoded(text: str, want: bool) -> None:
    answer = await _post(_with_config(text))
    assert answer.status_code == 200
    response = answer.json()["response"]
    assert (response["uid"], response["allowed"]) == (UID, want)
    if not want:
        assert response["status"]["code"] == 422
        assert len(answer.content) < 1500


@pytest.mark.fault("F67")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1" * 5000, id="5000 digits"),
        pytest.param("1e999", id="beyond every number"),
        pytest.param("NaN", id="NaN"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param('"\\ud800"', id="half a pair"),
        pytest.param('"\x01"', id="a control character"),
        pytest.param("01", id="a zero before"),
        pytest.param("1 /* one */", id="a comment"),
        pytest.param("[1,]", id="a comma at the end"),
        pytest.param("'x'", id="other quotes"),
    ],
)
async def test_invalid_json_is_answered_with_400(text: str) -> None:
    answer = await _post(_with_config(text))
    assert (answer.status_code, answer.text) == (400, "the body is not JSON\n")


@pytest.mark.fault("F67")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xef\xbb\xbf" + orjson.dumps(review()), id="byte order mark"),
        pytest.param(orjson.dumps(review()) + b"x", id="bytes behind"),
        pytest.param(orjson.dumps(review()).replace(b"demo", b"\xff"), id="not UTF-8"),
        pytest.param(b"[" * DEEP, id="depth without a uid"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"kind":"AdmissionReview"}', id="half a review"),
    ],
)
@pytest.mark.parametrize("path", [VALIDATE, MUTATE])
async def test_non_review_is_answered_with_400(body: bytes, path: str) -> None:
    answer = await _post(body, path)
    assert answer.status_code == 400
    assert len(answer.content) <= 200


@pytest.mark.fault("F68")
async def test_last_duplicate_key_wins() -> None:
    body = orjson.dumps(review()).replace(b'"uid":', b'"uid":"first","uid":')
    assert (await _post(body)).json()["response"]["uid"] == UID
    twice = b'"minReplicas":7,"minReplicas":'
    body = orjson.dumps(review()).replace(b'"minReplicas":', twice)
    assert (await _post(body)).json()["response"]["allowed"] is True


@pytest.mark.fault("F69")
@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({"Name": "X Y", "BACKEND": 7}, True, id="other capitals"),
        pytest.param({"rateLimit": {"inputTokensPerUnit": 1}}, True, id="unknown field"),
        pytest.param({"name": "X Y"}, False, id="the field itself"),
    ],
)
async def test_unknown_fields_are_ignored(spec: Object, allowed: bool) -> None:
    answer = await _post(orjson.dumps(review(booster_object("demo", **spec))))
    assert answer.json()["response"]["allowed"] is allowed


@pytest.mark.fault("F75")
@pytest.mark.parametrize("size", [1_000_000])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"workers": [worker(image="{}")]}, id="image"),
        pytest.param({"modelURI": "hf://{}"}, id="source"),
        pytest.param({"cacheURI": "pvc://{}"}, id="cache"),
        pytest.param({"name": "{}"}, id="name"),
        pytest.param({"scaleToZeroGracePeriod": "{}"}, id="duration"),
    ],
)
async def test_long_texts_are_answered(fields: Object, size: int) -> None:
    for piece in ("a", "a-", "/", "1h", "-"):
        text = orjson.dumps(review(booster_object("demo", {**backend(), **fields})))
        body = text.replace(b"{}", (piece * (size // len(piece))).encode())
        answer = await _post(body)
        assert answer.status_code == 200
        assert len(answer.content) < 1500


@pytest.mark.fault("F76")
async def test_huge_valid_object_is_allowed() -> None:
    env = [{"name": f"V{n}", "value": "x" * 100} for n in range(650)]
    backends = [backend(f"b{n}", env=env, replicas=1) for n in range(16)]
    body = orjson.dumps(review(booster_object("demo", *backends)))
    assert len(body) > 1_200_000
    answer = await _post(body)
    assert answer.json()["response"]["allowed"] is True


@pytest.mark.parametrize(
    ("fields", "bounded"),
    [
        pytest.param({"notes": ["x"] * 49_900}, False, id="as many values as may be"),
        pytest.param({"notes": ["x"] * 50_010}, True, id="more values"),
        pytest.param({"notes": {f"key-{n}": 1 for n in range(50_010)}}, True, id="more keys"),
        pytest.param({"notes": [[]] * 32_000}, False, id="as many lists as may be"),
        pytest.param({"notes": [[]] * 32_800}, True, id="more lists"),
        pytest.param({"notes": [{}] * 32_800}, True, id="more maps"),
        pytest.param({"notes": ["[[[" * 30_000]}, True, id="brackets in a text"),
    ],
)
async def test_values_are_bounded_wherever_they_are(fields: Object, bounded: bool) -> None:
    body = orjson.dumps(review({**booster_object("demo"), **fields}))
    response = (await _post(body)).json()["response"]
    assert (response["uid"], response["allowed"]) == (UID, not bounded)
    if bounded:
        assert response["status"]["message"] == "the object holds too many values"
    nameless = body.replace(UID.encode(), b"x" * 200)
    assert (await _post(nameless)).status_code == 400


@pytest.mark.fault("F73")
@pytest.mark.parametrize("path", [VALIDATE, MUTATE])
async def test_internal_error_gives_no_verdict(path: str, caplog: pytest.LogCaptureFixture) -> None:
    context = Context(lookup=Broken())  # type: ignore[arg-type]  # that is what is broken
    metrics = Metrics()
    async with _client(metrics, context) as client:
        with caplog.at_level(logging.ERROR):
            body = orjson.dumps(review())
            answer = await client.post(path, content=body, headers=JSON)
        if path == MUTATE:  # asks nobody
            assert answer.status_code == 200
            return
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert caplog.text.count(UID) == 1
        assert caplog.text.count("RuntimeError: secret details") == 1
        after = await client.post(MUTATE, content=body, headers=JSON)
        assert after.status_code == 200


async def test_reviews_are_counted() -> None:
    metrics = Metrics()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    wrong = [
        booster_object("demo", backend(minReplicas=3, maxReplicas=2)),
        booster_object("demo", backend(minReplicas=1, maxReplicas=2)),
        {"metadata": {"name": "demo"}},
    ]
    async with _client(metrics) as client:
        for obj in (booster_object(), *wrong):
            await client.post(VALIDATE, content=orjson.dumps(review(obj)), headers=JSON)
        await client.post(VALIDATE, content=b"x", headers=JSON)
        await client.get(VALIDATE)
    total, denied = (
        "controller_runtime_webhook_requests_total",
        "modelbooster_webhook_denials_total",
    )
    assert value(total, webhook=VALIDATE, code="200") == 4
    assert value(total, webhook=VALIDATE, code="400") == 1
    assert value(total, webhook=MUTATE, code="200") is None
    assert value(denied, reason="FieldValueInvalid") == 2
    assert value(denied, reason="FieldValueRequired") == 1
    assert value("controller_runtime_webhook_latency_seconds_count", webhook=VALIDATE) == 5
    assert value("controller_runtime_webhook_requests_in_flight", webhook=VALIDATE) == 0


async def test_verdict_is_deterministic() -> None:
    obj = booster_object(
        "demo", *[backend(f"b{n}", minReplicas=2, maxReplicas=1) for n in range(3)]
    )
    body = orjson.dumps(review(obj))
    assert (await _post(body)).content == (await _post(body)).content


@pytest.mark.fault("F77")
async def test_default_is_stored_once() -> None:
    scaled = backend(minReplicas=1, maxReplicas=2, scalingCost=1)
    obj: Any = booster_object("demo", scaled, autoscalingPolicy=policy())
    first = (await _post(orjson.dumps(review(obj)), MUTATE)).json()["response"]
    assert first["patchType"] == "JSONPatch"
    obj["spec"]["costExpansionRatePercent"] = 200
    obj["spec"]["owner"] = "another webhook"
    second = (await _post(json.dumps(review(obj)).encode(), MUTATE)).json()["response"]
    assert second == {"uid": UID, "allowed": True}


def _asked(**request: Any) -> Object:
    whole = review()
    whole["request"] |= request
    return whole


@pytest.mark.fault("F70")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"kind": "Pod", "apiVersion": "v1"}, id="another kind"),
        pytest.param({**review(), "apiVersion": "admission.k8s.io/v1beta1"}, id="v1beta1"),
        pytest.param({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}, id="empty"),
        pytest.param([review()], id="a list of them"),
        pytest.param(_asked(uid=""), id="an empty uid"),
        pytest.param(_asked(uid=7), id="a uid that is a number"),
        pytest.param(_asked(uid=None), id="no uid"),
    ],
)
@pytest.mark.parametrize("path", [VALIDATE, MUTATE])
async def test_non_review_gets_no_verdict(path: str, body: Any) -> None:
    answer = await _post(orjson.dumps(body), path)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert 0 < len(answer.content) <= 200


@pytest.mark.fault("F70")
@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        pytest.param({"object": None}, False, id="nothing is created"),
        pytest.param({"object": None, "operation": "DELETE"}, True, id="deleted"),
        pytest.param({"operation": "CONNECT"}, True, id="connected"),
        pytest.param({"subResource": "status"}, True, id="status"),
        pytest.param({"kind": {"group": "", "version": "v1", "kind": "Pod"}}, True, id="a Pod"),
    ],
)
async def test_every_review_gets_a_verdict(asked: Object, allowed: bool) -> None:
    answer = await _post(orjson.dumps(_asked(**asked)))
    assert answer.status_code == 200
    response = answer.json()["response"]
    assert (response["uid"], response["allowed"]) == (UID, allowed)
