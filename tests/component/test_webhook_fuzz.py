"""Randomly mutated reviews: each gets the same response twice, and never a 500.

Parts of valid reviews are removed, duplicated, moved and replaced by values that break programs;
then single bytes are changed. The seed is fixed, so that a failure can be repeated.
``FUZZ_REVIEWS`` sets the number of reviews of the slow case, ``FUZZ_SEED`` the seed.
"""

from __future__ import annotations

import os
import random
from typing import Any

import orjson
import pytest

from app.lookup import lookup_among
from app.validation import Context
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker
from tests.webhook import Client, request, review, serving
from webhook.server import MUTATE, VALIDATE

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

REVIEWS = int(os.environ.get("FUZZ_REVIEWS", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, -0.0, 1e308),
    *("", " ", "\0", "\n", "a\u0301", "\U0001f600", "x" * 300, "hf://", "pvc://", "../..", "$(x)"),
    *("{", "[" * 50, "0x10", "1e9999", "9" * 400, "99999999999h", "-1s", "Infinity", "%s%n"),
    *([], {}, [[]], [None], {"": ""}, {"name": None}, [{"name": "b1"}] * 3),
)


def _corpus() -> list[Object]:
    room = {"minReplicas": 1, "maxReplicas": 2}
    full = backend(
        **room,
        cacheURI="pvc://models",
        env=[{"name": "A", "value": "b"}, {"name": "RUNTIME_PORT", "value": "8200"}],
        envFrom=[{"secretRef": {"name": "s"}}],
        loraAdapters=[lora("a")],
        autoscalingPolicy=policy(behavior={}),
        workers=[
            worker(
                config={"port": 8001, "max-model-len": 1000, "tensor-parallel-size": 2},
                resources={"limits": {"nvidia.com/gpu": "2", "memory": "1Gi"}},
                tolerations=[{"key": "x", "operator": "Exists"}],
                affinity={"nodeAffinity": {}},
            )
        ],
    )
    match = {"uri": {"regex": "^/a"}, "headers": {"x": {"exact": "y"}}, "body": {"model": "m"}}
    transfer = {"kv-transfer-config": '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'}
    sides = [worker(kind, config=transfer) for kind in ("prefill", "decode")]
    objects = [
        booster_object("demo", full, disaggregated(workers=sides), modelMatch=match, name="qwen"),
        booster_object(backend=backend(**room, gangScheduling=True), autoscalingPolicy=policy()),
        booster_object(
            "demo",
            backend(**room, scalingCost=1, scaleToZeroGracePeriod="30s"),
            autoscalingPolicy=policy(),
            costExpansionRatePercent=100,
        ),
    ]
    gone = {"annotations": {"workload.serving.volcano.sh/deletion-protection": "true"}}
    return [
        *(review(obj) for obj in objects),
        *(review(obj, operation="UPDATE", oldObject=objects[0]) for obj in objects),
        review(operation="DELETE", oldObject=booster_object(metadata=gone)),
    ]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that can be changed: what holds it, and its key or index."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        inner = todo.pop()
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        for key in keys:
            found.append((inner, key))
            if isinstance(inner[key], dict | list):
                todo.append(inner[key])
    return found


def _changed(document: Object, chance: random.Random) -> Object:
    """Returns a document that chance has changed in up to four places; its uid stays."""
    copy: Object = orjson.loads(orjson.dumps(document))
    for _ in range(chance.randint(1, 4)):
        holder, key = chance.choice(_places(copy))
        match chance.randrange(5):
            case 0:
                del holder[key]
            case 1:
                holder[key] = chance.choice(STRANGE)
            case 2 if isinstance(holder, list):
                holder.append(holder[key])
            case 3 if isinstance(holder, dict):
                holder[chance.choice(["", "name", "spec", "\0", str(key).upper()])] = holder[key]
            case _:
                other, there = chance.choice(_places(copy))
                # A copy: a document that holds itself could not be written.
                holder[key] = orjson.loads(orjson.dumps(other[there]))
    return copy


def _corrupted(body: bytes, chance: random.Random) -> bytes:
    """Returns bytes that chance has changed in up to three places."""
    raw = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw))
        match chance.randrange(3):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randint(1, 20)]
            case _:
                raw[at:at] = chance.choice([b'"', b"{", b"[", b"\\u0000", b"\xff", b"1e99", b","])
        if not raw:
            return b"0"
    return bytes(raw)


async def _check(client: Client, path: str, body: bytes, uid: Any) -> None:
    """Asks twice. A uid that is a text of fair length comes back; nothing else is promised."""
    (status, _, content), (status_again, _, content_again) = [
        await client.ask(request(body, path)) for _ in range(2)
    ]
    assert status in (200, 400), (path, body)
    assert (status, content) == (status_again, content_again), body
    if status == 400:
        assert len(content) <= 200
        return
    response = orjson.loads(content)["response"]
    assert uid is None or response["uid"] == uid
    assert path == VALIDATE or response["allowed"]
    if not response["allowed"]:
        assert response["status"]["code"] in (403, 422)
        assert len(response["status"].get("details", {}).get("causes", ())) <= 20


@pytest.mark.fault("F74")
@pytest.mark.parametrize("reviews", [100, pytest.param(REVIEWS, marks=pytest.mark.slow)])
async def test_every_review_is_answered(reviews: int) -> None:
    chance = random.Random(SEED)
    corpus, there = _corpus(), booster_object("other", backend("x"), namespace="default")
    context = Context(lookup=lookup_among([there]))
    async with serving(context=lambda: context) as server:
        # httpx takes three quarters of the time.
        client = await server.connect()
        for _ in range(reviews):
            document = _changed(chance.choice(corpus), chance)
            asked = document.get("request")
            uid = asked.get("uid") if isinstance(asked, dict) else None
            body = orjson.dumps(document)
            for path in (VALIDATE, MUTATE):
                await _check(client, path, body, uid)
            await _check(client, VALIDATE, _corrupted(body, chance), None)
        client.close()
