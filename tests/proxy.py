"""A fault-injecting reverse proxy in front of the real API server, with request counts.

Rules say what goes wrong. A request that no rule matches passes unchanged::

    proxy.add(Rule(Answer(503), verb="patch", resource="modelservings", times=2))
    proxy.add(Rule(ResetAfterCommit(), verb="patch", resource="modelroutes"))
    proxy.add(Rule(CutWatch(after_bytes=100), verb="watch", resource="modelboosters"))

Everything that passes is the real server's; everything injected is what real networks and servers
do. Random rules (``chance``) draw from one seed, so a failing run can be repeated.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.controlplane.credentials import write_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK

_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te", "host"}
"""Hop-by-hop headers."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Call(NamedTuple):
    """The attributes of a request, as in RBAC and the audit log.

    Args:
        verb: get, list, watch, create, update, patch, delete, deletecollection.
        resource: plural name, ``""`` if the path is no resource's.
        subresource: ``""`` if there is none.
        namespace: ``""`` if the path has none.
        name: ``""`` if the path has none.
    """

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str


class Count(NamedTuple):
    """What is counted. ``code`` is 0 where the client got no status."""

    verb: str
    resource: str
    subresource: str
    code: int


# What can go wrong.


@dataclass(frozen=True)
class Answer:
    """Responds in place of the server; the request is not forwarded.

    Args:
        status: HTTP status.
        body: text, or an object that is sent as JSON; a Status object if not given.
        headers: more headers, ``Retry-After`` for instance.
    """

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """Delays the request before forwarding it."""

    seconds: float


@dataclass(frozen=True)
class ResetBeforeCommit:
    """Resets the connection without forwarding the request."""


@dataclass(frozen=True)
class ResetAfterCommit:
    """Resets the connection after the server has processed the request."""


@dataclass(frozen=True)
class CarriedOut:
    """Lets the server process the request even if the client disconnects.

    This is not a fault; it makes the audit log say how each request ended.

    Args:
        before_seconds: how long the request waits.
        after_seconds: how long the answer waits, when it has been counted.
    """

    before_seconds: float = 0
    after_seconds: float = 0


@dataclass(frozen=True)
class CutAnswer:
    """Resets the connection after a number of body bytes; works for watch streams too."""

    after_bytes: int


@dataclass(frozen=True)
class Silence:
    """Forwards a number of bytes of a watch, then nothing; the connection stays open.

    Args:
        after_bytes: that number.
        seconds: time until the connection breaks; None: the client must give up.
    """

    after_bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class ErrorEvent:
    """Ends a watch at once with an ERROR event, by default 410 Expired."""

    code: int = 410
    reason: str = "Expired"
    message: str = "too old resource version"


@dataclass(frozen=True)
class Rewrite:
    """Rewrites the body; for a watch each chunk of whole lines as it arrives."""

    change: Callable[[bytes], bytes]


Fault = (
    Answer
    | Delay
    | ResetBeforeCommit
    | ResetAfterCommit
    | CarriedOut
    | CutAnswer
    | Silence
    | ErrorEvent
    | Rewrite
)


@dataclass
class Rule:
    """A fault and the requests it applies to.

    Args:
        fault: what goes wrong.
        verb, resource, subresource, name: what the request must ask for; None matches all.
        skip: number of matching requests that pass before the rule acts.
        times: how often it acts; None is unlimited.
        chance: of each request that it could act on, 0 to 1.
        acted: how often it has acted.
    """

    fault: Fault
    verb: str | None = None
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    acted: int = 0

    def takes(self, call: Call, chance: random.Random) -> bool:
        """Returns whether the rule applies to this request, and counts it if so."""
        wanted = (self.verb, self.resource, self.subresource, self.name)
        seen = (call.verb, call.resource, call.subresource, call.name)
        if any(want not in (None, is_) for want, is_ in zip(wanted, seen, strict=True)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.acted >= self.times:
            return False
        if chance.random() >= self.chance:
            return False
        self.acted += 1
        return True


class Proxy:
    """Proxies one control plane, with a certificate that the clients trust.

    It works in a thread of its own, so it serves tests with and without an event loop, and goes
    on while a test's loop is busy.

    Args:
        plane: the control plane behind.
        folder: where the kubeconfig goes.
        seed: for rules with a ``chance``.
    """

    def __init__(self, plane: ControlPlane, folder: Path, seed: int = 1) -> None:
        self._plane = plane
        self._folder = folder
        self._chance = random.Random(seed)
        self._rules: list[Rule] = []
        self._stack = AsyncExitStack()
        self._committing: set[asyncio.Task[web.Response]] = set()
        self._answering: dict[int, web.Request] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.counts: Counter[Count] = Counter()
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.url = ""

    def add(self, rule: Rule) -> Rule:
        """Appends a rule and returns it; the first matching rule applies."""
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Removes all rules."""
        self._rules.clear()

    def hang_up(self) -> None:
        """Cuts every response in progress, mostly watches."""

        def abort_all() -> None:
            for request in self._answering.values():
                _abort(request)

        self._loop.call_soon_threadsafe(abort_all)

    def count(
        self,
        *,
        verb: str | None = None,
        resource: str | None = None,
        subresource: str | None = None,
        code: int | None = None,
    ) -> int:
        """Returns the number of answered requests that match; None matches all."""
        wanted = (verb, resource, subresource, code)
        return sum(
            number
            for seen, number in tuple(self.counts.items())  # the thread of the proxy adds
            if all(want in (None, is_) for want, is_ in zip(wanted, seen, strict=True))
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        plane = self._plane
        write_kubeconfig(self.kubeconfig, self.url, plane.ca_file, plane.token, "default")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, job: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(job, self._loop).result(timeout=30)

    async def _open(self) -> None:
        trust = ssl.create_default_context(cafile=str(self._plane.ca_file))
        with warnings.catch_warnings():
            # Else connections in their TLS shutdown are left over.
            warnings.simplefilter("ignore", DeprecationWarning)
            connector = aiohttp.TCPConnector(ssl=trust, limit=0, enable_cleanup_closed=True)
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        )
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._plane.authority.serving_pair("proxy", [LOOPBACK]))
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
        self.url = f"https://{LOOPBACK}:{runner.addresses[0][1]}"

    async def _close(self) -> None:
        if self._committing:  # the request is forwarded even if nobody waits for it
            await asyncio.wait(self._committing, timeout=20)
        await self._stack.aclose()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = parse(request.method, request.path, request.query)
        fault = next((r.fault for r in self._rules if r.takes(call, self._chance)), None)
        match fault:
            case Answer(status, body, headers):
                self._count(call, status)
                return _answer(status, body, headers)
            case ErrorEvent():
                self._count(call, 200)
                line = json.dumps(_error_event(fault)).encode() + b"\n"
                return web.Response(body=line, content_type="application/json")
            case ResetBeforeCommit():
                return self._reset(request, call)
            case Delay(seconds):
                await asyncio.sleep(seconds)
        body = await request.read()
        headers = _passed_on(request.headers)
        if isinstance(fault, Rewrite):
            headers["Accept-Encoding"] = "identity"
        sent = self._session.request(
            request.method,
            URL(self._plane.url + request.raw_path, encoded=True),
            headers=headers,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            data=body or None,
        )
        if isinstance(fault, ResetAfterCommit | CarriedOut):
            # Forward the request even if the client has disconnected.
            before = fault.before_seconds if isinstance(fault, CarriedOut) else 0
            task = asyncio.create_task(_carried_out(sent, before))
            self._committing.add(task)
            task.add_done_callback(self._committing.discard)
            whole = await asyncio.shield(task)
            if isinstance(fault, ResetAfterCommit):
                return self._reset(request, call)
            self._count(call, whole.status)
            await asyncio.sleep(fault.after_seconds)
            return whole
        try:
            async with sent as answer:
                self._count(call, answer.status)
                self._answering[id(request)] = request
                try:
                    return await self._relay(request, answer, fault)
                finally:
                    del self._answering[id(request)]
        except aiohttp.ClientError:  # one side closed its connection, so close the other
            return self._reset(request, call)

    async def _relay(
        self, request: web.Request, answer: aiohttp.ClientResponse, fault: Fault | None
    ) -> web.StreamResponse:
        """Forwards a response as it arrives, with the fault applied to its body."""
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        await response.prepare(request)
        limit = fault.after_bytes if isinstance(fault, CutAnswer | Silence) else None
        passed = 0
        async for chunk in _chunks(answer, whole_lines=isinstance(fault, Rewrite)):
            piece = fault.change(chunk) if isinstance(fault, Rewrite) else chunk
            if limit is not None:
                piece = piece[: limit - passed]
            passed += len(piece)
            await response.write(piece)
            if passed == limit:
                break
        if limit is not None:
            if isinstance(fault, Silence):
                with suppress(TimeoutError):
                    async with asyncio.timeout(fault.seconds):
                        await asyncio.Event().wait()  # until the client gives up
            _abort(request)
        return response

    def _reset(self, request: web.Request, call: Call) -> web.StreamResponse:
        self._count(call, 0)
        _abort(request)
        return web.Response()

    def _count(self, call: Call, code: int) -> None:
        self.counts[Count(call.verb, call.resource, call.subresource, code)] += 1


async def _carried_out(
    sent: AbstractAsyncContextManager[aiohttp.ClientResponse], before_seconds: float
) -> web.Response:
    await asyncio.sleep(before_seconds)
    async with sent as answer:
        body = await answer.read()
        return web.Response(status=answer.status, headers=_passed_on(answer.headers), body=body)


def parse(method: str, path: str, query: Mapping[str, str]) -> Call:
    """Returns the attributes of a request, as in the API server's RBAC and audit log."""
    parts = [part for part in path.split("/") if part]
    # api/v1/...  or  apis/<group>/<version>/...
    match parts:
        case ["api", _, *rest]:
            pass
        case ["apis", _, _, *rest]:
            pass
        case _:
            rest = []
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = [*rest, "", "", ""][:3]
    verb = _VERBS.get(method, "get")
    if not name and resource:
        watching = query.get("watch", "") in ("1", "true")
        verb = {"get": "watch" if watching else "list", "delete": "deletecollection"}.get(
            verb, verb
        )
    return Call(verb, resource, subresource, namespace, name)


async def _chunks(answer: aiohttp.ClientResponse, *, whole_lines: bool) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        if not whole_lines:
            yield chunk
            continue
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in _HOP)


def _answer(status: int, body: object, headers: Mapping[str, str]) -> web.Response:
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers=headers)
    if body is None:
        body = _status(status, "", "injected by the test")
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/json",
        headers=headers,
    )


def _status(code: int, reason: str, message: str) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def _error_event(fault: ErrorEvent) -> dict[str, object]:
    return {"type": "ERROR", "object": _status(fault.code, fault.reason, fault.message)}


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
