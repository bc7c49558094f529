"""Leader election with a Lease: one controller works at a time.

The lease is no fence: a write in flight when it expires may still succeed. Preconditions and
deterministic names make two leaders harmless. The lease only keeps them from working against each
other for long. A leader that cannot renew ends its process, and a new process waits for the lease.

The election of kubernetes_asyncio is not used. It keeps renewing when the work has failed, and
keeps the work running when renewing fails.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from app.errors import ApiError, Conflict, LeadershipLost, NotFound, Unreachable
from app.kube import Kube
from app.values.meta import Object
from controller.election.leadership import Leadership, cause_of
from controller.election.lease import (
    LEASE,
    LeaseAction,
    ObservedLease,
    held_lease,
    holder_of,
    next_action,
    released_lease,
)
from controller.timing import MAX_JITTER

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""Timeout of a request for the lease; it leaves time for a second attempt."""

RELEASE_SECONDS = 3.0
"""Timeout of the release."""


async def lead(kube: Kube, leadership: Leadership, work: Callable[[], Awaitable[None]]) -> None:
    """Acquires the lease, runs the work while renewing, and releases the lease afterwards.

    Args:
        kube: the API server.
        leadership: the lease and its state; its ``guard`` protects the writes of the work.
        work: what only the leader does; it is cancelled when the lease is lost.

    Raises:
        LeadershipLost: the lease was not renewed in time, or another replica has taken it.
    """
    elector = _Elector(kube.unguarded(REQUEST_SECONDS, is_urgent=True), leadership)
    await elector.acquire()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(elector.renew())
            await work()
            elector.stop()
    except BaseExceptionGroup as group:
        cause = cause_of(group)
        if isinstance(cause, LeadershipLost):
            leadership.ended()
        raise cause from None
    finally:
        # The work has ended, so the next leader need not wait for the lease to expire.
        await elector.release()


class _Elector:
    def __init__(self, kube: Kube, leadership: Leadership) -> None:
        self._kube = kube
        self._leadership = leadership
        self._me = leadership.me
        self._seen: ObservedLease | None = None
        self._stopping = asyncio.Event()

    @property
    def _holder(self) -> str:
        return holder_of(self._seen.lease) if self._seen is not None else ""

    async def acquire(self) -> None:
        """Waits until this process holds the lease."""
        waiting_for = ""
        while not await self._try_once():
            if self._holder not in ("", waiting_for):
                waiting_for = self._holder
                log.info("%s waits: %s leads", self._me, waiting_for)
            await self._pause()

    async def renew(self) -> None:
        """Renews the lease until ``stop`` is called.

        Raises:
            LeadershipLost: renewing failed for too long, or another replica holds the lease.
        """
        while not self._stopping.is_set():
            await self._pause()
            try:
                async with asyncio.timeout(self._leadership.renewal_seconds_left()):
                    while not self._stopping.is_set() and not await self._try_once():
                        if self._holder not in ("", self._me):
                            raise LeadershipLost(f"{self._holder} holds the lease now")
                        await self._pause()
            except TimeoutError:
                seconds = self._leadership.timing.renew_seconds
                raise LeadershipLost(f"the lease was not renewed for {seconds:g} s") from None

    def stop(self) -> None:
        """Ends the renewals, after the one in flight."""
        self._stopping.set()

    async def release(self) -> None:
        """Releases the lease, if this process holds it. If that fails, the lease expires."""
        if self._leadership.renewal_seconds_left() <= 0:
            return
        self._leadership.ended()
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                try:
                    await self._write_release()
                except Conflict:  # a cancelled renewal had succeeded
                    await self._look()
                    await self._write_release()
        except (ApiError, Unreachable, TimeoutError) as exc:
            log.warning("the lease could not be released: %s", exc)

    async def _write_release(self) -> None:
        if self._seen is not None and self._seen.lease and self._holder == self._me:
            await self._kube.replace(LEASE, released_lease(self._seen.lease, datetime.now(UTC)))
            log.info("%s has released the lease", self._me)

    async def _try_once(self) -> bool:
        """Renews the lease, or reads it and acts on it; returns whether this process holds it."""
        try:
            if self._seen is not None and self._holder == self._me:
                await self._write(LeaseAction.RENEW, self._seen)
                return True
        except (ApiError, Unreachable) as exc:
            log.warning("the lease could not be renewed: %s", exc)
        try:
            for _ in range(2):
                seen = await self._look()
                action = next_action(
                    seen, self._me, self._leadership.now(), self._leadership.timing
                )
                if action is LeaseAction.WAIT:
                    return False
                try:
                    await self._write(action, seen)
                    return True
                except Conflict:  # another replica was faster: read again
                    continue
        except (ApiError, Unreachable) as exc:
            log.warning("the lease could not be acquired: %s", exc)
        return False

    async def _look(self) -> ObservedLease:
        lease: Object | None
        try:
            lease = await self._kube.get(LEASE, *self._leadership.key)
        except NotFound:
            lease = None
        now = self._leadership.now()
        before = self._seen
        self._seen = before.followed_by(lease, now) if before else ObservedLease(lease, now)
        return self._seen

    async def _write(self, action: LeaseAction, seen: ObservedLease) -> None:
        sent_at = self._leadership.now()
        leadership = self._leadership
        lease = held_lease(
            seen.lease, leadership.key, self._me, datetime.now(UTC), leadership.timing
        )
        if action is LeaseAction.CREATE:
            lease["metadata"] |= leadership.metadata
            stored = await self._kube.create(LEASE, lease)
        else:
            stored = await self._kube.replace(LEASE, lease)
        self._seen = ObservedLease(stored, self._leadership.now())
        self._leadership.renewed(sent_at)

    async def _pause(self) -> None:
        """Waits for the next attempt, with jitter so that replicas do not act at the same time."""
        jitter = random.uniform(1, MAX_JITTER)  # noqa: S311 - not a secret
        pause = self._leadership.timing.retry_seconds * jitter
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
