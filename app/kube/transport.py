"""Sends requests to the API server: credentials, time limits, request rate.

What the connections raise goes out as ``Unreachable``; an answer, good or bad, goes out as it came.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp

from app.errors import Unreachable
from app.kube.access import Access, Credentials
from app.kube.backoff import Bucket
from app.kube.pool import Answer, Place, Wire
from app.kube.request import REQUEST_SECONDS, Request, query_of, written
from app.kube.responses import error_from_answer
from app.kube.sockets import CONNECT_SECONDS, session

LIST_SECONDS = 60.0
"""Limit of a list, as long as the fleet is large; ten seconds of silence end it earlier."""

PARALLEL_WRITES = 64
"""How many guarded writes are under way at once; more wait for their turn."""


Guard = Callable[[], float | None]
"""Says how many seconds a write may take, None for no limit; raises LeadershipLost to forbid it."""

Observe = Callable[[str, str, str, float], None]
"""Told of every answer: method, host, status code or ``<error>``, seconds."""


_Answered = TypeVar("_Answered", Answer, aiohttp.ClientResponse)


class Transport:
    """Connections to one API server; to be used as a context manager.

    Guarded writes, of which there can be many at once, wait for their turn: they must not keep the
    renewal waiting that they depend on.

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
        self._turns = asyncio.Semaphore(PARALLEL_WRITES)
        self._wire = Wire()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        await self._credentials.current()
        self._exit.push_async_callback(self._wire.close)
        self._session = await self._exit.enter_async_context(session())
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
        access = await self._admitted(request)
        try:
            answer = await self._believed(access, partial(self._answer, request, guard))
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise self._unreachable(request, access, exc, started) from exc
        self._count(request.method, access, str(answer.status), started)
        return answer

    async def stream(
        self, request: Request, *, is_endless: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Yields the pieces of an answer as they come, until the server ends it.

        Args:
            request: what to send.
            is_endless: whether the answer counts as soon as it begins, and not when it is whole.

        Raises:
            ApiError: the answer is not 200.
            Unreachable: the connection broke, or the request's time is over.
        """
        started = time.monotonic()
        access = await self._admitted(request)
        opening = time.monotonic()
        try:
            async with await self._believed(access, partial(self._opened, request)) as response:
                if is_endless or response.status != 200:
                    self._count(request.method, access, str(response.status), started)
                if response.status != 200:
                    raise error_from_answer(
                        response.status, await response.read(), response.headers.get("Retry-After")
                    )
                async for piece in response.content.iter_any():
                    yield piece
            if not is_endless:
                self._count(request.method, access, str(response.status), started)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise self._unreachable(request, access, exc, opening) from exc

    async def _admitted(self, request: Request) -> Access:
        """Waits for the request's turn, if the rate is limited; returns the access to use."""
        if self._bucket is not None and not request.is_urgent:
            await asyncio.sleep(self._bucket.reserve())
        return await self._credentials.current()

    async def _believed(
        self, access: Access, once: Callable[[Access], Awaitable[_Answered]]
    ) -> _Answered:
        """Asks once; once more if our credentials or our view of the authority were old."""
        try:
            answer = await once(access)
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
            renewed = await self._credentials.renewed(access)
            if renewed.tls is access.tls:
                raise
            access, answer = renewed, await once(renewed)
        if answer.status == 401:
            if isinstance(answer, aiohttp.ClientResponse):
                answer.release()
            answer = await once(await self._credentials.renewed(access))
        if answer.status != 401:
            self._refused_at = None
        elif self._refused_at is None:
            self._refused_at = time.monotonic()
        return answer

    async def _answer(self, request: Request, guard: Guard | None, access: Access) -> Answer:
        left = guard() if guard is not None else None
        seconds = request.seconds if left is None else min(request.seconds, left)
        try:
            async with asyncio.timeout(seconds):
                if guard is None:
                    return await self._exchanged(request, access)
                async with self._turns:
                    return await self._exchanged(request, access)
        except TimeoutError:
            self._wire.drop_idle()
            raise

    async def _exchanged(self, request: Request, access: Access) -> Answer:
        if access.proxy is not None:
            async with await self._opened(request, access) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, await response.read(), headers)
        place = Place(access.server, access.tls, access.tls_name)
        return await self._wire.ask(
            place, written(request, access.server, self._headers_of(request, access))
        )

    async def _opened(self, request: Request, access: Access) -> aiohttp.ClientResponse:
        async with asyncio.timeout(min(request.seconds, REQUEST_SECONDS)):
            return await self._session.request(
                request.method,
                access.server + request.path + query_of(request),
                data=request.body,
                headers=self._headers_of(request, access),
                timeout=aiohttp.ClientTimeout(
                    total=request.seconds,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=request.silence_seconds,
                ),
                ssl=access.tls,
                server_hostname=access.tls_name,
                proxy=access.proxy,
                allow_redirects=False,
            )

    def _headers_of(self, request: Request, access: Access) -> dict[str, str]:
        headers = {**self._headers, **request.headers}
        if access.authorization:
            headers["Authorization"] = access.authorization
        return headers

    def _unreachable(
        self, request: Request, access: Access, error: Exception, started: float
    ) -> Unreachable:
        self._count(request.method, access, "<error>", started)
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Unreachable(f"{request.method} {access.server}{request.path}: {why}")

    def _count(self, method: str, access: Access, code: str, started: float) -> None:
        if self._observe is not None:
            self._observe(method, urlsplit(access.server).netloc, code, time.monotonic() - started)
