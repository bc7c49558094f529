"""What a Lease says, and what a replica does about it. The clock is an argument.

Clocks of different machines are never compared. A lease has expired when *this* replica has seen
it unchanged for its whole duration, as in client-go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import ceil

from app.errors import UsageError
from app.values.meta import Key, Object, Resource
from app.values.value import value
from controller.timing import is_safe_lease

LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

RELEASED_SECONDS = 1
"""Duration of a released lease, for clients that do not treat an empty holder as free."""


@dataclass(frozen=True, kw_only=True)
class LeaseTiming:
    """Time limits of leader election, and the arithmetic with them.

    Args:
        lease_seconds: how long other replicas wait for a leader that does not renew; LeaseDuration
            in client-go.
        renew_seconds: how long a leader works without a renewal; RenewDeadline in client-go.
        retry_seconds: pause between two attempts; RetryPeriod in client-go.
        waits_if_absent: whether an installer creates the lease. An absent lease was then deleted,
            and a holder that this replica never saw may still work. So it waits one duration.

    Raises:
        UsageError: two replicas could lead at the same time.
    """

    lease_seconds: float = 15
    renew_seconds: float = 10
    retry_seconds: float = 2
    waits_if_absent: bool = False

    def __post_init__(self) -> None:
        if not is_safe_lease(self.lease_seconds, self.renew_seconds, self.retry_seconds):
            raise UsageError(
                "the lease must last longer than its renewal may take, and that longer than 1.2"
                f" times the pause between two tries: {self}"
            )

    def lease_seconds_left(self, renewed_at: float, now: float) -> float:
        """Returns the seconds until another replica may take a lease renewed at this time."""
        return renewed_at + self.lease_seconds - now

    def renewal_seconds_left(self, renewed_at: float, now: float) -> float:
        """Returns the seconds until a leader that renewed at this time must stop writing."""
        return renewed_at + self.renew_seconds - now


class LeaseAction(StrEnum):
    """What a replica does about the lease."""

    CREATE = "create"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"


@value
class ObservedLease:
    """The lease as last read.

    Args:
        lease: the object; None if there is none.
        changed_at: when this replica first saw it in this version, in seconds of its clock.
        before: the last version of a deleted lease; None if this replica never saw one.
    """

    lease: Object | None
    changed_at: float
    before: Object | None = None

    def followed_by(self, lease: Object | None, now: float) -> ObservedLease:
        """Returns the observation after another read, at ``now`` in seconds."""
        if _version(lease) == _version(self.lease):
            return self
        return ObservedLease(lease, now, self.lease if lease is None else None)


def holder_of(lease: Object | None) -> str:
    """Returns the identity of the holder; ``""`` if the lease is free."""
    return str(_spec(lease).get("holderIdentity") or "")


def next_action(seen: ObservedLease, me: str, now: float, timing: LeaseTiming) -> LeaseAction:
    """Returns what to do about the lease.

    Args:
        seen: the lease as last read.
        me: identity of this process, different from every other replica's and earlier process's.
        now: the time, in seconds of the clock of ``seen``.
        timing: its ``lease_seconds`` count for a lease without a duration.
    """
    holder = holder_of(seen.lease)
    if holder == me:
        return LeaseAction.RENEW
    if seen.lease is not None and not holder:
        return LeaseAction.TAKE
    if seen.lease is None and _is_free(seen.before, me, timing):
        return LeaseAction.CREATE
    # Another replica holds the lease, or held it when it was deleted. Wait until it has expired.
    if now < seen.changed_at + _duration(seen.lease or seen.before, timing):
        return LeaseAction.WAIT
    return LeaseAction.CREATE if seen.lease is None else LeaseAction.TAKE


def held_lease(
    lease: Object | None, key: Key, me: str, at: datetime, timing: LeaseTiming
) -> Object:
    """Returns the lease as it is written to create, take or renew it.

    Args:
        lease: the lease as read, its resource version is the precondition; None to create it.
        key: namespace and name of the lease.
        me: identity of this process.
        at: the wall clock time, for users; no replica computes with it.
        timing: the duration to write.
    """
    spec = _spec(lease)
    count = spec.get("leaseTransitions")
    count = count if isinstance(count, int) else 0
    acquired_at = spec.get("acquireTime")
    if lease is None:
        lease, acquired_at = _unheld(key), _micro(at)
    elif holder_of(lease) != me:
        count, acquired_at = count + 1, _micro(at)
    return {
        **lease,
        "spec": {
            **spec,
            "holderIdentity": me,
            "leaseDurationSeconds": ceil(timing.lease_seconds),
            "acquireTime": acquired_at or _micro(at),
            "renewTime": _micro(at),
            "leaseTransitions": count,
        },
    }


def released_lease(lease: Object, at: datetime) -> Object:
    """Returns the lease as it is written to release it, at a wall clock time."""
    spec = {
        **_spec(lease),
        "holderIdentity": "",
        "leaseDurationSeconds": RELEASED_SECONDS,
        "renewTime": _micro(at),
    }
    return {**lease, "spec": spec}


def _is_free(before: Object | None, me: str, timing: LeaseTiming) -> bool:
    """Returns whether an absent lease may be created at once.

    Another replica may have taken a free lease between our read and its deletion. So if an absent
    lease was deleted, only its last holder may recreate it at once.
    """
    return holder_of(before) == me or (holder_of(before) == "" and not timing.waits_if_absent)


def _unheld(key: Key) -> Object:
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"namespace": key.namespace, "name": key.name},
    }


def _spec(lease: Object | None) -> Object:
    spec = (lease or {}).get("spec")
    return spec if isinstance(spec, dict) else {}


def _version(lease: Object | None) -> tuple[str, str] | None:
    if lease is None:
        return None
    metadata = lease["metadata"]
    return metadata.get("uid", ""), metadata.get("resourceVersion", "")


def _duration(lease: Object | None, timing: LeaseTiming) -> float:
    stated = _spec(lease).get("leaseDurationSeconds")
    return float(stated) if isinstance(stated, int) and stated > 0 else timing.lease_seconds


def _micro(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
