"""After a failed list or watch: every row of the table of ``WatchRetry``."""

from __future__ import annotations

import pytest

from app.cache.retry import Retry, WatchRetry
from app.errors import ApiError, Forbidden, Garbled, Gone, ServerDown, Unreachable, WatchEnded

GONE = Gone(410, "Expired", "")
BUSY = ApiError(429, "", "")
BROKEN = ApiError(500, "", "")
SILENT = Unreachable("no answer")
DOWN = ServerDown("connection refused")
REPLACED = ApiError(429, "TooManyRequests", "storage is (re)initializing", retry_after_seconds=1)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retry(clock: Clock) -> WatchRetry:
    return WatchRetry(clock=clock, jitter=lambda: 0.0)  # the shortest pauses


def works(retry: WatchRetry) -> None:
    """Lets a watch be opened and bring an event."""
    retry.opening()
    retry.received()


def watch_pauses(retry: WatchRetry, error: Unreachable, times: int) -> list[float]:
    """Lets a watch fail some times in a row; returns the pauses."""
    pauses = []
    for _ in range(times):
        retry.opening()
        pauses.append(retry.after_watch(error).pause_seconds)
    return pauses


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(WatchEnded("at once"), Retry(False, 0.4), id="ended at once: resume"),
        pytest.param(
            ApiError(429, "", "", retry_after_seconds=7),
            Retry(False, 6.3),
            id="busy, told how long",
        ),
        pytest.param(
            ApiError(503, "", "", retry_after_seconds=0),
            Retry(False, 0),
            id="down, told: at once",
        ),
        pytest.param(GONE, Retry(True, 0), id="too old: list at once"),
        pytest.param(SILENT, Retry(False, 0.8), id="cut: resume"),
        pytest.param(DOWN, Retry(False, 0.8), id="down: resume"),
        pytest.param(BUSY, Retry(False, 0.8), id="too busy: resume"),
        pytest.param(BROKEN, Retry(False, 0.8), id="broken once: resume"),
        pytest.param(Garbled("half a line"), Retry(True, 0.8), id="something was missed"),
        pytest.param(Forbidden(403, "", ""), Retry(True, 0.8), id="any other"),
    ],
)
def test_the_first_step_after_a_watch_failed(
    retry: WatchRetry, error: ApiError | Unreachable, want: Retry
) -> None:
    retry.opening()
    assert retry.after_watch(error) == want


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_the_servers_own_pause_is_kept_after_any_number_of_crd_changes(
    clock: Clock, jitter: float
) -> None:
    retry = WatchRetry(clock=clock, jitter=lambda: jitter)
    for _ in range(50):
        works(retry)
        clock.now += 0.2
        retry.ended()
        retry.opening()
        assert 0.9 <= retry.after_watch(REPLACED).pause_seconds <= 1.1
        retry.opening()
        assert retry.after_watch(GONE) == Retry(True, 0)
        clock.now += 60


def test_a_server_that_does_not_answer_is_asked_less_and_less(retry: WatchRetry) -> None:
    works(retry)
    assert watch_pauses(retry, SILENT, 8) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_a_server_that_is_down_is_asked_soon_again(retry: WatchRetry) -> None:
    works(retry)
    assert watch_pauses(retry, DOWN, 5) == [0.8, 1, 1, 1, 1]
    assert [retry.after_list(DOWN) for _ in range(3)] == [1, 1, 1]


def test_a_server_that_is_back_and_prepares_a_large_kind_is_asked_soon_again(
    retry: WatchRetry,
) -> None:
    for _ in range(20):
        retry.after_list(DOWN)
    assert [retry.after_list(REPLACED) for _ in range(10)] == [*[0.9] * 5, *[1] * 5]
    assert retry.after_list(SILENT) == 1.6


def test_lists_that_fail_count_as_well(retry: WatchRetry) -> None:
    assert [retry.after_list(error) for error in (DOWN, BROKEN, GONE, BUSY)] == [0.8, 1.6, 3.2, 6.4]


def test_a_proxy_that_says_retry_for_a_server_that_is_down_is_spared_too(
    retry: WatchRetry,
) -> None:
    unavailable = ApiError(503, "", "", retry_after_seconds=1)
    pauses = [retry.after_list(unavailable) for _ in range(11)]
    assert pauses == [*[0.9] * 6, 1.6, 3.2, 6.4, 12.8, 25.6]


def test_chance_makes_a_pause_up_to_twice_as_long() -> None:
    assert WatchRetry(jitter=lambda: 0.999999).after_list(DOWN) == pytest.approx(1.6, rel=1e-3)


@pytest.mark.parametrize("how", ["event", "ended in time", "cut after a while"])
def test_a_watch_that_worked_makes_the_next_failure_the_first(
    retry: WatchRetry, clock: Clock, how: str
) -> None:
    for _ in range(6):
        retry.opening()
        retry.after_watch(DOWN)
    retry.opening()
    match how:
        case "event":
            retry.received()
        case "ended in time":
            clock.now += 1
            retry.ended()
        case _:
            clock.now += 31
    assert retry.after_watch(DOWN).pause_seconds == 0.8


def test_a_list_is_no_success_while_the_watch_after_it_fails(retry: WatchRetry) -> None:
    pauses = []
    for _ in range(4):  # each time it lists, and the watch sends half a line
        retry.opening()
        pauses.append(retry.after_watch(Garbled("half a line")).pause_seconds)
    assert pauses == [0.8, 1.6, 3.2, 6.4]


def test_a_watch_that_ends_at_once_is_not_opened_in_a_loop(retry: WatchRetry, clock: Clock) -> None:
    retry.opening()
    clock.now += 0.9
    with pytest.raises(WatchEnded):
        retry.ended()


def test_a_server_that_forgets_what_it_has_just_listed_is_not_listed_in_a_loop(
    retry: WatchRetry, clock: Clock
) -> None:
    lists, begun = 0, clock.now
    while clock.now < begun + 600:
        retry.opening()
        clock.now += retry.after_watch(GONE).pause_seconds
        lists += 1
    assert lists <= 20 + 600 / 5 + 1


def test_after_three_resumes_within_a_minute_everything_is_listed(
    retry: WatchRetry, clock: Clock
) -> None:
    assert [retry.after_watch(BROKEN).must_list for _ in range(5)] == [
        *(False, False, False),
        True,
        False,
    ]
    clock.now += 61
    assert not any(retry.after_watch(BROKEN).must_list for _ in range(3))
