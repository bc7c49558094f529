"""Workers: they take keys from the queue, run passes, and settle how those end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from uuid import uuid4

from app.errors import (
    Conflict,
    ConflictingController,
    InvalidSpec,
    LeadershipLost,
    TerminalError,
)
from app.log import about
from app.metrics import Metrics
from app.values.meta import Key
from controller.election.leadership import cause_of
from controller.queue.result import Result
from controller.queue.workqueue import QueueShutDown, WorkQueue

log = logging.getLogger(__name__)

NAME = "modelbooster"
"""What logs and metrics call this controller."""


class Workers:
    """Runs passes for keys.

    Args:
        queue: the keys.
        reconcile: runs one pass.
        metrics: where to count.
        resync_seconds: after how long a key is looked at again although nothing changed.
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconcile: Callable[[Key], Awaitable[Result]],
        metrics: Metrics,
        resync_seconds: float,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._metrics = metrics
        self._resync_seconds = resync_seconds
        self._active = metrics.active_workers.labels(controller=NAME)
        self._seconds = metrics.reconcile_seconds.labels(controller=NAME)
        self._ended = {
            word: metrics.reconciles.labels(controller=NAME, result=word)
            for word in ("success", "requeue_after", "error")
        }

    async def run(self, count: int) -> None:
        """Runs so many passes at a time, until the queue is shut down.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        self._metrics.max_workers.labels(controller=NAME).set(count)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(self._work())
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    async def _work(self) -> None:
        while True:
            # Most passes after a start write nothing, so they wait for nothing. Thousands in one
            # go would keep the lease from being renewed, and the probes from being answered.
            await asyncio.sleep(0)
            try:
                key = await self._queue.get()
            except QueueShutDown:
                return
            subject = {"namespace": key.namespace, "name": key.name}
            try:
                with (
                    about(controller=NAME, **subject, reconcile_id=uuid4().hex),
                    self._active.track_inprogress(),
                    self._seconds.time(),
                ):
                    self._settle(key, await self._passed(key))
            finally:
                self._queue.done(key)

    async def _passed(self, key: Key) -> Result:
        try:
            return await self._reconcile(key)
        except LeadershipLost:
            raise
        except Exception as exc:
            log.exception("a bug: the pass broke off")
            return Result(exc)

    def _settle(self, key: Key, result: Result) -> None:
        """Decides when a key comes again, by how its pass ended."""
        error, wait = result.error, result.requeue_after_seconds
        self._count(result)
        if error is not None and not isinstance(error, InvalidSpec | ConflictingController):
            self._queue.retry(key, at_least_seconds=wait or 0)
            level = logging.DEBUG if isinstance(error, Conflict) else logging.WARNING
            log.log(level, "%s; tried %d times", error, self._queue.failures(key))
            return
        if result.is_gone:
            self._queue.drop(key)
            return
        self._queue.forget(key)
        if isinstance(error, InvalidSpec):  # nothing comes of it before somebody edits it
            log.info("refused: %s", error.message)
        later = self._resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self._queue.add_after(key, later if wait is None else wait, low=wait is None)

    def _count(self, result: Result) -> None:
        word = "success" if result.requeue_after_seconds is None else "requeue_after"
        if result.error is not None:
            word = "error"
            is_terminal = isinstance(result.error, TerminalError)
            metrics = self._metrics
            errors = metrics.terminal_errors if is_terminal else metrics.reconcile_errors
            errors.labels(controller=NAME).inc()
        self._ended[word].inc()
