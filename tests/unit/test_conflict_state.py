"""Which field manager reverts our writes, and for how long we stop writing."""

from __future__ import annotations

import pytest

from app.apis.kinds import REVISION
from app.values.meta import Object
from controller.reconcile.conflict_state import (
    ConflictState,
    ConflictTiming,
    Phase,
    other_manager_of_child,
    other_manager_of_status,
)

OURS = "model-booster-controller"
TIMING = ConflictTiming(probe_seconds=300, quiet_seconds=10, max_pause_seconds=3600)


def entry(manager: str, fields: Object, minute: int = 0, **more: str) -> Object:
    return {
        "manager": manager,
        "operation": "Update",
        "time": f"2026-01-01T00:{minute:02}:00Z",
        "fieldsV1": fields,
        **more,
    }


def live(*entries: Object, replicas: int = 1, roles: str = "theirs") -> Object:
    return {
        "metadata": {"labels": {REVISION: "r"}, "managedFields": list(entries)},
        "spec": {"replicas": replicas, "template": {"roles": [roles]}},
    }


DESIRED: Object = {
    "metadata": {"labels": {REVISION: "r"}},
    "spec": {"replicas": 1, "template": {"roles": ["ours"]}},
}
ROLES: Object = {"f:spec": {"f:template": {"f:roles": {}}}}
REPLICAS: Object = {"f:spec": {"f:replicas": {}}}


def test_owner_of_differing_fields_is_named_not_the_last_writer() -> None:
    scaler = entry("autoscaler", REPLICAS, minute=9)
    found = other_manager_of_child(live(entry("kthena", ROLES), scaler), DESIRED, OURS)
    assert str(found) == 'field manager "kthena" (Update at 2026-01-01T00:00:00Z)'


def test_last_of_several_owners_is_named() -> None:
    entries = entry("a", ROLES, 1), entry("b", ROLES, 3), entry("c", ROLES, 2)
    found = other_manager_of_child(live(*entries), DESIRED, OURS)
    assert found is not None
    assert found.name == "b"


def test_last_writer_is_named_for_a_removed_field() -> None:
    entries = entry("a", REPLICAS, 1), entry("b", {}, 3, subresource="status")
    found = other_manager_of_child(live(*entries), DESIRED, OURS)
    assert found is not None
    assert found.name == "a"


@pytest.mark.parametrize("entries", [(), (entry(OURS, ROLES),)])
def test_our_own_manager_is_never_named(entries: tuple[Object, ...]) -> None:
    assert other_manager_of_child(live(*entries), DESIRED, OURS) is None


def test_status_has_its_own_writers() -> None:
    found = other_manager_of_status(
        live(entry("a", ROLES, 9), entry("b", {}, 1, subresource="status")), OURS
    )
    assert found is not None
    assert found.name == "b"


def test_pause_doubles_with_each_reverted_trial_up_to_a_limit() -> None:
    conflict, pauses = ConflictState("d"), []
    for reverted in range(6):
        conflict.reverted = reverted
        conflict.pause(0, TIMING)
        pauses.append(conflict.until)
    assert pauses == [300, 600, 1200, 2400, 3600, 3600]


def test_conflict_ends_by_an_edit_or_a_quiet_time() -> None:
    conflict = ConflictState("d")
    assert conflict.is_over("other", 0, TIMING)
    assert not conflict.is_over("d", 0, TIMING)
    conflict.pause(0, TIMING)
    assert not conflict.is_over("d", 600, TIMING)
    assert conflict.is_over("d", 611, TIMING)
    conflict.start_trial(0, TIMING)
    assert conflict.phase is Phase.TRIAL
    assert not conflict.is_over("d", 300, TIMING)
    assert conflict.is_over("d", 301, TIMING)
