"""Sends requests to the API server: connections, credentials, time limits, request rate.

All of aiohttp is in here. What it raises goes out as ``Unreachable``; an answer, good or bad, goes
out as it came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import aiohttp

from app.errors import Unreachable
from app.kube.access import Access, Credentials
from app.kube.answers import error_from_answer
from app.kube.pace import Bucket
from app.kube.sockets import session

CONNECT_SECONDS = 3.0
REQUEST_SECONDS = 10.0
"""Limit of everything but lists and watches."""

LIST_SECONDS = 60.0
"""Limit of a list, as long as the fleet is large; ten seconds of silence end it earlier."""

PARALLEL_WRITES = 64
"""How many guarded writes are under way at once; more wait for a connection."""


Guard = Callable[[], float | None]
"""Says how many seconds a write may take, None for no limit; raises LeadershipLost to forbid it."""

Observe = Callable[[str, str, str, float], None]
"""Told of every answer: method, host, status code or ``<error>``, seconds."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, as it goes out.

    Args:
        method: HTTP method.
        path: path below the server's address, already quoted.
        query: parameters; those with an empty value are left out.
        body: bytes to send, None for none.
        headers: on top of those that every request has.
        seconds: limit of the whole exchange.
        silence_seconds: limit of the time between two pieces of the answer.
        is_urgent: goes out at once, whatever the rate of all others is limited to.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = REQUEST_SECONDS
    silence_seconds: float | None = None
    is_urgent: bool = False


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Transport:
    """Connections to one API server; to be used as a context manager.

    Watches have connections of their own, which they hold for minutes. So have guarded writes, of
    which there can be many at once: they must not keep the renewal waiting that they depend on.

    Args:
        credentials: where the server is and who we are.
        user_agent: how we call ourselves.
        bucket: limits the rate of all requests that are not urgent; None for no limit.
        observe: told of every answer.
    """

    def __init__(
        self,
        credentials: Credentials,
        user_agent: str,
        *,
        bucket: Bucket | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._credentials = credentials
        self._bucket = bucket
        self._observe = observe
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            # Unpacking costs more than it saves on the way from a server next door.
            "Accept-Encoding": "identity",
        }
        self._refused_at: float | None = None
        self._exit = AsyncExitStack()
        self._writes: aiohttp.ClientSession
        self._others: aiohttp.ClientSession
        self._watches: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        await self._credentials.current()
        self._writes = await self._exit.enter_async_context(session(PARALLEL_WRITES))
        self._others = await self._exit.enter_async_context(session(0))
        self._watches = await self._exit.enter_async_context(session(0))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()
        # Broken connections are aborted by now; the loop lets go of their sockets in its next turn.
        await asyncio.sleep(0)

    @property
    def refused_seconds(self) -> float:
        """How long the server has been refusing our credentials; 0 while it takes them."""
        return 0.0 if self._refused_at is None else time.monotonic() - self._refused_at

    async def send(self, request: Request, guard: Guard | None = None) -> Answer:
        """Sends a request and returns the answer, whatever its status is.

        Args:
            request: what to send.
            guard: asked before a write goes out.

        Raises:
            Unreachable: no answer, or not a whole one; a write may have been done all the same.
            LeadershipLost: the guard forbids it; nothing was sent.
        """
        started = time.monotonic()
        pool = self._others if guard is None else self._writes
        async with self._exchange(pool, request, guard) as (response, host):
            body = await response.read()
            self._count(request.method, host, str(response.status), started)
            return Answer(response.status, body, response.headers)

    async def stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Yields the pieces of an answer as they come, until the server ends it.

        Raises:
            ApiError: the answer is not 200.
            Unreachable: the connection broke, or the request's time is over.
        """
        started = time.monotonic()
        async with self._exchange(self._watches, request, None) as (response, host):
            self._count(request.method, host, str(response.status), started)
            if response.status != 200:
                raise error_from_answer(
                    response.status, await response.read(), response.headers.get("Retry-After")
                )
            async for piece in response.content.iter_any():
                yield piece

    @asynccontextmanager
    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, guard: Guard | None
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Opens an exchange; while it is open, aiohttp's errors are translated."""
        if self._bucket is not None and not request.is_urgent:
            await asyncio.sleep(self._bucket.reserve())
        access = await self._credentials.current()
        started = time.monotonic()
        host = urlsplit(access.server).netloc
        try:
            async with await self._answer(session, request, access, guard) as response:
                yield response, host
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            self._count(request.method, host, "<error>", started)
            why = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
            raise Unreachable(f"{request.method} {access.server}{request.path}: {why}") from exc

    async def _answer(
        self, session: aiohttp.ClientSession, request: Request, access: Access, guard: Guard | None
    ) -> aiohttp.ClientResponse:
        """Sends a request; once more if our credentials or our view of the authority were old."""
        try:
            response = await self._once(session, request, access, guard)
        except aiohttp.ClientConnectorCertificateError:
            renewed = await self._credentials.renewed(access)
            if renewed.tls is access.tls:
                raise
            access, response = renewed, await self._once(session, request, renewed, guard)
        if response.status == 401:
            response.release()
            renewed = await self._credentials.renewed(access)
            response = await self._once(session, request, renewed, guard)
        if response.status != 401:
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = time.monotonic()
        return response

    async def _once(
        self, session: aiohttp.ClientSession, request: Request, access: Access, guard: Guard | None
    ) -> aiohttp.ClientResponse:
        headers = {**self._headers, **request.headers}
        if access.authorization:
            headers["Authorization"] = access.authorization
        url = access.server + request.path + _query(tuple(request.query.items()))
        left = guard() if guard is not None else None
        limit = request.seconds if left is None else min(request.seconds, left)
        opening = min(limit, REQUEST_SECONDS)
        async with asyncio.timeout(opening):
            return await session.request(
                request.method,
                url,
                data=request.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(
                    total=limit, sock_connect=CONNECT_SECONDS, sock_read=request.silence_seconds
                ),
                ssl=access.tls,
                server_hostname=access.tls_name,
                proxy=access.proxy,
                allow_redirects=False,
            )

    def _count(self, method: str, host: str, code: str, started: float) -> None:
        if self._observe is not None:
            self._observe(method, host, code, time.monotonic() - started)


@lru_cache(maxsize=256)  # every write of a kind has the same, and encoding it costs as much as TLS
def _query(parameters: tuple[tuple[str, str], ...]) -> str:
    given = [(name, value) for name, value in parameters if value]
    return "?" + urlencode(given) if given else ""
