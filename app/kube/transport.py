"""Sends requests to the API server with credentials, time limits and a rate limit.

Errors of connections are raised as ``Unreachable``. Responses of any status are returned.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

from app.errors import ServerDown, Unreachable
from app.kube.access import Access, Credentials
from app.kube.backoff import TokenBucket
from app.kube.connections.connection import Endpoint, Response
from app.kube.connections.pool import ConnectionPool, PooledResponse
from app.kube.connections.stream import Opened, read_within, whole_of
from app.kube.own_writes import OwnWrites
from app.kube.request import REQUEST_SECONDS, Guard, Observe, Request, serialize
from app.kube.responses import error_from_response

if TYPE_CHECKING:
    from app.kube.connections.proxied import ProxiedClient

MAX_PARALLEL_WRITES = 64
"""Guarded writes at the same time; more wait for their turn."""

_AnyResponse = TypeVar("_AnyResponse", Response, Opened)


class Transport:
    """Connections to one API server; an asynchronous context manager.

    Guarded writes wait for their turn. Otherwise many of them could delay the renewal of the lease
    that they depend on.

    Args:
        credentials: address of the server, and our credentials.
        user_agent: value of the ``User-Agent`` header.
        bucket: limits the rate of all requests that are not urgent; None for no limit.
        observe: called with every response.
        headers: of every request, in addition to the usual ones.
    """

    def __init__(
        self,
        credentials: Credentials,
        user_agent: str,
        *,
        bucket: TokenBucket | None = None,
        observe: Observe | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.own_writes = OwnWrites()
        """Recent writes of all clients, which their watches recognise."""
        self._credentials = credentials
        self._bucket = bucket
        self._observe = observe
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            # Decompression costs more than it saves in a local network.
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        self._refused_at: float | None = None
        self._exit = AsyncExitStack()
        self._writes = asyncio.Semaphore(MAX_PARALLEL_WRITES)
        self._pool = ConnectionPool()
        self._proxied: ProxiedClient | None = None

    async def __aenter__(self) -> Self:
        await self._credentials.current()
        self._exit.push_async_callback(self._pool.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()
        # Connections are aborted by now; the event loop closes their sockets in its next turn.
        await asyncio.sleep(0)

    @property
    def refused_seconds(self) -> float:
        """How long the server has been rejecting our credentials (401); 0 while it accepts them."""
        return 0.0 if self._refused_at is None else time.monotonic() - self._refused_at

    async def send(self, request: Request, guard: Guard | None = None) -> Response:
        """Sends a request and returns the response, whatever its status.

        Args:
            request: the request.
            guard: called before a write is sent.

        Raises:
            Unreachable: there is no complete response; a write may have been done all the same.
            LeadershipLost: the guard forbids it; nothing was sent.
        """
        started = time.monotonic()
        access = await self._rate_limited(request)
        try:
            response = await self._authenticated(access, partial(self._respond, request, guard))
        except (OSError, ValueError) as exc:
            raise self._unreachable(request, access, exc, started) from exc
        self._count(request.method, access, str(response.status), started)
        return response

    async def stream(
        self,
        request: Request,
        *,
        is_endless: bool = True,
        opened: Callable[[PooledResponse], None] = lambda response: None,
    ) -> AsyncGenerator[bytes, None]:
        """Yields the pieces of a response as they arrive, until the server ends it.

        Args:
            request: the request.
            is_endless: whether to count the response when it begins, not when it ends.
            opened: called with the response before its first piece, unless it comes by a proxy.

        Raises:
            ApiError: the status is not 200.
            Unreachable: the connection broke, or the request exceeded its time limit.
        """
        started = time.monotonic()
        access = await self._rate_limited(request)
        opening = time.monotonic()
        try:
            response = await self._authenticated(access, partial(self._open, request))
            with closing(response):
                if is_endless or response.status != 200:
                    self._count(request.method, access, str(response.status), started)
                if response.status != 200:
                    async with asyncio.timeout(REQUEST_SECONDS):
                        whole = await whole_of(response)
                    raise error_from_response(*whole[:2], whole.headers.get("retry-after"))
                if isinstance(response, PooledResponse):
                    opened(response)
                until = opening + request.seconds
                while piece := await read_within(response, until, request.silence_seconds):
                    yield piece
            if not is_endless:
                self._count(request.method, access, str(response.status), started)
        except (OSError, ValueError) as exc:
            raise self._unreachable(request, access, exc, opening) from exc

    async def _rate_limited(self, request: Request) -> Access:
        """Waits for the rate limit; returns the access to use."""
        if self._bucket is not None and not request.is_urgent:
            await asyncio.sleep(self._bucket.reserve())
        return self._credentials.cached or await self._credentials.current()

    async def _authenticated(
        self, access: Access, once: Callable[[Access], Awaitable[_AnyResponse]]
    ) -> _AnyResponse:
        """Sends a request; once more with new credentials after a 401 or an unknown authority."""
        try:
            response = await once(access)
        except ssl.SSLCertVerificationError:
            renewed = await self._credentials.renewed(access)
            if renewed.tls is access.tls:
                raise
            access, response = renewed, await once(renewed)
        if response.status == 401:
            if not isinstance(response, Response):
                response.close()
            response = await once(await self._credentials.renewed(access))
        if response.status != 401:
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = time.monotonic()
        return response

    async def _respond(self, request: Request, guard: Guard | None, access: Access) -> Response:
        left = guard() if guard is not None else None
        seconds = request.seconds if left is None else min(request.seconds, left)
        try:
            if guard is None:
                return await self._exchange(request, access, seconds)
            if self._writes.locked():
                began = time.monotonic()
                async with asyncio.timeout(seconds):
                    await self._writes.acquire()
                seconds = max(0.0, seconds - (time.monotonic() - began))
            else:
                await self._writes.acquire()
            try:
                return await self._exchange(request, access, seconds)
            finally:
                self._writes.release()
        except TimeoutError:
            self._pool.drop_idle()
            raise

    async def _exchange(self, request: Request, access: Access, seconds: float) -> Response:
        if access.proxy is not None:
            async with asyncio.timeout(seconds):
                return await whole_of(await self._open(request, access))
        content = serialize(request, access.server, self._headers_of(request, access))
        return await self._pool.send(_endpoint(access), content, seconds)

    async def _open(self, request: Request, access: Access) -> Opened:
        headers = self._headers_of(request, access)
        async with asyncio.timeout(min(request.seconds, REQUEST_SECONDS)):
            if access.proxy is not None:
                return await self._through_proxy().open(request, access, headers)
            whole = serialize(request, access.server, headers)
            return await self._pool.open(_endpoint(access), whole)

    def _through_proxy(self) -> ProxiedClient:
        if self._proxied is None:
            from app.kube.connections.proxied import ProxiedClient  # loads aiohttp, which few need

            self._proxied = ProxiedClient()
            self._exit.push_async_callback(self._proxied.close)
        return self._proxied

    def _headers_of(self, request: Request, access: Access) -> dict[str, str]:
        headers = {**self._headers, **request.headers}
        if access.authorization:
            headers["Authorization"] = access.authorization
        return headers

    def _unreachable(
        self, request: Request, access: Access, error: Exception, started: float
    ) -> Unreachable:
        self._count(request.method, access, "<error>", started)
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        kind = ServerDown if isinstance(error, ConnectionRefusedError) else Unreachable
        return kind(f"{request.method} {access.server}{request.path}: {why}")

    def _count(self, method: str, access: Access, code: str, started: float) -> None:
        if self._observe is not None:
            self._observe(method, urlsplit(access.server).netloc, code, time.monotonic() - started)


def _endpoint(access: Access) -> Endpoint:
    return Endpoint(access.server, access.tls, access.tls_name)
