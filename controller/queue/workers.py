"""Workers: they take keys from the queue, run passes, and schedule the next ones."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

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

CONTROLLER_NAME = "modelbooster"
"""Name of this controller in logs and metrics."""


class Workers:
    """Runs passes for keys.

    Args:
        queue: the work queue.
        reconcile: runs one pass.
        metrics: metrics to update.
        resync_seconds: interval after which a key is reconciled without a change.
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
        self._active = metrics.active_workers.labels(controller=CONTROLLER_NAME)
        self._seconds = metrics.reconcile_seconds.labels(controller=CONTROLLER_NAME)
        self._results = {
            label: metrics.reconciles.labels(controller=CONTROLLER_NAME, result=label)
            for label in ("success", "requeue_after", "error")
        }

    async def run(self, count: int) -> None:
        """Runs up to ``count`` passes concurrently, until the queue is shut down.

        Raises:
            LeadershipLost: this replica may not write any more.
        """
        self._metrics.max_workers.labels(controller=CONTROLLER_NAME).set(count)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(self._work())
        except BaseExceptionGroup as group:
            raise cause_of(group) from None

    async def _work(self) -> None:
        while True:
            # Most passes after a start write nothing, so they never yield. Thousands of them
            # would block the event loop, and with it lease renewal and probes.
            await asyncio.sleep(0)
            try:
                key = await self._queue.get()
            except QueueShutDown:
                return
            subject = {"namespace": key.namespace, "name": key.name}
            try:
                with (
                    about(controller=CONTROLLER_NAME, **subject, reconcile_id=_new_id()),
                    self._active.track_inprogress(),
                    self._seconds.time(),
                ):
                    self._schedule(key, await self._run_pass(key))
            finally:
                self._queue.done(key)

    async def _run_pass(self, key: Key) -> Result:
        try:
            return await self._reconcile(key)
        except LeadershipLost:
            raise
        except Exception as exc:
            log.exception("a bug: the pass failed with an unexpected error")
            return Result(exc)

    def _schedule(self, key: Key, result: Result) -> None:
        """Decides when to run the next pass of a key, by the result of this one."""
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
        if isinstance(error, InvalidSpec):  # only an edit helps
            log.info("refused: %s", error.message)
        later = self._resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self._queue.schedule(key, later if wait is None else wait, low_priority=wait is None)

    def _count(self, result: Result) -> None:
        label = "success" if result.requeue_after_seconds is None else "requeue_after"
        if result.error is not None:
            label = "error"
            is_terminal = isinstance(result.error, TerminalError)
            metrics = self._metrics
            errors = metrics.terminal_errors if is_terminal else metrics.reconcile_errors
            errors.labels(controller=CONTROLLER_NAME).inc()
        self._results[label].inc()


def _new_id() -> str:
    """Returns the number of a pass in log lines; a UUID takes five times as long."""
    return f"{random.getrandbits(128):032x}"
