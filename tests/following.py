"""Runs an informer in a test and records its notifications and requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

import pytest

from app.cache.informer import Informer
from app.cache.records import Record
from app.cache.store import Store
from app.cache.timing import Timing
from app.kube import Kube
from app.values.meta import Key, Object, Resource
from tests import audit
from tests.controlplane.plane import ControlPlane

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")

QUICK = Timing(
    watch_seconds=(1, 1),
    grace_seconds=1,
    list_seconds=3,
    min_watch_seconds=0.05,
    first_backoff_seconds=0.02,
    max_backoff_seconds=0.2,
)
"""Intervals of seconds instead of minutes; audits are as rare as in production."""


class Followed:
    """A running informer and its notifications."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        timing: Timing,
        store: Store | None = None,
        backlog_seconds: float = 0,
    ) -> None:
        self.store = Store() if store is None else store
        self.told: list[tuple[Object | None, Object | None]] = []
        self.counted: list[str] = []
        self._namespace = namespace
        self._something = asyncio.Event()
        self.informer = Informer(
            kube,
            CONFIG_MAP,
            self.store,
            self._changed,
            label_selector="team",
            namespace=namespace,
            timing=timing,
            backlog_seconds=backlog_seconds,
            count=self._count,
        )

    def _count(self, resource: str, what: str) -> None:
        assert resource == "configmaps"
        self.counted.append(what)
        self._something.set()

    def _changed(self, old: Record | None, new: Record | None) -> None:
        self.told.append((old.object if old else None, new.object if new else None))
        self._something.set()

    def get(self, name: str) -> Object | None:
        return self.store.get(Key(self._namespace, name))

    @property
    def names(self) -> set[str]:
        return {record.key.name for record in self.store.records()}

    @property
    def deleted(self) -> list[str]:
        return [o["metadata"]["name"] for o, new in self.told if o is not None and new is None]

    @property
    def numbers(self) -> list[int]:
        """The values of ``data.n`` in order of notification."""
        return [int(new["data"]["n"]) for _, new in self.told if new and "n" in new["data"]]

    def was_told(self, number: int) -> bool:
        return number in self.numbers

    async def until(self, right: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(60):
                while not right():
                    self._something.clear()
                    await self._something.wait()
        except TimeoutError:
            pytest.fail(f"held: {self.names}, told: {len(self.told)}, counted: {self.counted}")


@asynccontextmanager
async def following(
    kube: Kube,
    namespace: str,
    timing: Timing = QUICK,
    store: Store | None = None,
    backlog_seconds: float = 0,
) -> AsyncIterator[Followed]:
    """Runs an informer on the labelled ConfigMaps of a namespace, from its first listing on."""
    followed = Followed(kube, namespace, timing, store, backlog_seconds)
    running = asyncio.create_task(followed.informer.run())
    try:
        async with asyncio.timeout(60):
            await followed.informer.synced.wait()
        yield followed
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), running.exception()


async def uris(
    plane: ControlPlane, namespace: str, since: datetime, *words: str, verb: str = ""
) -> list[str]:
    """The informer's requests that reached the server and have all these words in the URI."""
    seen = await asyncio.to_thread(audit.requests, plane, since=since, namespace=namespace)
    return [
        r.uri
        for r in seen
        if r.agent.startswith("model-booster")
        and verb in ("", r.verb)
        and all(word in r.uri for word in words)
        # Before 1.34 the API server may refuse to stream a list; a plain one follows.
        and r.code != HTTPStatus.UNPROCESSABLE_ENTITY
    ]


async def listings(plane: ControlPlane, namespace: str, since: datetime) -> int:
    """Number of full lists, plain or streaming."""
    plain = await uris(plane, namespace, since, verb="list")
    return len(plain) + len(await uris(plane, namespace, since, "sendInitialEvents=true"))


def config_map(name: str, **values: str) -> Object:
    return {"metadata": {"name": name, "labels": {"team": "red"}}, "data": values}


async def eventually(right: Callable[[], object]) -> None:
    """Polls the state of the proxy, which runs in another thread."""
    async with asyncio.timeout(60):
        while not right():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
