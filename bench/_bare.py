"""Both processes without their logic: what ``bench.at_once --bare`` measures beside the real ones.

    python -m bench._bare webhook|controller

They start as the real ones do, with the same server, certificates, client and watches, decode all
events, and keep none of them: no store and no index.

* The webhook decodes each review and allows it: no rules, defaults or warnings.
* The controller sends for each new ModelBooster what the real one sends: its three children one
  after another, its status and an Event when they exist, and once more when its ModelServing is
  available. The children are those of one sample, with another name and owner. It has no queue and
  no plan, judges and converts nothing, and compares nothing with what exists.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

import orjson

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, Profile
from app.cache.informer import Informer
from app.cache.listwatch import Freshness
from app.convert.options import Options
from app.installed import poll
from app.kube import Kube
from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Key, Object, Resource, key_of, owner_references
from controller.config import ControllerConfig
from controller.controller import GC_THRESHOLDS, Controller
from controller.plan.desired import desired_state
from controller.reconcile.events import EVENT, new_event
from modelbooster.cli.entry import run
from modelbooster.parts import controller, webhook
from modelbooster.parts.lookup_cache import LookupCache
from webhook.endpoint import Endpoint

NAME_MARK, UID_MARK = b"@name@", b"@uid@"


async def follow(informer: Informer, take: Callable[[Object], object]) -> None:
    """Reads what an informer reads, with the same requests, and keeps nothing of it.

    Args:
        informer: the informer; it counts as synced when all objects have been read.
        take: called with each object.
    """
    events, version = informer._list_watch.stream(Freshness.ANY), ""
    while True:
        async for kind, obj in events:
            version = obj["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":  # the first one follows the last object of the list
                informer.synced.set()
                informer._list_watch.backlog.is_open = True
            else:
                take(obj)
        events = informer._list_watch.watch(version)


def allow(review: Object) -> Object:
    """Allows whatever a review asks for."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": True},
    }


def bare_app(_context: Callable[[], Context], metrics: Metrics) -> Endpoint:
    return Endpoint(allow, metrics)


class Followed(LookupCache):
    """Reads what the lookup cache reads, and keeps nothing."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(follow(informer, id))


class BareController(Controller):
    """Follows the kinds that the controller follows, and sends what it sends."""

    def __init__(self, kube: Kube, config: ControllerConfig, metrics: Metrics) -> None:
        super().__init__(kube, config, metrics)
        self._kube = kube
        self._begun: dict[Key, tuple[Object, asyncio.Future[None]]] = {}
        self._group: asyncio.TaskGroup | None = None  # None until it leads
        self._waiting: list[Coroutine[Any, Any, None]] = []
        self._slots = asyncio.Semaphore(config.workers)
        self._sample = b""

    async def follow(self) -> None:
        gc.set_threshold(*GC_THRESHOLDS)
        async with asyncio.TaskGroup() as group:
            group.create_task(poll(self._detect, self._config.poll_seconds))
            group.create_task(self.schema.run())
            for resource, informer in self._informers._informers_of_kinds():
                group.create_task(self._follow_when_served(resource, informer))
            for pods in self._informers._pods:
                group.create_task(follow(pods, id))

    async def work(self) -> None:
        if await self._wait_until_synced():
            gc.freeze()
            async with asyncio.TaskGroup() as self._group:
                for work in self._waiting:
                    self._start(work)
                await self._stopping.wait()

    async def _follow_when_served(self, resource: Resource, informer: Informer) -> None:
        await self._informers._served[resource].wait()
        take = {MODEL_BOOSTER: self._take_booster, MODEL_SERVING: self._take_serving}
        await follow(informer, take.get(resource, id))

    def _take_booster(self, booster: Object) -> None:
        key = key_of(booster)
        if key not in self._begun and "conditions" not in booster["status"]:
            created: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._begun[key] = booster, created
            self._start(self._create_children(booster, created))

    def _take_serving(self, serving: Object) -> None:
        if serving.get("status", {}).get("conditions"):
            owner = next(iter(owner_references(serving)))["name"]
            begun = self._begun.pop(Key(key_of(serving).namespace, owner), None)
            if begun is not None:
                self._start(self._report_active(*begun))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            self._waiting.append(work)
        else:
            self._group.create_task(work)

    async def _create_children(self, booster: Object, created: asyncio.Future[None]) -> None:
        metadata = booster["metadata"]
        if not self._sample:
            children = desired_state(booster, Context(Options(), Profile.B)).children
            found = [[child.resource.kind, child.object] for child in children]
            self._sample = orjson.dumps(found).replace(metadata["name"].encode(), NAME_MARK)
            self._sample = self._sample.replace(metadata["uid"].encode(), UID_MARK)
        text = self._sample.replace(NAME_MARK, metadata["name"].encode())
        objects = dict(orjson.loads(text.replace(UID_MARK, metadata["uid"].encode())))
        async with self._slots:
            for resource in (MODEL_SERVER, MODEL_SERVING, MODEL_ROUTE):
                await self._kube.apply(resource, objects[resource.kind])
        await self._report(booster, "False")
        created.set_result(None)

    async def _report_active(self, booster: Object, created: asyncio.Future[None]) -> None:
        await created
        await self._report(booster, "True")

    async def _report(self, booster: Object, is_active: str) -> None:
        generation = booster["metadata"]["generation"]
        told = {
            "reason": "Bare",
            "message": "what the longest usual message of a condition has, in characters",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": generation,
        }
        status = {
            "observedGeneration": generation,
            "modelName": booster["metadata"]["name"],
            "conditions": [
                {"type": "Initialized", "status": "True", **told},
                {"type": "Active", "status": is_active, **told},
                {"type": "Failed", "status": "False", **told},
                {"type": "Ready", "status": is_active, **told},
            ],
        }
        key = key_of(booster)
        async with self._slots:
            patch = [{"op": "replace", "path": "/status", "value": status}]
            await self._kube.json_patch(MODEL_BOOSTER, *key, patch, subresource="status")
        event = new_event(booster, "Normal", "Bare", told["message"], "bare", time.time_ns())
        await self._kube.post(EVENT, event)


if __name__ == "__main__":
    # Everything else is the real program, so that only the logic makes the difference.
    with (
        patch.multiple(webhook, webhook_app=bare_app, LookupCache=Followed),
        patch.object(controller, "Controller", BareController),
    ):
        run()
