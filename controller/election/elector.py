"""One controller at a time, by a Lease.

The lease is no fence: a write that is on its way when it runs out may still land. What keeps two
leaders from harm are preconditions and names that follow from the spec; the lease only keeps them
from working against each other for long. A leader that cannot renew ends its process: a fresh one
stands in line again, and nothing of the old one's work goes on.

The library's own election is not used: it goes on renewing when the work has died, and lets the
work run on when renewing fails.
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

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""Limit of a request for the lease; there is time for a second try before it must be given up."""

RELEASE_SECONDS = 3.0


async def lead(kube: Kube, leadership: Leadership, work: Callable[[], Awaitable[None]]) -> None:
    """Waits for the lease, then works for as long as it is held; releases it when the work ends.

    Args:
        kube: the API server.
        leadership: which lease, and what is known of it; its ``guard`` guards the work's writes.
        work: what only the leader does; it is cancelled when the lease is lost.

    Raises:
        LeadershipLost: the lease could not be renewed in time, or another replica has taken it.
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
        # All that worked has ended; if we still hold the lease, nobody need wait for it.
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
        """Returns when we hold the lease."""
        waiting_for = ""
        while not await self._tried():
            if self._holder not in ("", waiting_for):
                waiting_for = self._holder
                log.info("%s waits: %s leads", self._me, waiting_for)
            await self._pause()

    async def renew(self) -> None:
        """Renews the lease until it is told to stop.

        Raises:
            LeadershipLost: that failed for too long, or somebody else holds it.
        """
        while not self._stopping.is_set():
            await self._pause()
            try:
                async with asyncio.timeout(self._leadership.renewal_left()):
                    while not self._stopping.is_set() and not await self._tried():
                        if self._holder not in ("", self._me):
                            raise LeadershipLost(f"{self._holder} holds the lease now")
                        await self._pause()
            except TimeoutError:
                seconds = self._leadership.term.renew_seconds
                raise LeadershipLost(f"the lease was not renewed for {seconds:g} s") from None

    def stop(self) -> None:
        """Ends the renewals, without breaking off one that is under way."""
        self._stopping.set()

    async def release(self) -> None:
        """Gives the lease up, if we hold it; failing that it runs out by itself."""
        if self._leadership.renewal_left() <= 0:
            return
        self._leadership.ended()
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                try:
                    await self._give_up()
                except Conflict:  # a renewal was broken off, and had been done
                    await self._look()
                    await self._give_up()
        except (ApiError, Unreachable, TimeoutError) as exc:
            log.warning("the lease could not be released: %s", exc)

    async def _give_up(self) -> None:
        if self._seen is not None and self._seen.lease and self._holder == self._me:
            await self._kube.replace(LEASE, released_lease(self._seen.lease, datetime.now(UTC)))
            log.info("%s has released the lease", self._me)

    async def _tried(self) -> bool:
        """Tries to hold the lease, at once with what we know or else after a look."""
        try:
            if self._seen is not None and self._holder == self._me:
                await self._write(LeaseAction.RENEW, self._seen)
                return True
        except (ApiError, Unreachable) as exc:
            log.warning("the lease could not be renewed: %s", exc)
        try:
            for _ in range(2):
                seen = await self._look()
                move = next_action(seen, self._me, self._leadership.now(), self._leadership.term)
                if move is LeaseAction.WAIT:
                    return False
                try:
                    await self._write(move, seen)
                    return True
                except Conflict:  # somebody was quicker: see who
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

    async def _write(self, move: LeaseAction, seen: ObservedLease) -> None:
        begun_at = self._leadership.now()
        leadership = self._leadership
        lease = held_lease(seen.lease, leadership.key, self._me, datetime.now(UTC), leadership.term)
        if move is LeaseAction.CREATE:
            lease["metadata"] |= leadership.metadata
            stored = await self._kube.create(LEASE, lease)
        else:
            stored = await self._kube.replace(LEASE, lease)
        self._seen = ObservedLease(stored, self._leadership.now())
        self._leadership.renewed(begun_at)

    async def _pause(self) -> None:
        """Waits for the next try, by chance a little longer: replicas shall not knock at once."""
        pause = self._leadership.term.retry_seconds * (1 + 0.2 * random.random())  # noqa: S311
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()
