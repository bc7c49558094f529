"""No handshake fails while certificates change, and a replica may die in the middle of it."""

from __future__ import annotations

import asyncio
import ssl
import time
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.kube import connect
from certs.objects import MUTATING, SECRET, VALIDATING
from certs.pki import KeyPair, certificates, new_authority, own_certificate
from certs.policy import AUTHORITY_LIFE, LEAF_LIFE, authority_fault, leaf_fault
from certs.rotator import rotate
from tests.certificates import NOW, SOUND, Scene, new_scene, pair_of, until
from tests.controlplane.plane import ControlPlane
from tests.proxy import Proxy, ResetAfterCommit, ResetBeforeCommit, Rule
from tests.world import World
from webhook.tls import ServingContext

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("abandoned_handshakes")]

LAG_SECONDS = 1
"""How long the callers here go on with the bundle that they have read."""


@pytest.fixture
async def scene(world: World, plane: ControlPlane) -> AsyncIterator[Scene]:
    async with new_scene(world, plane) as made:
        yield made


class Callers:
    """Connect all the time, as API servers do, and trust the bundle that they last read."""

    def __init__(self, scene: Scene, port: int) -> None:
        self._scene = scene
        self._port = port
        self.failures: list[str] = []
        self.served: Counter[int] = Counter()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for offset in range(4):
                group.create_task(self._call(offset * LAG_SECONDS / 4))

    async def _call(self, offset_seconds: float) -> None:
        await asyncio.sleep(offset_seconds)
        while True:
            trust = await self._trust()
            read_at = time.monotonic()
            while time.monotonic() < read_at + LAG_SECONDS:
                await self._connect(trust)

    async def _trust(self) -> ssl.SSLContext:
        stored = await self._scene.world.get(VALIDATING, self._scene.objects.validating)
        assert stored is not None
        bundle = b64decode(stored["webhooks"][0]["clientConfig"]["caBundle"])
        context = ssl.create_default_context(cadata=bundle.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    async def _connect(self, trust: ssl.SSLContext) -> None:
        name = self._scene.objects.names[0]
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=trust, server_hostname=name
            )
        except (OSError, ssl.SSLError) as exc:
            self.failures.append(str(exc))
            await asyncio.sleep(0.05)
            return
        found = writer.get_extra_info("ssl_object").getpeercert()
        self.served[int(found["serialNumber"], 16)] += 1
        writer.transport.abort()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def calling(scene: Scene, serving: ServingContext) -> AsyncIterator[Callers]:
    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=serving.context)
    async with server:
        callers = Callers(scene, server.sockets[0].getsockname()[1])
        task = asyncio.create_task(callers.run())
        try:
            yield callers
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


LEFT = timedelta(seconds=18)
"""Validity that is left when the tests below begin; their preparations take a second of it."""


def due_soon() -> KeyPair:
    """An authority that is due to be replaced in a few seconds."""
    made = datetime.now(UTC) - AUTHORITY_LIFE * 2 / 3 + timedelta(seconds=4)
    return new_authority("ca", made, AUTHORITY_LIFE)


def about_to_end() -> KeyPair:
    """An authority that ends in a moment, and with it what it has signed in its first half."""
    life = LEAF_LIFE * 2
    return new_authority("ca", datetime.now(UTC) - life + LEFT, life)


@pytest.mark.fault("F50")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "first"),
    [
        ("secret deleted", lambda: SOUND),
        ("authority due", due_soon),
        ("serving certificate ends", lambda: new_authority("ca", NOW - LEAF_LIFE, AUTHORITY_LIFE)),
        ("authority ends", about_to_end),
    ],
)
async def test_no_handshake_fails_during_rotation(
    scene: Scene, event: str, first: Callable[[], KeyPair], tmp_path: Path
) -> None:
    if event.endswith("ends"):  # its clock is behind, until it is set right below
        scene.clock.ahead = LEFT - LEAF_LIFE
    await scene.put_secret(first())
    await scene.put_configurations()
    serving = ServingContext(tmp_path)
    async with scene.replica() as replica:
        await until(lambda: replica.is_ready)
        serving.use(replica.leaf)
        replica.on_use = serving.use
        async with calling(scene, serving) as callers:
            await until(lambda: sum(callers.served.values()) > 20)
            if event == "secret deleted":
                await scene.world.delete(SECRET, scene.objects.secret)
            scene.clock.ahead = timedelta()

            await until(lambda: len(replica.used) == 2, seconds=40)

            new = own_certificate(replica.leaf.cert).serial_number
            await until(lambda: callers.served[new] > 20)
            assert len(callers.served) == 2
            assert callers.failures == []
    assert not any(replica.said[replica.said.index(None) :])


@pytest.mark.fault("F56")
@pytest.mark.parametrize("minutes", [10, -10])
async def test_no_handshake_fails_with_clock_skew(
    scene: Scene, minutes: float, tmp_path: Path
) -> None:
    scene.clock.ahead = timedelta(minutes=minutes)
    await scene.put_secret(None)
    await scene.put_configurations()
    serving = ServingContext(tmp_path)
    async with scene.replica() as replica:
        replica.on_use = serving.use
        await until(lambda: replica.is_ready)
        async with calling(scene, serving) as callers:
            await until(lambda: sum(callers.served.values()) > 20)
            assert callers.failures == []


@pytest.mark.parametrize("fault", [ResetBeforeCommit(), ResetAfterCommit()], ids=["lost", "done"])
@pytest.mark.parametrize(
    ("verb", "resource"),
    [("update", SECRET), ("patch", VALIDATING), ("patch", MUTATING)],
    ids=lambda value: getattr(value, "plural", value),
)
async def test_next_replica_finishes_an_interrupted_rotation(
    scene: Scene,
    plane: ControlPlane,
    tmp_path: Path,
    fault: ResetBeforeCommit | ResetAfterCommit,
    verb: str,
    resource: object,
) -> None:
    await scene.put_secret(None)
    await scene.put_configurations()
    plural = getattr(resource, "plural", "")
    with Proxy(plane, tmp_path) as proxy:
        rule = proxy.add(Rule(fault, verb=verb, resource=plural))
        async with connect(str(proxy.kubeconfig)) as kube:
            used: list[object] = []
            task = asyncio.create_task(rotate(kube, scene.objects, used.append, lambda _: None))
            await until(lambda: rule.acted)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async with scene.replica() as next_one:
        await until(lambda: next_one.is_ready)
        stored = await scene.world.get(SECRET, scene.objects.secret)
        assert stored is not None
        authority = pair_of(stored)
        assert authority_fault(authority, scene.clock()) is None
        assert len(certificates(authority.cert)) == 1
        await scene.trusted(authority.cert)
        names = scene.objects.names
        assert leaf_fault(next_one.leaf, names, authority.cert, scene.clock()) is None
