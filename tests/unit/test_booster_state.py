"""The state of a ModelBooster in memory between two passes."""

from __future__ import annotations

import pytest

from app.apis.kinds import MODEL_ROUTE
from app.errors import ApiError, ChildRefused, Conflict
from app.values.meta import Object
from controller.plan.actions import ChildRef, WaitForDeletion
from controller.reconcile.booster_state import MAX_REPAIRS, REPAIR_RESET_SECONDS, BoosterState
from controller.reconcile.failure import Failure
from controller.reconcile.plan_result import FailureStreak, PlanResult
from controller.status.podless import PODLESS_SECONDS

ROUTE = ChildRef("ModelRoute", "m")
BUSY = PlanResult(failures=[Failure(ROUTE, ApiError(503, "", "busy"))])
MOVED = PlanResult(failures=[Failure(ROUTE, Conflict(409, "Conflict", "moved"))])
REJECTED = PlanResult(failures=[Failure(ROUTE, ChildRefused("bad"))])
WAITING = PlanResult(waiting=[WaitForDeletion(ROUTE, is_ours=True)])


def child(name: str = "m", **spec: object) -> Object:
    return {"kind": "ModelRoute", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("passes", "want"),
    [
        pytest.param([PlanResult()], FailureStreak(), id="success"),
        pytest.param([BUSY], FailureStreak(1, 0), id="first failure"),
        pytest.param([BUSY, BUSY, BUSY], FailureStreak(3, 20), id="third failure"),
        pytest.param(
            [BUSY, BUSY, PlanResult(), BUSY],
            FailureStreak(1, 0),
            id="first failure after a success",
        ),
        pytest.param([BUSY, MOVED, BUSY], FailureStreak(2, 20), id="a conflict is not counted"),
        pytest.param([REJECTED, REJECTED], FailureStreak(), id="a rejection is not transient"),
        pytest.param([WAITING, WAITING], FailureStreak(0, 0, 10), id="waiting"),
        pytest.param([WAITING, PlanResult(), WAITING], FailureStreak(), id="waiting again"),
    ],
)
def test_failure_streak(passes: list[PlanResult], want: FailureStreak) -> None:
    state = BoosterState("u")
    found = [state.record_result(result, 10.0 * i) for i, result in enumerate(passes)]
    assert found[-1] == want


def test_rejection_holds_until_its_time_and_for_the_same_child_only() -> None:
    state, error = BoosterState("u"), ChildRefused("bad")
    state.record_rejection(child(a=1), error, 1, retry_at=100)
    standing = state.active_rejection(child(a=1), 99)
    assert standing is not None
    assert standing.error is error
    assert state.active_rejection(child(a=1), 100) is None
    assert state.active_rejection(child(a=2), 99) is None
    assert state.active_rejection(child("n", a=1), 99) is None
    assert state.rejected_attempts(child(a=1)) == 1
    assert state.rejected_attempts(child(a=2)) == 0
    assert state.next_retry_at() == 100


def test_accepted_and_undesired_children_are_removed() -> None:
    state = BoosterState("u")
    for name in ("m", "n", "o"):
        state.record_rejection(child(name), ChildRefused("bad"), 1, retry_at=100)
        state.record_repair(child(name), 0)
    state.record_applied(child("n"))
    state.prune({ROUTE, ChildRef("ModelRoute", "n")})
    assert list(state.rejections) == [("ModelRoute", "m")]
    assert sorted(state.repairs) == [("ModelRoute", "m"), ("ModelRoute", "n")]


def test_repeated_repairs_begin_a_conflict() -> None:
    state = BoosterState("u")
    for i in range(MAX_REPAIRS):
        assert state.conflict(child()) is None
        state.record_repair(child(), i)
    assert state.conflict(child()) is not None
    assert state.conflict(child("n")) is None


def test_repair_count_restarts_after_an_edit_or_a_quiet_time() -> None:
    state, now = BoosterState("u"), 0.0
    for a, pause in ((1, 0), (2, 0), (3, REPAIR_RESET_SECONDS + 1)):
        now += pause
        for _ in range(MAX_REPAIRS - 1):
            state.record_repair(child(a=a), now)
    now += REPAIR_RESET_SECONDS + 1
    state.record_repair(child(a=3), now)
    assert state.conflict(child(a=3)) is None


def test_written_generations_are_kept_until_observed() -> None:
    def serving(seen: object) -> Object:
        return {"status": {"observedGeneration": seen}}

    state = BoosterState("u", written_generations={"seen": 2, "older": 2, "odd": 2, "gone": 2})
    state.drop_observed_generations({"seen": serving(2), "older": serving(1), "odd": serving("2")})
    assert state.written_generations == {"older": 2, "odd": 2}


def test_servings_without_pods_are_told_after_a_while() -> None:
    state = BoosterState("u")
    assert state.podless_wait(100) is None
    assert state.record_podless(["m-a"], 100) == set()
    assert state.podless_wait(110) == PODLESS_SECONDS - 10
    assert state.record_podless(["m-a", "m-b"], 120) == set()
    assert state.record_podless(["m-a", "m-b"], 130) == {"m-a"}
    assert state.podless_wait(130) == 20
    assert state.record_podless(["m-b"], 149) == set()
    assert state.record_podless(["m-a", "m-b"], 150) == {"m-b"}  # the first had a pod meanwhile
    assert state.record_podless([], 151) == set()
    assert state.podless_wait(151) is None


def test_writes_that_follow_pods_are_no_repairs() -> None:
    state = BoosterState("u", held_servers=frozenset({"m-a"}))
    server, other = ChildRef("ModelServer", "m-a"), ChildRef("ModelServer", "m-b")
    serving = ChildRef("ModelServing", "m-a")
    assert [state.is_repair(ref) for ref in (server, other, serving, ROUTE)] == [False, *[True] * 3]
    state.route.is_told = False
    assert not state.is_repair(ROUTE)


@pytest.mark.parametrize(
    ("result", "changed", "pending"),
    [
        (PlanResult(), False, False),
        (PlanResult(created=[ROUTE]), False, False),
        (PlanResult(changed=[ROUTE]), True, False),
        (BUSY, False, True),
        (WAITING, False, True),
        (PlanResult(changed=[ChildRef("ModelServer", "m")]), False, False),
    ],
)
def test_what_a_result_says_of_a_kind(result: PlanResult, changed: bool, pending: bool) -> None:
    assert result.has_changed(MODEL_ROUTE) is changed
    assert result.is_pending(MODEL_ROUTE) is pending
