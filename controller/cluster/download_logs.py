"""Reads how far running downloads are, from the ends of their logs.

A container cannot write its progress into an object without a token, and the kubelet tells the end
of a container only. So the leader asks for the last lines of the log, a request of some hundred
bytes. It asks only while something downloads, and limits pods and rate, so the cost is the same
however many models download at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing

from app.cache.records import Record
from app.errors import ApiError, Forbidden, Unreachable
from app.kube import Kube
from app.values.meta import Key, Object, key_of
from controller.status.downloads import PodDownload, progress_in
from controller.status.pod_records import POD, backend_name, booster_uid

log = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
"""Shortest time between two requests for the log of a pod. A shorter download is never asked."""

REQUESTS_PER_SECOND = 10.0
"""Most requests in a second. With more downloads, each is asked less often."""

PODS_PER_BACKEND = 3
"""Of how many pods of a backend logs are read. Most share a cache, so they tell the same. Of many
nodes that are warmed up these are a sample; when one is done, the next is asked."""

REFUSED_SECONDS = 600.0
"""How long to wait after the API server has refused a log."""

_TAIL_LINES = 5
_MAX_BYTES = 16 * 1024
_TIMEOUT_SECONDS = 5.0


class DownloadLogs:
    """Keeps the progress of running downloads in the records of their pods.

    Args:
        booster_key: returns the key of the ModelBooster with a uid.
        enqueue: adds a ModelBooster to the work queue.
    """

    def __init__(
        self,
        booster_key: Callable[[str], Key | None],
        enqueue: Callable[[Key, bool], None],
    ) -> None:
        self._booster_key = booster_key
        self._enqueue = enqueue
        self._running: dict[str, Object] = {}
        self._is_any = asyncio.Event()

    def observe(self, old: Record | None, new: Record | None) -> None:
        """Handles an event of a pod."""
        record = new or old
        if record is None:
            return
        uid, download = record.object["metadata"]["uid"], record.object["download"]
        if new is not None and download is not None and download.is_running and download.has_lines:
            self._running[uid] = record.object
            self._is_any.set()
        elif self._running.pop(uid, None) is not None and not self._running:
            self._is_any.clear()

    async def run(self, kube: Kube, round_seconds: float = ROUND_SECONDS) -> None:
        """Reads logs while something downloads, until it is cancelled.

        Args:
            kube: the API server.
            round_seconds: shortest time between two requests for the log of a pod.
        """
        while True:
            await self._is_any.wait()
            await asyncio.sleep(round_seconds)
            try:
                await self._round(kube)
            except Forbidden as exc:
                log.warning(
                    "the status tells no progress of downloads, because the controller may not "
                    "read logs (get pods/log): %s",
                    exc,
                )
                await asyncio.sleep(REFUSED_SECONDS)

    async def _round(self, kube: Kube) -> None:
        """Reads the log of each chosen pod once.

        Raises:
            Forbidden: the controller may not read logs.
        """
        requests = []
        async with asyncio.TaskGroup() as group:
            for record in [*self._chosen()]:
                requests.append(group.create_task(self._read(kube, record)))
                await asyncio.sleep(1 / REQUESTS_PER_SECOND)
        refused = next((error for request in requests if (error := request.result())), None)
        if refused is not None:
            raise refused

    def _chosen(self) -> Iterator[Object]:
        """Yields the records of the pods to ask, the first of each backend by name."""
        counts: dict[tuple[str, str], int] = {}
        for record in sorted(self._running.values(), key=key_of):
            backend = (booster_uid(record), backend_name(record))
            counts[backend] = counts.get(backend, 0) + 1
            if counts[backend] <= PODS_PER_BACKEND:
                yield record

    async def _read(self, kube: Kube, record: Object) -> Forbidden | None:
        """Reads the end of a log; returns the error if that is not allowed."""
        download: PodDownload = record["download"]
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                progress = progress_in(await _tail(kube, key_of(record), download.container))
        except Forbidden as exc:
            return exc
        except (ApiError, Unreachable, TimeoutError):
            return None  # it has just ended, or its node does not answer
        if progress is not None and progress != download.progress:
            # The record may have been replaced meanwhile; it shares the download.
            download.progress = progress
            if key := self._booster_key(booster_uid(record)):
                self._enqueue(key, True)
        return None


async def _tail(kube: Kube, pod: Key, container: str) -> str:
    query = {
        "container": container,
        "tailLines": str(_TAIL_LINES),
        "limitBytes": str(_MAX_BYTES),
    }
    text = b""
    path = f"{POD.path(pod.namespace, pod.name)}/log"
    async with aclosing(kube.stream(path, query, seconds=_TIMEOUT_SECONDS)) as pieces:
        async for piece in pieces:
            text += piece
    return text.decode(errors="replace")
