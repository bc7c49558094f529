"""The Secret and webhook configurations of the chart, and replicas that rotate certificates."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from app.kube import connect
from app.values.meta import Object
from certs.objects import MUTATING, SECRET, VALIDATING, WebhookObjects
from certs.pki import KeyPair, is_issued_by, new_authority, own_certificate
from certs.policy import AUTHORITY_LIFE, authority_fault
from certs.rotator import rotate
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.world import PATIENCE_SECONDS, World

NOW = datetime.now(UTC)
SOUND = new_authority("ca", NOW, AUTHORITY_LIFE)
OTHER = new_authority("ca", NOW, AUTHORITY_LIFE)
MARKS: Object = {"labels": {"app": "ours"}, "annotations": {"meta.helm.sh/release-name": "r"}}
"""Labels and annotations of the chart's Secret."""

T = TypeVar("T")

FOREIGN = "foreign.tests.example.com"
"""A webhook of another program in our configurations."""


def encoded(value: bytes) -> str:
    return b64encode(value).decode()


def entry(name: str, **config: str) -> Object:
    """A webhook that nothing calls: its rules are for a group that does not exist."""
    service = {"name": "webhook", "namespace": "nowhere"}
    rule = {"apiGroups": ["tests.example.com"], "apiVersions": ["v1"]}
    return {
        "name": name,
        "clientConfig": {"service": service, **config},
        "rules": [{**rule, "resources": ["nothings"], "operations": ["CREATE"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }


@dataclass
class Clock:
    """A clock that a test can set."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Replica:
    """What the callbacks of one replica received."""

    used: list[KeyPair] = field(default_factory=list)
    said: list[str | None] = field(default_factory=list)
    early: list[bool] = field(default_factory=list)
    on_use: Callable[[KeyPair], None] = lambda _: None

    def use(self, pair: KeyPair) -> None:
        self.used.append(pair)
        self.on_use(pair)

    @property
    def leaf(self) -> KeyPair:
        return self.used[-1]

    @property
    def is_ready(self) -> bool:
        return bool(self.said) and self.said[-1] is None


class Scene:
    """A namespace with the Secret and the two configurations of the chart."""

    def __init__(self, world: World, plane: ControlPlane) -> None:
        self.world = world
        self.plane = plane
        self.clock = Clock()
        name = world.namespace
        self.objects = WebhookObjects(
            name, "webhook", "ca", validating=name, mutating=name, metadata=MARKS
        )

    def configuration(self, *names: str) -> Object:
        return {
            "metadata": {"name": self.objects.validating},
            "webhooks": [
                entry(f"{name}-modelbooster.workload.serving.volcano.sh") for name in names
            ]
            + [entry(FOREIGN, caBundle=encoded(OTHER.cert))],
        }

    async def put_configurations(self) -> None:
        validating = self.configuration("validate", "protect")
        await self.world.put(VALIDATING, {**validating, "kind": VALIDATING.kind})
        await self.world.put(MUTATING, {**self.configuration("mutate"), "kind": MUTATING.kind})

    async def put_secret(self, pair: KeyPair | None) -> None:
        data = {"ca.crt": encoded(pair.cert), "ca.key": encoded(pair.key)} if pair else {}
        secret = {"kind": "Secret", "metadata": {"name": self.objects.secret}, "data": data}
        await self.world.put(SECRET, secret)

    async def secret(
        self, right: Callable[[KeyPair], object] = bool, within: float = PATIENCE_SECONDS
    ) -> KeyPair:
        """Returns the authority of the Secret, once it is valid and ``right``."""

        def is_right(obj: Object) -> bool:
            pair = pair_of(obj)
            return authority_fault(pair, self.clock()) is None and bool(right(pair))

        found = await self.world.until(SECRET, self.objects.secret, is_right, seconds=within)
        return pair_of(found)

    async def trusted(self, bundle: bytes, within: float = PATIENCE_SECONDS) -> None:
        """Waits until all our webhooks have the bundle, and checks that the others do not."""
        for resource in (VALIDATING, MUTATING):
            obj = await self.world.until(
                resource,
                self.objects.validating,
                lambda o: all(b == bundle for n, b in bundles(o) if n != FOREIGN),
                seconds=within,
            )
            assert [b for n, b in bundles(obj) if n == FOREIGN] == [OTHER.cert]

    async def versions(self) -> list[str]:
        """Returns the resource versions of the three objects."""
        names = [(SECRET, "ca"), (VALIDATING, self.objects.validating)]
        found = [await self.world.get(r, n) for r, n in [*names, (MUTATING, self.objects.mutating)]]
        return [obj["metadata"]["resourceVersion"] for obj in found if obj]

    @asynccontextmanager
    async def replica(
        self, kubeconfig: Path | None = None, clock: Clock | None = None
    ) -> AsyncIterator[Replica]:
        """Runs a rotator, with the clock of the scene or another one."""
        new = Replica()
        async with connect(str(kubeconfig or self.plane.kubeconfig)) as kube:
            task = asyncio.create_task(
                rotate(
                    kube,
                    self.objects,
                    new.use,
                    new.said.append,
                    early=new.early.append,
                    clock=clock or self.clock,
                    check_seconds=0.1,
                )
            )
            try:
                yield new
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def pair_of(secret: Object) -> KeyPair:
    data = secret.get("data", {})
    return KeyPair(b64decode(data.get("ca.crt", "")), b64decode(data.get("ca.key", "")))


def bundles(configuration: Object) -> Iterator[tuple[str, bytes]]:
    for webhook in configuration["webhooks"]:
        yield webhook["name"], b64decode(webhook["clientConfig"].get("caBundle", ""))


async def until(right: Callable[[], object], seconds: float = 10) -> None:
    """Waits for callbacks of a replica, which run in this event loop."""
    async with asyncio.timeout(seconds):
        while not right():  # noqa: ASYNC110 - what is waited for is a plain list
            await asyncio.sleep(0.01)


async def soon(
    act: Callable[[], Awaitable[T]],
    seconds: float,
    before: Callable[[], Awaitable[None]] | None = None,
) -> T:
    """Awaits something that has to take no longer than this; returns its result.

    It is repeated if it took longer, because the machine may have been busy.

    Args:
        act: what is measured.
        seconds: how long it may take.
        before: what comes before it each time, and is not measured.

    Raises:
        AssertionError: it took longer each time.
    """
    took = []
    for _ in range(3):
        if before is not None:
            await before()
        begun = time.monotonic()
        result = await act()
        took.append(time.monotonic() - begun)
        if took[-1] <= seconds:
            return result
    raise AssertionError(f"it took {took} s, not at most {seconds} s")


def signed_by(leaf: KeyPair, authority: KeyPair) -> bool:
    return is_issued_by(own_certificate(leaf.cert), own_certificate(authority.cert))


@asynccontextmanager
async def new_scene(world: World, plane: ControlPlane) -> AsyncIterator[Scene]:
    """Creates a scene; afterwards removes the cluster-scoped objects."""
    made = Scene(world, plane)
    try:
        yield made
    finally:
        for resource in (VALIDATING, MUTATING):
            with suppress(Refused):
                await world.delete(resource, made.objects.validating)
