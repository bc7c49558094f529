"""What is remembered of a ModelBooster between two passes."""

from __future__ import annotations

import pytest

from app.errors import ApiError, ChildRefused, Conflict
from app.values.meta import Object
from controller.plan.actions import ChildRef, Wait
from controller.reconcile.booster_state import CALM_SECONDS, PATIENT_REPAIRS, Memory
from controller.reconcile.failure import Failure
from controller.reconcile.plan_result import Done, Trouble

ROUTE = ChildRef("ModelRoute", "m")
BUSY = Done(failures=[Failure(ROUTE, ApiError(503, "", "busy"))])
MOVED = Done(failures=[Failure(ROUTE, Conflict(409, "Conflict", "moved"))])
REFUSED = Done(failures=[Failure(ROUTE, ChildRefused("bad"))])
WAITING = Done(waiting=[Wait(ROUTE, ours=True)])


def child(name: str = "m", **spec: object) -> Object:
    return {"kind": "ModelRoute", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("passes", "want"),
    [
        pytest.param([Done()], Trouble(), id="all is well"),
        pytest.param([BUSY], Trouble(1, 0), id="the first failure"),
        pytest.param([BUSY, BUSY, BUSY], Trouble(3, 20), id="the third"),
        pytest.param([BUSY, BUSY, Done(), BUSY], Trouble(1, 0), id="the first after a success"),
        pytest.param([BUSY, MOVED, BUSY], Trouble(2, 20), id="a conflict between is none"),
        pytest.param([REFUSED, REFUSED], Trouble(), id="a refusal does not pass"),
        pytest.param([WAITING, WAITING], Trouble(0, 0, 10), id="waiting"),
        pytest.param([WAITING, Done(), WAITING], Trouble(), id="waiting anew"),
    ],
)
def test_trouble(passes: list[Done], want: Trouble) -> None:
    memory = Memory("u")
    found = [memory.trouble(done, 10.0 * i) for i, done in enumerate(passes)]
    assert found[-1] == want


def test_the_same_child_is_refused_until_its_time_and_another_is_not() -> None:
    memory, error = Memory("u"), ChildRefused("bad")
    memory.refuse(child(a=1), error, 1, until=100)
    standing = memory.standing_refusal(child(a=1), 99)
    assert standing is not None
    assert standing.error is error
    assert memory.standing_refusal(child(a=1), 100) is None
    assert memory.standing_refusal(child(a=2), 99) is None
    assert memory.standing_refusal(child("n", a=1), 99) is None
    assert memory.tries(child(a=1)) == 1
    assert memory.tries(child(a=2)) == 0
    assert memory.next_try() == 100


def test_what_was_taken_or_is_not_wanted_any_more_is_forgotten() -> None:
    memory = Memory("u")
    for name in ("m", "n", "o"):
        memory.refuse(child(name), ChildRefused("bad"), 1, until=100)
        memory.repaired(child(name), 0)
    memory.took(child("n"))
    memory.keep({ROUTE, ChildRef("ModelRoute", "n")})
    assert list(memory.refused) == [("ModelRoute", "m")]
    assert sorted(memory.repairs) == [("ModelRoute", "m"), ("ModelRoute", "n")]


def test_what_is_changed_back_again_and_again_is_contested() -> None:
    memory = Memory("u")
    for i in range(PATIENT_REPAIRS):
        assert memory.contest(child()) is None
        memory.repaired(child(), i)
    assert memory.contest(child()) is not None
    assert memory.contest(child("n")) is None


def test_after_a_calm_time_or_an_edit_repairs_are_counted_anew() -> None:
    memory, now = Memory("u"), 0.0
    for a, pause in ((1, 0), (2, 0), (3, CALM_SECONDS + 1)):
        now += pause
        for _ in range(PATIENT_REPAIRS - 1):
            memory.repaired(child(a=a), now)
    now += CALM_SECONDS + 1
    memory.repaired(child(a=3), now)
    assert memory.contest(child(a=3)) is None


def test_written_generations_are_kept_until_they_are_seen() -> None:
    def serving(seen: object) -> Object:
        return {"status": {"observedGeneration": seen}}

    memory = Memory("u", written={"seen": 2, "older": 2, "odd": 2, "gone": 2})
    memory.forget_written({"seen": serving(2), "older": serving(1), "odd": serving("2")})
    assert memory.written == {"older": 2, "odd": 2}
