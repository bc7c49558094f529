"""Requests through an HTTP proxy, sent by aiohttp.

Only this file imports aiohttp, and only a process that has a proxy imports this file: aiohttp takes
a quarter of the start, and reads the authorities of the system twice.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp

from app.kube.access import Access
from app.kube.connections.sockets import CONNECT_SECONDS, IDLE_SECONDS, new_socket
from app.kube.request import Request, query_of


class ProxiedClient:
    """Sends requests through the proxy of an access."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Python before 3.12.7 leaks connections if the peer never answers the TLS shutdown. For
            # later versions aiohttp warns that enable_cleanup_closed does nothing.
            warnings.simplefilter("ignore", DeprecationWarning)
            connector = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=IDLE_SECONDS,
                enable_cleanup_closed=True,
                socket_factory=new_socket,
            )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=1 << 20
        )

    async def open(
        self, request: Request, access: Access, headers: Mapping[str, str]
    ) -> ProxiedResponse:
        """Sends a request and returns the response as soon as its head has arrived.

        Args:
            request: the request.
            access: the server and the proxy.
            headers: all headers except ``Host`` and ``Content-Length``.

        Raises:
            OSError: there is no response. ``SSLCertVerificationError`` is a subclass.
        """
        with _errors_of_sockets():
            response = await self._session.request(
                request.method,
                access.server + request.path + query_of(request),
                data=request.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                ssl=access.tls,
                server_hostname=access.tls_name,
                proxy=access.proxy,
                allow_redirects=False,
            )
        return ProxiedResponse(response)

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()


class ProxiedResponse:
    """A response whose head has arrived (``app.kube.connections.stream.Opened``)."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def read(self, seconds: float | None = None) -> bytes:
        """Returns what has arrived of the body since the last call; ``b""`` at its end."""
        with _errors_of_sockets():
            async with asyncio.timeout(seconds):
                return await self._response.content.readany()

    def close(self) -> None:
        """Ends the response."""
        self._response.close()


@contextmanager
def _errors_of_sockets() -> Iterator[None]:
    """Raises errors of aiohttp as those that sockets raise."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as exc:
        raise exc.certificate_error from exc
    except aiohttp.ClientError as exc:
        if isinstance(exc, OSError):
            raise
        raise ConnectionError(f"{type(exc).__name__}: {exc}") from exc
