"""Leader election: decisions from the observed lease and the own clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import LeadershipLost, UsageError
from app.values.meta import Key, Object
from controller.election.leadership import Leadership, identity
from controller.election.lease import (
    LeaseAction,
    LeaseTiming,
    ObservedLease,
    held_lease,
    holder_of,
    next_action,
    released_lease,
)

KEY = Key("ns", "lease")
TIMING = LeaseTiming()
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def lease(holder: str | None, version: str = "1", **spec: Any) -> Object:
    if holder is not None:
        spec["holderIdentity"] = holder
    metadata = {"namespace": "ns", "name": "lease", "uid": "u", "resourceVersion": version}
    return {"metadata": metadata, "spec": spec}


THEIRS = lease("other", leaseDurationSeconds=15)


@pytest.mark.parametrize(
    ("seen", "age", "want"),
    [
        pytest.param(ObservedLease(None, 0), 0, LeaseAction.CREATE, id="none"),
        pytest.param(ObservedLease(lease("me"), 0), 99, LeaseAction.RENEW, id="ours"),
        pytest.param(ObservedLease(lease(""), 0), 0, LeaseAction.TAKE, id="released"),
        pytest.param(
            ObservedLease(lease(None), 0), 0, LeaseAction.TAKE, id="created empty by the chart"
        ),
        pytest.param(ObservedLease({"metadata": {}}, 0), 0, LeaseAction.TAKE, id="without a spec"),
        pytest.param(ObservedLease(THEIRS, 0), 14.9, LeaseAction.WAIT, id="just before it expires"),
        pytest.param(ObservedLease(THEIRS, 0), 15, LeaseAction.TAKE, id="expired"),
        pytest.param(
            ObservedLease(lease("other", leaseDurationSeconds=60), 0),
            59,
            LeaseAction.WAIT,
            id="a longer duration",
        ),
        pytest.param(
            ObservedLease(lease("other", renewTime="1999-01-01T00:00:00.000000Z"), 0),
            14.9,
            LeaseAction.WAIT,
            id="its renewTime does not count",
        ),
        pytest.param(
            ObservedLease(lease("other"), 0), 15, LeaseAction.TAKE, id="without a duration"
        ),
        pytest.param(
            ObservedLease(lease("other", leaseDurationSeconds="x"), 0),
            14,
            LeaseAction.WAIT,
            id="a malformed duration",
        ),
        pytest.param(
            ObservedLease(None, 0, THEIRS),
            14.9,
            LeaseAction.WAIT,
            id="deleted while its leader may live",
        ),
        pytest.param(
            ObservedLease(None, 0, THEIRS), 15, LeaseAction.CREATE, id="deleted, and expired"
        ),
        pytest.param(
            ObservedLease(None, 0, lease("me")), 0, LeaseAction.CREATE, id="ours was deleted"
        ),
        pytest.param(
            ObservedLease(None, 0, lease("")), 0, LeaseAction.CREATE, id="released, then deleted"
        ),
    ],
)
def test_next_action(seen: ObservedLease, age: float, want: LeaseAction) -> None:
    assert next_action(seen, "me", age, TIMING) is want


@pytest.mark.parametrize(
    ("before", "age", "want"),
    [
        pytest.param(None, 14.9, LeaseAction.WAIT, id="never seen"),
        pytest.param(None, 15, LeaseAction.CREATE, id="never seen, and expired by now"),
        pytest.param(lease(""), 0, LeaseAction.WAIT, id="free before, perhaps taken meanwhile"),
        pytest.param(lease("me"), 0, LeaseAction.CREATE, id="ours"),
        pytest.param(THEIRS, 14.9, LeaseAction.WAIT, id="theirs"),
    ],
)
def test_an_absent_lease_of_an_installer_was_deleted(
    before: Object | None, age: float, want: LeaseAction
) -> None:
    assert (
        next_action(ObservedLease(None, 0, before), "me", age, LeaseTiming(waits_if_absent=True))
        is want
    )


def test_a_lease_ages_since_its_last_observed_change() -> None:
    seen = ObservedLease(lease("other", "1"), 100)
    assert seen.followed_by(lease("other", "1"), 107) is seen
    assert seen.followed_by(lease("other", "2"), 107) == ObservedLease(lease("other", "2"), 107)


def test_a_deleted_lease_is_remembered_until_the_next_one() -> None:
    gone = ObservedLease(THEIRS, 100).followed_by(None, 103)
    assert gone == ObservedLease(None, 103, THEIRS)
    assert gone.followed_by(None, 110) is gone
    assert gone.followed_by(lease("me"), 111) == ObservedLease(lease("me"), 111)


def test_a_new_lease_has_all_fields() -> None:
    made = held_lease(None, KEY, "me", AT, TIMING)
    assert made == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "ns", "name": "lease"},
        "spec": {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000678Z",
            "renewTime": "2026-01-02T03:04:05.000678Z",
            "leaseTransitions": 0,
        },
    }


@pytest.mark.parametrize(
    ("before", "transitions", "acquired"),
    [
        pytest.param("me", 4, "2020-01-01T00:00:00.000000Z", id="renewed"),
        pytest.param("other", 5, "2027-01-01T00:00:00.000000Z", id="taken"),
        pytest.param("", 5, "2027-01-01T00:00:00.000000Z", id="free"),
    ],
)
def test_lease_transitions_are_counted(before: str, transitions: int, acquired: str) -> None:
    old = lease(before, leaseTransitions=4, acquireTime="2020-01-01T00:00:00.000000Z")
    new = held_lease(old, KEY, "me", LATER, TIMING)
    assert new["metadata"] == old["metadata"]
    assert new["spec"]["leaseTransitions"] == transitions
    assert new["spec"]["acquireTime"] == acquired
    assert new["spec"]["renewTime"] == "2027-01-01T00:00:00.000000Z"


def test_the_written_duration_is_rounded_up() -> None:
    timing = LeaseTiming(lease_seconds=1.2, renew_seconds=1, retry_seconds=0.2)
    assert held_lease(None, KEY, "me", AT, timing)["spec"]["leaseDurationSeconds"] == 2


def test_a_released_lease_is_free_at_once() -> None:
    free = released_lease(held_lease(lease("other"), KEY, "me", AT, TIMING), LATER)
    assert holder_of(free) == ""
    assert free["spec"]["leaseDurationSeconds"] == 1
    assert next_action(ObservedLease(free, 0), "other", 0, TIMING) is LeaseAction.TAKE


@pytest.mark.parametrize(
    "seconds", [(10, 10, 2), (15, 2.4, 2), (15, 16, 2), (15, 10, 0), (-1, -2, -3)]
)
def test_an_unsafe_timing_is_rejected(seconds: tuple[float, float, float]) -> None:
    lease_seconds, renew, retry = seconds
    with pytest.raises(UsageError, match="the lease must last longer"):
        LeaseTiming(lease_seconds=lease_seconds, renew_seconds=renew, retry_seconds=retry)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_writes_are_allowed_until_the_renewal_is_overdue() -> None:
    clock, told = Clock(), list[bool]()
    leadership = Leadership(KEY, "me", TIMING, told.append, clock)
    with pytest.raises(LeadershipLost):
        leadership.guard()

    leadership.renewed(clock.now)
    assert leadership.guard() == 15  # seconds, until another replica may lead
    clock.now += 9.9
    assert leadership.guard() == pytest.approx(5.1)
    clock.now += 0.1
    with pytest.raises(LeadershipLost):
        leadership.guard()

    leadership.renewed(clock.now)
    assert leadership.guard() == 15
    leadership.ended()
    with pytest.raises(LeadershipLost):
        leadership.guard()
    assert told == [True, False]


def test_a_leader_with_an_expired_lease_is_restarted() -> None:
    clock = Clock()
    leadership = Leadership(KEY, "me", TIMING, clock=clock)
    assert leadership.fault() is None  # only a leader has to renew
    leadership.renewed(clock.now)
    clock.now += 15
    assert leadership.fault() is None
    clock.now += 1
    assert leadership.fault() == "the lease was renewed 16 s ago, and it lasts 15 s"


def test_each_container_start_has_another_identity() -> None:
    first, second = identity("pod-0"), identity("pod-0")
    assert first != second
    assert {first.rpartition("_")[0], second.rpartition("_")[0]} == {"pod-0"}
