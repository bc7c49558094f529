"""Whether this process leads. Every write checks it first."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from uuid import uuid4

from app.errors import LeadershipLost
from app.kube.backoff import Clock
from app.values.meta import Key, Object
from controller.election.lease import LeaseTiming

log = logging.getLogger(__name__)


def identity(replica: str = "") -> str:
    """Returns a holder identity: the name of the replica, ``_``, and a UUID of this process.

    A restarted container gets another identity. With the same one it would continue a lease
    without knowing when it was last renewed.

    Args:
        replica: the pod's name; the host's name if empty.
    """
    name = replica or os.environ.get("HOSTNAME") or socket.gethostname()
    return f"{name}_{uuid4()}"


class Leadership:
    """Whether this process leads, by its own monotonic clock.

    Args:
        key: namespace and name of the lease.
        me: identity of this process.
        timing: time limits.
        leads: called with True when this process becomes the leader, with False when it stops.
        clock: a monotonic time, in seconds.
        metadata: labels and annotations for a lease that must be created.
    """

    def __init__(
        self,
        key: Key,
        me: str,
        timing: LeaseTiming,
        leads: Callable[[bool], None] = lambda is_leader: None,
        clock: Clock = time.monotonic,
        metadata: Object | None = None,
    ) -> None:
        self.key = key
        self.me = me
        self.timing = timing
        self.metadata = metadata or {}
        self._leads = leads
        self._clock = clock
        self._renewed_at: float | None = None  # when the last successful renewal was sent

    def now(self) -> float:
        """Returns the time, in seconds of the clock that leadership is measured with."""
        return self._clock()

    def guard(self) -> float:
        """Returns the timeout of a write that is sent now, in seconds.

        Raises:
            LeadershipLost: this process does not lead, or its renewal is overdue.
        """
        if self.renewal_seconds_left() <= 0 or self._renewed_at is None:
            raise LeadershipLost(f"{self.me} does not hold the lease {self.key}")
        return self.timing.lease_seconds_left(self._renewed_at, self._clock())

    def renewal_seconds_left(self) -> float:
        """Returns the seconds until a renewal is overdue; 0 or less if this process cannot lead."""
        if self._renewed_at is None:
            return 0
        return self.timing.renewal_seconds_left(self._renewed_at, self._clock())

    def fault(self) -> str | None:
        """Returns why the process must be restarted: it leads with an expired lease. Else None."""
        if self._renewed_at is None:
            return None
        now, lasts = self._clock(), self.timing.lease_seconds
        if self.timing.lease_seconds_left(self._renewed_at, now) >= 0:
            return None
        return f"the lease was renewed {now - self._renewed_at:.0f} s ago, and it lasts {lasts:g} s"

    def renewed(self, sent_at: float) -> None:
        """Records a successful write of the lease that was sent at this time, in seconds."""
        if self._renewed_at is None:
            log.info("%s leads now (lease %s)", self.me, self.key)
            self._leads(True)
        self._renewed_at = sent_at

    def ended(self) -> None:
        """Records that this process does not lead any more."""
        if self._renewed_at is not None:
            self._leads(False)
        self._renewed_at = None


def cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the exception to raise for a failed task group.

    That is LeadershipLost if the group has one, else the group. Other errors next to LeadershipLost
    are logged here, because the caller raises only one.
    """
    lost, others = group.split(LeadershipLost)
    if lost is None:
        return group
    if others is not None:
        log.error("work failed while the lease was lost", exc_info=others)
    cause: BaseException = lost
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause
