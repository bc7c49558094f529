"""What a Lease says, and what follows from it; the clock is an argument.

The clocks of two machines are never compared: a lease has run out when *we* have seen it unchanged
for as long as it says that it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import ceil

from app.errors import UsageError
from app.values.meta import Key, Object, Resource

LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

RELEASED_SECONDS = 1
"""Duration that a released lease states: whoever does not know that empty means free waits it."""


@dataclass(frozen=True, kw_only=True)
class LeaseTiming:
    """How long leadership lasts.

    Args:
        lease_seconds: how long the others wait for a leader that has gone silent.
        renew_seconds: how long a leader goes on without a renewal.
        retry_seconds: pause between two looks at the lease.
        waits_if_absent: whether an installer makes the lease. Then a lease that is absent was
            deleted, and a holder that we never saw may still work: we wait as if we had seen it.

    Raises:
        UsageError: two replicas could lead at once with these.
    """

    lease_seconds: float = 15
    renew_seconds: float = 10
    retry_seconds: float = 2
    waits_if_absent: bool = False

    def __post_init__(self) -> None:
        if not self.lease_seconds > self.renew_seconds > 1.2 * self.retry_seconds > 0:
            raise UsageError(
                "the lease must last longer than its renewal may take, and that longer than 1.2"
                f" times the pause between two tries: {self}"
            )


class LeaseAction(StrEnum):
    """What a replica does next."""

    CREATE = "create"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"


@dataclass(frozen=True)
class ObservedLease:
    """The lease as last read.

    Args:
        lease: the object, None if there is none.
        changed_at: our clock when we first saw it so.
        before: what a lease that has vanished said last; None if we never saw one.
    """

    lease: Object | None
    changed_at: float
    before: Object | None = None

    def followed_by(self, lease: Object | None, now: float) -> ObservedLease:
        """Returns what we know after having read the lease again."""
        if _version(lease) == _version(self.lease):
            return self
        return ObservedLease(lease, now, self.lease if lease is None else None)


def holder_of(lease: Object | None) -> str:
    """Who holds the lease; ``""`` for nobody."""
    return str(_spec(lease).get("holderIdentity") or "")


def next_action(seen: ObservedLease, me: str, now: float, term: LeaseTiming) -> LeaseAction:
    """Returns what to do about the lease.

    Args:
        seen: the lease, and since when we know it so.
        me: our identity, different from every other replica's and from our own before a restart.
        now: our clock, the one of ``seen``.
        term: how long a lease lasts that does not say so itself.
    """
    holder = holder_of(seen.lease)
    if holder == me:
        return LeaseAction.RENEW
    if seen.lease is not None and not holder:
        return LeaseAction.TAKE
    if seen.lease is None and _is_free(seen.before, me, term):
        return LeaseAction.CREATE
    # Somebody holds it, or held it when it was deleted: it is theirs until it would have run out.
    if now < seen.changed_at + _duration(seen.lease or seen.before, term):
        return LeaseAction.WAIT
    return LeaseAction.CREATE if seen.lease is None else LeaseAction.TAKE


def held_lease(lease: Object | None, key: Key, me: str, at: datetime, term: LeaseTiming) -> Object:
    """Returns the lease as we write it when we make, take or renew it.

    Args:
        lease: as read, the write is guarded by its version; None to make it.
        key: where it stands.
        me: our identity.
        at: the time, for those who read it; nobody computes with it.
        term: how long it lasts.
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
            "leaseDurationSeconds": ceil(term.lease_seconds),
            "acquireTime": acquired_at or _micro(at),
            "renewTime": _micro(at),
            "leaseTransitions": count,
        },
    }


def released_lease(lease: Object, at: datetime) -> Object:
    """Returns the lease as we write it when we give it up."""
    spec = {
        **_spec(lease),
        "holderIdentity": "",
        "leaseDurationSeconds": RELEASED_SECONDS,
        "renewTime": _micro(at),
    }
    return {**lease, "spec": spec}


def _is_free(before: Object | None, me: str, term: LeaseTiming) -> bool:
    """Whether an absent lease may be created at once.

    Another candidate may have taken a free lease between our look and its deletion. So where an
    absent lease was deleted, only its last holder may recreate it at once.
    """
    return holder_of(before) == me or (holder_of(before) == "" and not term.waits_if_absent)


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


def _duration(lease: Object | None, term: LeaseTiming) -> float:
    stated = _spec(lease).get("leaseDurationSeconds")
    return float(stated) if isinstance(stated, int) and stated > 0 else term.lease_seconds


def _micro(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
