"""Sends one request to a served model through the API server, and says which hop failed.

The request goes through the proxy of the API server (``services/NAME:PORT/proxy`` or
``pods/NAME:PORT/proxy``). It needs nothing but HTTP and the credentials that the other commands
use. A port-forward would need websockets or SPDY, a local port, and the same rights.

The body of a response tells who answered: a Status object is the API server's, a JSON string is
from kthena's router, and an object with ``error`` or ``choices`` is from the engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from app.errors import ApiError, OperatorError, Unreachable
from app.kube import Response
from app.values.meta import Object, Resource
from app.values.untyped import as_dict, as_list
from controller.status.pod_records import POD
from modelbooster.observe.access import Cluster
from modelbooster.observe.columns import status_of

SERVICE = Resource("", "v1", "services", "Service")

ROUTER = "kthena-system/kthena-router:80"
"""Where kthena's chart puts its router: namespace, Service and port."""

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"


class HopFailed(OperatorError):
    """A request was not answered; the message names the hop."""


@dataclass(frozen=True, slots=True)
class Hop:
    """What a request is sent to, behind the API server.

    Args:
        resource: Service or Pod.
        namespace: its namespace.
        name: its name.
        port: its port; for a Service also the name of one.
        scheme: ``https:`` if it uses TLS, else ``""``.
    """

    resource: Resource
    namespace: str
    name: str
    port: str
    scheme: str = ""

    @property
    def path(self) -> str:
        """The path of its proxy."""
        target = f"{self.scheme}{self.name}:{self.port}"
        return f"{self.resource.path(self.namespace, target)}/proxy"

    @property
    def is_router(self) -> bool:
        """Whether it is a router, which sends the request on."""
        return self.resource is SERVICE

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name} in namespace {self.namespace}"


def router_hop(text: str) -> Hop | None:
    """Returns the router that ``NAMESPACE/SERVICE[:PORT]`` names; None if it names none."""
    namespace, slash, rest = text.partition("/")
    name, _, port = rest.partition(":")
    return Hop(SERVICE, namespace, name, port or "80") if slash and namespace and name else None


def pod_hop(pod: Object, server: Object | None) -> Hop:
    """Returns the engine in a pod.

    Args:
        pod: the pod.
        server: its ModelServer, which names the port; None for the usual port.
    """
    spec = as_dict(as_dict(server).get("spec"))
    port = as_dict(spec.get("workloadPort")).get("port", 8000)
    tls = any(
        "--ssl-certfile" in as_list(container.get("command")) + as_list(container.get("args"))
        for container in as_list(as_dict(pod.get("spec")).get("containers"))
    )
    metadata = pod["metadata"]
    scheme = "https:" if tls else ""
    return Hop(POD, metadata["namespace"], metadata["name"], str(port), scheme)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Args:
        text: the answer.
        body: the whole response.
    """

    text: str
    body: Object


async def ask(
    cluster: Cluster, hop: Hop, model: str, prompt: str, *, tokens: int, seconds: float
) -> Answer:
    """Sends a prompt to a model and returns its answer.

    A model without a chat template gets the prompt as a text to complete.

    Args:
        cluster: the cluster.
        hop: the router, or a pod.
        model: the name of the model in requests.
        prompt: what to ask.
        tokens: longest answer.
        seconds: time limit.

    Raises:
        HopFailed: there is no answer.
        Unreachable: the API server does not answer.
    """
    base: Object = {"model": model, "max_tokens": tokens}
    chat = {**base, "messages": [{"role": "user", "content": prompt}]}
    response = await _send(cluster, hop, CHAT, chat, seconds)
    if response.status == 400 and b"chat template" in response.body:
        response = await _send(cluster, hop, COMPLETION, {**base, "prompt": prompt}, seconds)
    body = _parsed(response)
    if response.status != 200:
        is_idle = response.status == 404 and await _exists(cluster, hop)
        raise HopFailed(why_failed(response.status, body, hop, model, is_idle=is_idle))
    first = as_dict(next(iter(as_list(as_dict(body).get("choices"))), {}))
    if not first:
        raise HopFailed(f"{hop} answered 200, but not as an OpenAI API: {_short(body)}")
    message = as_dict(first.get("message"))
    answer = message.get("content") or message.get("reasoning_content") or first.get("text")
    return Answer(str(answer or ""), as_dict(body))


async def _exists(cluster: Cluster, hop: Hop) -> bool:
    """Whether a Service exists: the API server answers 404 as well if it has no endpoints."""
    if not hop.is_router:
        return False
    try:
        await cluster.kube.get(SERVICE, hop.namespace, hop.name)
    except ApiError:
        return False
    return True


async def _send(cluster: Cluster, hop: Hop, path: str, body: Object, seconds: float) -> Response:
    content = json.dumps(body).encode()
    try:
        return await cluster.kube.exchange("POST", hop.path + path, content, seconds=seconds)
    except Unreachable as exc:
        if not isinstance(exc.__cause__, TimeoutError):
            raise
        raise HopFailed(
            f"{hop} gave no answer within {seconds:g} s: the model may be busy, or the answer is "
            "long; raise --timeout, or lower --max-tokens"
        ) from exc


def _parsed(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except ValueError:
        return response.body.decode(errors="replace").strip()


def why_failed(status: int, body: Any, hop: Hop, model: str, *, is_idle: bool = False) -> str:
    """Returns which hop failed and what to do, from a response that is not 200.

    Args:
        status: HTTP status code.
        body: the parsed response, or its text.
        hop: what the request was sent to.
        model: the name of the model in the request.
        is_idle: whether the Service exists although the API server answered 404.
    """
    content = as_dict(body)
    if content.get("kind") == "Status":
        return _of_api_server(status, str(content.get("message", "")), hop, is_idle=is_idle)
    text = _short(content.get("error") or content.get("message") or body)
    if hop.is_router and isinstance(body, str):
        return _of_router(status, body, model)
    if status in (401, 403):
        return f"the engine wants a key ({status}): {text}; its API key is that of VLLM_API_KEY"
    return f"the engine answered {status}: {text}"


def _of_api_server(status: int, message: str, hop: Hop, *, is_idle: bool) -> str:
    what = "services" if hop.is_router else "pods"
    instead = "; or ask a pod itself with --pod" if hop.is_router else ""
    if status == 403:
        return (
            f"the API server does not let you through to {hop}: {message}; ask for the right to "
            f"create {what}/proxy{instead}"
        )
    if is_idle or "no endpoints available" in message:
        return f"no pod of the {hop} is ready: see kubectl get pods -n {hop.namespace}{instead}"
    if status == 404:
        return (
            f"{hop} does not exist: install kthena's router, or name yours with --router{instead}"
        )
    return f"the API server cannot reach {hop}: {message}"


def _of_router(status: int, text: str, model: str) -> str:
    begin = f"the router answered {status}: {text}"
    if "route not found" in text or "can't find model server" in text:
        return (
            f'{begin}; it knows no ModelRoute for model "{model}" yet: see model-booster status, '
            "and whether the router watches this namespace"
        )
    if "no available pods" in text:
        return f"{begin}; no engine is ready: see model-booster status"
    if status >= 500:
        return (
            f"{begin}; the router could not reach an engine: see model-booster logs, or use --pod"
        )
    return begin


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    message = as_dict(value).get("message")
    text = str(message) if message else text
    return text if len(text) <= 500 else text[:497] + "..."


def served_name(booster: Object) -> str:
    """Returns the name of the model that clients send."""
    name = status_of(booster).get("modelName")
    return str(name or as_dict(booster.get("spec")).get("name") or booster["metadata"]["name"])
