"""Kubernetes Events about a ModelBooster, as shown by ``kubectl describe``.

Events are sent in the background, once each, without a retry. Nothing depends on them.
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
"""Longest note that the API server accepts, in characters."""

FLUSH_SECONDS = 1.0
"""How long queued Events may delay the end of the process."""

FLUSH_SENDERS = 16
"""How many Events are sent concurrently at the end."""

MAX_QUEUED = 1000
"""Events that are queued at most; further ones are dropped."""


class EventRecorder:
    """Queues Events and sends them.

    Args:
        kube: the API server.
        instance: name of this replica.
    """

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube = kube
        self._instance = instance[:128]
        self._queue: asyncio.Queue[Object] = asyncio.Queue(MAX_QUEUED)

    def record(self, booster: Object, kind: str, reason: str, note: str) -> None:
        """Queues an Event about a ModelBooster; drops it if the queue is full.

        Args:
            booster: the ModelBooster.
            kind: ``Normal`` or ``Warning``.
            reason: machine-readable reason, CamelCase.
            note: human-readable sentence; longer ones than ``MAX_NOTE`` are truncated.
        """
        try:
            self._queue.put_nowait(
                new_event(booster, kind, reason, note, self._instance, time.time_ns())
            )
        except asyncio.QueueFull:
            log.info("Event queue is full, dropped: %s %s", reason, note)

    async def run(self) -> None:
        """Sends queued Events until it is cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._kube.post(EVENT, event)
            except (ApiError, Unreachable, LeadershipLost) as exc:
                log.info("could not send an Event (%s): %s", exc, event["note"])
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Sends all queued Events; returns after ``FLUSH_SECONDS`` at the latest."""
        senders = [asyncio.create_task(self.run()) for _ in range(FLUSH_SENDERS)]
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._queue.join()
        except TimeoutError:
            log.info("%d Events were not sent before the end", self._queue.qsize())
        finally:
            for sender in senders:
                sender.cancel()


def new_event(
    booster: Object, kind: str, reason: str, note: str, instance: str, now_nanoseconds: int
) -> Object:
    """Returns an Event about a ModelBooster (events.k8s.io/v1).

    Args:
        booster: the ModelBooster.
        kind: ``Normal`` or ``Warning``.
        reason: machine-readable reason, CamelCase.
        note: human-readable sentence.
        instance: name of this replica.
        now_nanoseconds: the time since the epoch; also makes the name of the Event unique.
    """
    metadata = booster["metadata"]
    now = datetime.fromtimestamp(now_nanoseconds / 1e9, UTC).replace(tzinfo=None)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name']}.{now_nanoseconds:x}",
            "namespace": metadata["namespace"],
        },
        "eventTime": f"{now.isoformat(timespec='microseconds')}Z",
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
