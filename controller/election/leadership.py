"""What a process knows about its own leadership; every write asks here first."""

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
from controller.election.lease import Term

log = logging.getLogger(__name__)


def identity(replica: str = "") -> str:
    """Returns a name for the Lease: that of the replica, ``_``, and a UUID of this process.

    A container that starts again in the same pod has another identity. With the old one it would
    go on with a lease of which it does not know when it was renewed.

    Args:
        replica: the pod's name; that of the host if empty.
    """
    name = replica or os.environ.get("HOSTNAME") or socket.gethostname()
    return f"{name}_{uuid4()}"


class Leadership:
    """What this process knows about its own leadership.

    Args:
        key: namespace and name of the lease.
        me: our identity.
        term: how long it lasts.
        tell: told True when we begin to lead, False when we end.
        clock: the time, in seconds; never that of the wall.
        metadata: labels and annotations of the lease, if it must be created.
    """

    def __init__(
        self,
        key: Key,
        me: str,
        term: Term,
        tell: Callable[[bool], None] = lambda leads: None,
        clock: Clock = time.monotonic,
        metadata: Object | None = None,
    ) -> None:
        self.key = key
        self.me = me
        self.term = term
        self.metadata = metadata or {}
        self._tell = tell
        self._clock = clock
        self._renewed_at: float | None = None  # when the last successful renewal was begun

    def now(self) -> float:
        """The clock by which leadership ends."""
        return self._clock()

    def guard(self) -> float:
        """Returns how many seconds a write that is sent now may take.

        Raises:
            LeadershipLost: none; by now another replica may be about to lead.
        """
        if self.renewal_left() <= 0 or self._renewed_at is None:
            raise LeadershipLost(f"{self.me} does not hold the lease {self.key}")
        return self._renewed_at + self.term.lease_seconds - self._clock()

    def renewal_left(self) -> float:
        """How many seconds are left to renew in; 0 or less if we do not lead."""
        if self._renewed_at is None:
            return 0
        return self._renewed_at + self.term.renew_seconds - self._clock()

    def fault(self) -> str | None:
        """Why the process should be restarted: it leads, and has not renewed for too long."""
        if self._renewed_at is None:
            return None
        age = self._clock() - self._renewed_at
        if age <= self.term.lease_seconds:
            return None
        return f"the lease was renewed {age:.0f} s ago, and it lasts {self.term.lease_seconds:g} s"

    def renewed(self, begun_at: float) -> None:
        """Notes a successful write of the lease that was begun at this time."""
        if self._renewed_at is None:
            log.info("%s leads now (lease %s)", self.me, self.key)
            self._tell(True)
        self._renewed_at = begun_at

    def ended(self) -> None:
        """Notes that we lead no more."""
        if self._renewed_at is not None:
            self._tell(False)
        self._renewed_at = None


def cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns what to raise for a group of tasks that failed.

    That is LeadershipLost if the group holds one, else the group itself. Whatever else stands
    beside LeadershipLost is logged here, because nobody sees it otherwise.
    """
    lost, others = group.split(LeadershipLost)
    if lost is None:
        return group
    if others is not None:
        log.error("beside the loss of the lease, work failed", exc_info=others)
    cause: BaseException = lost
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause
