"""`model-booster chat` through the real API server's proxy, to a router that the test plays.

The API server reaches no loopback address by its proxy, so the router listens on another address
of this machine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object, Resource
from controller.status.pod_records import POD
from modelbooster.observe.asking import SERVICE
from tests.builders import backend, booster_object, worker
from tests.commands import run
from tests.component.running import DEPLOYING, is_in, running
from tests.conftest import Ran
from tests.played_pods import play_pods, ready, report
from tests.world import PATIENCE_SECONDS, Admin

pytestmark = pytest.mark.anyio

ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
ROUTER = "kthena-router"
PROMPT = "What is 2+2?"


def _own_address() -> str:
    """Returns an address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


class PlayedModel:
    """Answers requests as kthena's router or an engine would."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, Object]] = []
        self.silent = threading.Event()
        played = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                played.asked.append((self.path, json.loads(self.rfile.read(length))))
                if not played.answers:
                    played.silent.wait(PATIENCE_SECONDS)
                    return
                status, body = played.answers.pop(0)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.address = _own_address()
        self._server = ThreadingHTTPServer((self.address, 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.silent.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def model() -> Iterator[PlayedModel]:
    played = PlayedModel()
    yield played
    played.stop()


@pytest.fixture
async def qwen(kubeconfig: Path, namespace: str, admin: Admin) -> AsyncIterator[None]:
    async with running(kubeconfig, namespace):
        booster = booster_object("qwen", backend(), name="qwen-model")
        await asyncio.to_thread(admin.create, MODEL_BOOSTER, booster)
        await asyncio.to_thread(admin.until, MODEL_BOOSTER, "qwen", is_in(DEPLOYING))
        yield


def _router_service(admin: Admin, model: PlayedModel | None) -> None:
    """Creates the Service of the router, with an endpoint if there is one."""
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 8080}]
    admin.create(
        SERVICE,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": ROUTER},
            "spec": {"ports": ports},
        },
    )
    if model is not None:
        # The API server sends requests only to the address of a pod that is there.
        spec = {"containers": [{"name": "router", "image": "x:1"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ROUTER}, "spec": spec}
        admin.create(POD, pod)
        report(admin, ROUTER, podIP=model.address, podIPs=[{"ip": model.address}])
        target = {"kind": "Pod", "name": ROUTER, "namespace": admin.namespace}
        address = {"ip": model.address, "targetRef": target}
        admin.create(
            ENDPOINTS,
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": ROUTER},
                "subsets": [{"addresses": [address], "ports": [{"port": model.port}]}],
            },
        )


def _said(text: str) -> tuple[int, Any]:
    message = {"role": "assistant", "content": text}
    return 200, {"object": "chat.completion", "choices": [{"message": message}]}


async def _chat(kubeconfig: Path, *args: str, command: str = "chat") -> Ran:
    return await asyncio.to_thread(run, kubeconfig, command, "qwen", *args)


@pytest.mark.slow
async def test_chat_goes_through_the_router(
    qwen: None, admin: Admin, kubeconfig: Path, model: PlayedModel
) -> None:
    router = ("--router", f"{admin.namespace}/{ROUTER}")
    missing = await _chat(kubeconfig, PROMPT, *router)
    assert (missing.code, missing.stderr) == (
        1,
        f"Error: Service {ROUTER} in namespace {admin.namespace} does not exist: install kthena's "
        "router, or name yours with --router; or ask a pod itself with --pod\n",
    )
    _router_service(admin, model)

    model.answers = [_said("4")]
    said = await _chat(kubeconfig, PROMPT, *router)
    assert (said.stdout, said.stderr, said.code) == ("4\n", "", 0)
    path, question = model.asked[0]
    assert path == "/v1/chat/completions"
    assert (question["model"], question["messages"][0]["content"]) == ("qwen-model", PROMPT)

    model.answers = []
    slow = await _chat(kubeconfig, PROMPT, *router, "--timeout", "1s")
    assert slow.stderr.startswith(
        f"Error: Service {ROUTER} in namespace {admin.namespace} gave no answer within 1 s: "
    )

    no_template = {"error": {"message": "default chat template is no longer allowed"}}
    model.answers = [(400, no_template), (200, {"choices": [{"text": "four"}]})]
    raw = await _chat(kubeconfig, PROMPT, *router, command="curl")
    assert json.loads(raw.stdout) == {"choices": [{"text": "four"}]}
    assert model.asked[-1] == (
        "/v1/completions",
        {"model": "qwen-model", "max_tokens": 256, "prompt": PROMPT},
    )


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "route not found", 'route not found; it knows no ModelRoute for model "qwen-model"'),
        (503, "no available pods for model server: x", "no engine is ready: see model-booster"),
        (500, "request processing failed", "could not reach an engine"),
        (400, {"error": {"message": "too long"}}, "Error: the engine answered 400: too long\n"),
    ],
    ids=["route", "pods", "proxy", "engine"],
)
async def test_chat_says_which_hop_failed(
    qwen: None,
    admin: Admin,
    kubeconfig: Path,
    model: PlayedModel,
    status: int,
    body: Any,
    said: str,
) -> None:
    _router_service(admin, model)
    model.answers = [(status, body)]
    failed = await _chat(kubeconfig, "--router", f"{admin.namespace}/{ROUTER}", PROMPT)
    assert (failed.stdout, failed.code) == ("", 1)
    assert said in failed.stderr


@pytest.mark.slow
async def test_chat_with_a_router_that_is_not_ready_or_not_allowed(
    qwen: None, admin: Admin, kubeconfig: Path
) -> None:
    _router_service(admin, None)
    router = ("--router", f"{admin.namespace}/{ROUTER}")
    idle = await _chat(kubeconfig, PROMPT, *router)
    assert f"Error: no pod of the Service {ROUTER} in namespace {admin.namespace} is ready" in (
        idle.stderr
    )
    assert (await _chat(kubeconfig, PROMPT, "--router", "x")).code == 2
    asleep = await _chat(kubeconfig, PROMPT, "--pod")
    assert asleep.stderr == "Error: qwen has no pods: see model-booster status qwen\n"


async def test_chat_with_an_engine_itself(
    kubeconfig: Path, namespace: str, admin: Admin, model: PlayedModel
) -> None:
    async with running(kubeconfig, namespace):
        config = {"port": model.port}
        booster = booster_object("qwen", backend(workers=[worker(config=config)]))
        await asyncio.to_thread(admin.create, MODEL_BOOSTER, booster)
        await asyncio.to_thread(admin.until, MODEL_BOOSTER, "qwen", is_in(DEPLOYING))
        (pod,) = await asyncio.to_thread(play_pods, admin, "qwen-b1")
        ready(admin, pod, "engine", "runtime")
        report(admin, pod, podIP=model.address, podIPs=[{"ip": model.address}])

        model.answers = [_said("4")]
        said = await _chat(kubeconfig, PROMPT, "--pod", "--backend", "b1")

    assert (said.stdout, said.stderr, said.code) == ("4\n", "", 0)
    assert model.asked[0][1]["model"] == "qwen"
