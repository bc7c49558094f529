"""Runs the webhook's server on a real socket, and misbehaving clients for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from certs.pki import KeyPair, new_authority, new_leaf
from modelbooster.parts.tasks import listen
from tests.builders import booster_object
from webhook.connections import Limits
from webhook.limiter import InFlightLimiter
from webhook.server import VALIDATE, serve_https, webhook_app
from webhook.tls import ServingContext

NAME = "model-booster-webhook.model-booster.svc"
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def review(obj: Any = None, *, operation: str = "CREATE", **request: Any) -> Object:
    """An AdmissionReview as the API server sends it."""
    kind = {"group": "workload.serving.volcano.sh", "version": "v1alpha1", "kind": "ModelBooster"}
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID,
            "kind": kind,
            "resource": {**kind, "resource": "modelboosters"},
            "namespace": "default",
            "operation": operation,
            "userInfo": {"username": "kubernetes-admin"},
            "object": booster_object() if obj is None and operation != "DELETE" else obj,
            "oldObject": None,
            "dryRun": False,
            **request,
        },
    }


def request(body: bytes, path: str = VALIDATE, *, method: str = "POST", headers: str = "") -> bytes:
    """The bytes of a request; ``headers`` are added, each ended by CRLF."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body


GOOD = request(orjson.dumps(review()))
"""A request that is answered with "allowed"."""


class Broken:
    """A lookup that fails."""

    @property
    def ready(self) -> bool:
        raise RuntimeError("secret details")


@cache
def _authority() -> KeyPair:
    return new_authority("test", datetime.now(UTC), timedelta(days=1))


def trust() -> ssl.SSLContext:
    """The TLS context of the clients, which trusts these servers."""
    return ssl.create_default_context(cadata=_authority().cert.decode())


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        port: where it listens.
        stopping: set it, and the server drains.
        done: ends when the server has ended.
        metrics: what it counts.
        limiter: bounds its requests in flight.
    """

    port: int
    stopping: asyncio.Event
    done: asyncio.Task[None]
    metrics: Metrics
    limiter: InFlightLimiter
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Of all clients that have connected."""

    @property
    def url(self) -> str:
        """The URL for clients that resolve its name themselves."""
        return f"https://localhost:{self.port}"

    async def connect(self, *, limit: int = 2**16) -> Client:
        """Returns a new connection after the TLS handshake."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=trust(), server_hostname=NAME, limit=limit
        )
        self.writers.append(writer)
        return Client(reader, writer)

    async def ask(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends a request on a new connection and returns the response."""
        client = await self.connect()
        try:
            return await client.ask(raw)
        finally:
            client.close()


@dataclass(frozen=True)
class Client:
    """One connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends a request and returns status, headers and body of the response."""
        self.writer.write(raw)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Returns the next response.

        Raises:
            OSError: the connection ended.
            asyncio.IncompleteReadError: it ended in the middle, or before the beginning.
        """
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def closed(self, within: float) -> bool:
        """Returns whether the server closes or resets the connection in time."""
        try:
            async with asyncio.timeout(within):
                while await self.reader.read(2**16):
                    pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Closes the connection without waiting."""
        self.writer.close()


@asynccontextmanager
async def serving(
    *,
    context: Callable[[], Context] = Context,
    limits: Limits | None = None,
    drain_seconds: float = 0.0,
    metrics: Metrics | None = None,
    limiter: InFlightLimiter | None = None,
    host: str = "127.0.0.1",
    number: int = 0,
) -> AsyncIterator[Server]:
    """Runs the server until the block ends."""
    secret = ServingContext()
    now = datetime.now(UTC)
    secret.use(new_leaf(_authority(), [NAME, "localhost"], now, timedelta(days=1)))
    metrics, stopping = metrics or Metrics(), asyncio.Event()
    limiter = limiter or InFlightLimiter()
    listening = listen(host, number)
    async with asyncio.TaskGroup() as group:
        done = group.create_task(
            serve_https(
                webhook_app(context, metrics),
                metrics,
                listening=listening,
                serving=secret,
                stopping=stopping,
                drain_seconds=drain_seconds,
                limits=limits,
                limiter=limiter,
            )
        )
        server = Server(listening.getsockname()[1], stopping, done, metrics, limiter)
        yield server
        stopping.set()
    # A client that waits for the end of its TLS shutdown would be left over in another test.
    for writer in server.writers:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
