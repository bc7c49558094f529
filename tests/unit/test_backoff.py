"""How long to wait before trying again: every row of the table, and what chance does to it."""

from __future__ import annotations

import pytest

from app.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Garbled,
    Invalid,
    NotFound,
    TerminalError,
    Unreachable,
)
from app.kube.backoff import Backoff, TokenBucket, min_wait_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def never_more() -> float:
    return 0.0


def almost_all() -> float:
    return 0.999999


OBJECT: dict[str, object] = {"name": "a", "kind": "modelroutes"}


@pytest.mark.parametrize(
    ("error", "failures", "least", "most"),
    [
        pytest.param(Invalid(400, "BadRequest", ""), 1, 60, 60, id="our own fault"),
        pytest.param(Invalid(413, "", ""), 1, 60, 60, id="too large"),
        pytest.param(Invalid(422, "Invalid", ""), 1, 600, 600, id="refused"),
        pytest.param(Invalid(500, "", "failed to create typed"), 1, 600, 600, id="unknown field"),
        pytest.param(Forbidden(403, "", ""), 1, 0.005, 0.005, id="forbidden"),
        pytest.param(Forbidden(403, "", ""), 40, 300, 300, id="still forbidden"),
        pytest.param(NotFound(404, "", ""), 40, 300, 300, id="unknown kind"),
        pytest.param(NotFound(404, "", "", details=OBJECT), 40, 0, 0, id="no such object"),
        pytest.param(Conflict(409, "", ""), 9, 0, 0, id="conflict"),
        pytest.param(ApiError(429, "", "", retry_after_seconds=10), 1, 9, 11, id="429, told"),
        pytest.param(ApiError(503, "", "", retry_after_seconds=0), 9, 0, 0, id="503, at once"),
        pytest.param(ApiError(429, "", ""), 1, 0, 1, id="429"),
        pytest.param(ApiError(500, "", ""), 3, 0, 4, id="500, third time"),
        pytest.param(ApiError(503, "", ""), 2000, 0, 30, id="503, for hours"),
        pytest.param(Unreachable("refused"), 2, 0, 2, id="no answer"),
        pytest.param(Garbled("HTML"), 2, 0, 2, id="no sensible answer"),
        pytest.param(ApiError(401, "", ""), 2, 0, 0, id="401: the key's own back-off"),
        pytest.param(TerminalError("X", ""), 2, 0, 0, id="not the server's"),
    ],
)
def test_least_wait(error: Exception, failures: int, least: float, most: float) -> None:
    assert min_wait_seconds(error, failures, never_more) == pytest.approx(least)
    assert min_wait_seconds(error, failures, almost_all) == pytest.approx(most, rel=1e-4)


def test_a_pause_doubles_to_its_cap_and_begins_anew_after_a_calm_time() -> None:
    clock = Clock()
    backoff = Backoff(clock=clock, jitter=never_more)
    pauses = []
    for _ in range(8):
        pauses.append(backoff.pause_seconds())
        clock.now += pauses[-1] + 119  # not calm for long enough
    assert pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
    clock.now += 1
    assert backoff.pause_seconds() == 0.8


def test_chance_makes_a_pause_up_to_twice_as_long() -> None:
    assert Backoff(jitter=almost_all).pause_seconds() == pytest.approx(1.6, rel=1e-3)


def test_a_bucket_lets_a_burst_go_and_spaces_out_what_follows() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 3, clock)
    assert [round(bucket.reserve(), 6) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    clock.now += 100
    assert [bucket.reserve() for _ in range(3)] == [0, 0, 0]  # no more than the burst is kept
