"""Growth is detected, and random noise is not."""

from __future__ import annotations

import random

import pytest
from prometheus_client import generate_latest

from app.metrics import Metrics
from tests.soak.growth import Point, lowest, slope
from tests.soak.observed import spare_entries_in
from tests.soak.samples import judged


def samples(seed: int, per_minute: float, *, keeps: float = 0.0, level: float = 100) -> list[Point]:
    """Ten minutes of samples, five seconds apart; ``keeps``: how much of the noise stays."""
    chance, noise, found = random.Random(seed), 0.0, []
    for n in range(120):
        noise = keeps * noise + chance.gauss(0, 1)
        found.append((5.0 * n, level + per_minute * n / 12 + noise))
    return found


@pytest.mark.parametrize("keeps", [0.0, 0.5, 0.9])
def test_noise_is_rarely_reported_as_growth(keeps: float) -> None:
    false = sum(slope([samples(seed, 0, keeps=keeps)]).grows for seed in range(200))  # type: ignore[union-attr]
    assert false <= 20  # 2.5 % of them, were the correction exact


def test_leak_is_reported() -> None:
    found = slope([samples(1, 1.0)])
    assert found is not None
    assert found.grows
    assert found.low < 1.0 < found.high


def test_restart_does_not_hide_a_leak() -> None:
    found = slope([samples(1, 1.0, level=100), samples(2, 1.0, level=50)])
    assert found is not None
    assert found.low < 1.0 < found.high
    assert found.minutes == pytest.approx(19.83, abs=0.01)


def test_caches_that_fill_are_not_a_leak() -> None:
    filling = [(30.0 * n, 110_000.0 + 10_000 * (1 - 0.8**n)) for n in range(24)]
    assert judged("resident_kib", slope([filling])) == "none"


@pytest.mark.parametrize("keeps", [0.0, 0.5])
def test_leak_with_noise_is_found(keeps: float) -> None:
    found = [slope([samples(seed, 1.0, keeps=keeps)]) for seed in range(100)]
    assert sum(each is not None and each.grows for each in found) >= 95


def test_one_arena_is_not_a_leak() -> None:
    step = [(30.0 * n, 110_000.0 + 1024 * (n > 15)) for n in range(20)]
    little = [(30.0 * n, 110_000.0 + 100 * n) for n in range(20)]
    leak = [(30.0 * n, 110_000.0 + 512 * n) for n in range(20)]
    assert judged("resident_kib", slope([step])) != "GROWS"
    assert judged("resident_kib", slope([little])) == "too little to tell"
    assert judged("resident_kib", slope([leak])) == "GROWS"
    assert judged("tasks", slope([[(30.0 * n, 12.0 + n) for n in range(20)]])) == "GROWS"


def test_constant_value_does_not_grow() -> None:
    found = slope([[(float(n), 12.0) for n in range(10)]])
    assert found is not None
    assert (found.value, found.low, found.high, found.grows) == (0, 0, 0, False)


def test_varying_load_is_excluded() -> None:
    busy = [(float(n), 10.0 + n % 7 + n // 30) for n in range(120)]
    assert [value for _, value in lowest(busy, 30)] == [10, 11, 12, 13]


def test_intervals_widen_with_the_number_of_questions() -> None:
    one, many = slope([samples(1, 0)]), slope([samples(1, 0)], questions=12)
    assert one is not None
    assert many is not None
    assert many.low < one.low < one.high < many.high


def test_too_few_samples_are_distinguished_from_no_growth() -> None:
    assert slope([]) is None
    assert slope([[(0.0, 1.0), (1.0, 2.0)]]) is None


@pytest.mark.parametrize(
    ("entries", "spare"),
    [(0, 0), (3, 0), (5, 0), (9, 4)],
    ids=["standby", "some are new", "one each", "old entries are left"],
)
def test_queue_entries_are_compared_with_model_boosters(entries: int, spare: int) -> None:
    metrics = Metrics()
    metrics.follow_queue("q", lambda: 0, lambda: entries, list)
    metrics.follow_objects(lambda: {("Active", "True"): 3, ("Active", "False"): 2})
    assert spare_entries_in(generate_latest(metrics.registry).decode()) == spare
