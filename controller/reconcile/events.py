"""Kubernetes Events: what happened to a ModelBooster, for whoever asks ``kubectl describe``.

They are news, not state: each is sent once, beside the pass that it comes from, and never again if
that fails. Nothing depends on them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from app.errors import ApiError, LeadershipLost, Unreachable
from app.kube import FIELD_MANAGER, Kube
from app.values.meta import Object, Resource
from app.values.text import shortened

log = logging.getLogger(__name__)

EVENT = Resource("events.k8s.io", "v1", "events", "Event")

MAX_NOTE = 1024
"""Longest note that the API server takes."""

FLUSH_SECONDS = 1.0
"""How long the sending of what is still queued may delay the end."""

FLUSH_SENDERS = 16
"""How many Events are sent at a time then."""

MAX_WAITING = 1000
"""Events that may wait to be sent; more than that many a second tell nobody anything."""


class Recorder:
    """Sends Events.

    Args:
        kube: the API server.
        instance: name of this replica.
    """

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube = kube
        self._instance = instance[:128]
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(MAX_WAITING)

    def record(self, booster: Object, kind: str, reason: str, note: str) -> None:
        """Lets an Event be sent about a ModelBooster.

        Args:
            booster: what it is about.
            kind: ``Normal`` or ``Warning``.
            reason: CamelCase word.
            note: sentence for people.
        """
        try:
            self._waiting.put_nowait(
                event_about(booster, kind, reason, note, self._instance, time.time_ns())
            )
        except asyncio.QueueFull:
            log.info("too many Events at once; dropped: %s %s", reason, note)

    async def run(self) -> None:
        """Sends Events for ever."""
        while True:
            event = await self._waiting.get()
            try:
                await self._kube.create(EVENT, event)
            except (ApiError, Unreachable, LeadershipLost) as exc:
                log.info("an Event could not be sent (%s): %s", exc, event["note"])
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Sends what is still queued, while ``run`` goes on; returns after a second at most."""
        senders = [asyncio.create_task(self.run()) for _ in range(FLUSH_SENDERS)]
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._waiting.join()
        except TimeoutError:
            log.info("Events that could not be sent before the end: %d", self._waiting.qsize())
        finally:
            for sender in senders:
                sender.cancel()


def event_about(
    booster: Object, kind: str, reason: str, note: str, instance: str, now_nanoseconds: int
) -> Object:
    """Returns an Event about a ModelBooster."""
    metadata = booster["metadata"]
    now = datetime.fromtimestamp(now_nanoseconds / 1e9, UTC)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name']}.{now_nanoseconds:x}",
            "namespace": metadata["namespace"],
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": FIELD_MANAGER,
        "reportingInstance": instance,
        "action": "Reconcile",
        "type": kind,
        "reason": reason,
        "note": shortened(note, MAX_NOTE),
        "regarding": {
            "apiVersion": booster["apiVersion"],
            "kind": booster["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
    }
