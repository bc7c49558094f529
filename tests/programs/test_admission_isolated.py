"""What a review makes the interpreter do: it opens, fetches and runs nothing.

Python reports each file that it opens, each connection, process, import and compilation to audit
hooks (https://docs.python.org/3/library/audit_events.html). A hook cannot be removed, so the
reviews run in a process of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from app.values.meta import Object
from tests.builders import backend, booster_object, lora, worker
from tests.golden import cases
from tests.webhook import review

ROOT = Path(__file__).parents[2]

ANSWER = """
import logging, sys
import orjson
from app.lookup import lookup_among
from app.metrics import Metrics
from app.validation import Context
from webhook.endpoint import _answer
from webhook.review import mutate_review, validate_review

class Broken:
    @property
    def ready(self):
        raise RuntimeError("the lookup failed")

logging.basicConfig(level=logging.DEBUG)
metrics, events, watching = Metrics(), [], False

def hook(name, args):
    if watching:
        events.append([name, *map(str, args)])

def answers(reviews, lookup):
    context = Context(lookup=lookup)
    for body in map(orjson.dumps, reviews):
        for reviewer in (lambda review: validate_review(review, context), mutate_review):
            try:
                yield orjson.loads(_answer(body, reviewer, metrics))
            except Exception as exc:
                yield str(exc)

first, second = orjson.loads(sys.stdin.buffer.read())
sys.addaudithook(hook)
list(answers(first, lookup_among([])))
watching = True
found = list(answers(second, lookup_among([])))
open("/dev/null").close()
watching = False
failed = list(answers(second, Broken()))
sys.stdout.buffer.write(orjson.dumps([found, failed, events]))
"""
"""Answers reviews to warm up, watches while it answers others, and answers those with a bug."""

HARMLESS = {"object.__getattr__", "builtins.id", "sys._getframe"}
"""Events that touch nothing outside of the process."""

SECRET = "s3cr3t-of-a-user"


def run(first: list[Object], second: list[Object]) -> tuple[list[Any], list[Any], list[Any], str]:
    """Returns the watched answers, those of the broken webhook, the events, and the log."""
    done = subprocess.run(
        [sys.executable, "-c", ANSWER],
        cwd=ROOT,
        input=orjson.dumps([first, second]),
        capture_output=True,
        check=False,
    )
    log = done.stderr.decode()
    assert done.returncode == 0, log
    found, failed, events = orjson.loads(done.stdout)
    return found, failed, events, log


def hostile() -> list[Object]:
    """Objects whose texts would matter if anything opened, fetched or ran them."""
    texts = (
        *("/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x"),
        *("$(id)", "`id`", "; id", "{{ .Values }}", "!!python/object/apply:os.system [id]"),
        "__import__('os').system('id')",
    )
    return [
        booster_object(
            "demo",
            backend(
                modelURI=uri,
                cacheURI=text,
                env=[{"name": "TEXT", "value": text}],
                loraAdapters=[lora("sql", artifactURL=uri)],
                workers=[worker(image=f"vllm/vllm-openai:{text}", config={"chat-template": text})],
            ),
            modelMatch={"uri": {"regex": text}},
        )
        for text in texts
        for uri in (text, f"hf://{text}", f"pvc://{text}")
    ]


def test_a_review_opens_fetches_and_runs_nothing() -> None:
    """The first reviews read our own tables of engine flags; after them there is nothing to do."""
    usual = [review(cases.booster(case)) for case in cases.CASES]
    odd = [review(obj) for obj in hostile()]
    found, _, events, _ = run([*usual, review(booster_object("demo", backend("B_")))], usual + odd)
    assert {answer["response"]["allowed"] for answer in found} == {True, False}
    # What the program does itself after the reviews shows that the hook was called.
    (own,) = (event for event in events if event[0] not in HARMLESS)
    assert own[:2] == ["open", "/dev/null"]


def test_a_review_logs_nothing_of_the_object() -> None:
    """Not even at level debug, and not if the webhook has a bug."""
    secret = backend(
        env=[{"name": "HF_TOKEN", "value": SECRET}],
        workers=[worker(config={"api-key": SECRET, "max-model-len": SECRET})],
    )
    valid = review(booster_object("demo", backend(env=[{"name": "TOKEN", "value": SECRET}])))
    refused = review(booster_object("demo", {**secret, "minReplicas": 3, "maxReplicas": 2}))
    found, failed, _, log = run([], [valid, refused])
    assert [answer["response"]["allowed"] for answer in found] == [True, True, False, True]
    assert any(isinstance(answer, str) for answer in failed)
    assert "RuntimeError: the lookup failed" in log
    assert SECRET not in log
    assert SECRET not in str(failed)
