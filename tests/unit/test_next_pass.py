"""When the next pass runs, as a table."""

from __future__ import annotations

import pytest

from app.errors import Forbidden
from controller.plan.actions import ChildRef, WaitForDeletion
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.failure import Failure
from controller.reconcile.next_pass import next_pass
from controller.reconcile.plan_result import FAILING_SECONDS, PlanResult
from controller.status.podless import PODLESS_SECONDS

NOW = 1000.0
ROUTE = ChildRef("ModelRoute", "m")
REJECTED = Failure(ROUTE, Forbidden(403, "Forbidden", "no"))


@pytest.mark.parametrize(
    ("result", "waits", "want"),
    [
        pytest.param(PlanResult(), [None, None], None, id="nothing is due"),
        pytest.param(PlanResult(), [None, 5, 7], 5, id="what is due first"),
        pytest.param(PlanResult(failures=[REJECTED]), [0.5], 0, id="a rejected child is due"),
        pytest.param(
            PlanResult(waiting=[WaitForDeletion(ROUTE, is_ours=True)]),
            [5],
            5,
            id="a deletion takes longer",
        ),
        pytest.param(
            PlanResult(waiting=[WaitForDeletion(ROUTE, is_ours=True)]),
            [None],
            FAILING_SECONDS,
            id="only a deletion",
        ),
    ],
)
def test_when_the_next_pass_runs(
    result: PlanResult, waits: list[float | None], want: float | None
) -> None:
    state = BoosterState("u")
    state.record_result(result, NOW)
    error, wait = next_pass(result, state, NOW, waits)
    assert wait == want
    assert (error is None) == (not result.failures)


def test_a_serving_without_pods_is_looked_at_again() -> None:
    state = BoosterState("u")
    state.record_podless(["m-a"], NOW)
    assert next_pass(PlanResult(), state, NOW, [None])[1] == PODLESS_SECONDS
    assert next_pass(PlanResult(), state, NOW, [1.0])[1] == 1


def test_a_rejected_child_does_not_delay_what_is_due() -> None:
    state, result = BoosterState("u"), PlanResult(failures=[REJECTED])
    state.record_rejection(
        {"kind": ROUTE.kind, "metadata": {"name": ROUTE.name}, "spec": {}},
        REJECTED.error,
        1,
        NOW + 100,
    )
    assert next_pass(result, state, NOW, [0.5]) == (REJECTED.error, 0.5)
    assert next_pass(result, state, NOW, [None]) == (REJECTED.error, 100)
