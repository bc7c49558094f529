"""Detects growth: the slope of samples over time with its confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt
from statistics import NormalDist, fmean

Point = tuple[float, float]
"""Seconds, value."""


@dataclass(frozen=True)
class Slope:
    """A slope per minute, and its 95 % confidence interval.

    Args:
        value: the slope itself.
        low, high: the interval.
        level: mean of the samples.
        minutes: length of all stretches together.
        longest: length of the longest stretch in minutes.
        late: the slope in the last third of the stretches.
    """

    value: float
    low: float
    high: float
    level: float
    minutes: float
    longest: float
    late: float

    @property
    def grows(self) -> bool:
        """Whether there is growth that chance does not explain, and that goes on to the end.

        Caches fill more and more slowly. A leak is still steep in the last third.
        """
        return self.low > 0 and self.late > self.value / 3


def slope(stretches: Sequence[Sequence[Point]], questions: int = 1) -> Slope | None:
    """Returns the slope that stretches of samples have in common; None if they are too few.

    Args:
        stretches: the samples.
        questions: how many slopes are looked at together; the intervals of all of them hold with
            95 %, else one of a dozen would often be growth by chance.


    Each stretch (the life of one process in one role) has a level of its own, so a restart is no
    drop. Neighbouring samples resemble each other: the more they do, the fewer they count for
    (lag-1 correction), else the interval would be far too narrow.
    """
    usable = [stretch for stretch in stretches if len(stretch) >= 3]
    centred = [point for stretch in usable for point in _centred(stretch)]
    spread = sum(x * x for x, _ in centred)
    if not spread:
        return None
    value = sum(x * y for x, y in centred) / spread
    ends = [
        point for stretch in usable for point in _centred(stretch[-max(3, len(stretch) // 3) :])
    ]
    late = sum(x * y for x, y in ends) / sum(x * x for x, _ in ends)
    left = [[y - value * x for x, y in _centred(stretch)] for stretch in usable]
    squares = sum(r * r for residuals in left for r in residuals)
    free = len(centred) * _worth(left, squares) - len(usable) - 1
    width = (
        _quantile(free, 1 - 0.025 / questions) * sqrt(squares / free / spread) if free >= 1 else inf
    )
    if squares < 1e-12:
        width = 0.0
    return Slope(
        60 * value,
        60 * (value - width),
        60 * (value + width),
        fmean(y for stretch in usable for _, y in stretch),
        sum(lengths := [(stretch[-1][0] - stretch[0][0]) / 60 for stretch in usable]),
        max(lengths),
        60 * late,
    )


def _centred(stretch: Sequence[Point]) -> list[Point]:
    mean_x, mean_y = fmean(x for x, _ in stretch), fmean(y for _, y in stretch)
    return [(x - mean_x, y - mean_y) for x, y in stretch]


def _worth(left: Sequence[Sequence[float]], squares: float) -> float:
    """Weight of a sample, 0 to 1; independent samples have 1."""
    if not squares:
        return 1.0
    products = sum(a * b for residuals in left for a, b in pairwise(residuals))
    likeness = min(max(products / squares, 0.0), 0.99)
    return (1 - likeness) / (1 + likeness)


def lowest(stretch: Sequence[Point], seconds: float) -> list[Point]:
    """Returns the lowest sample per period, because load comes and goes and a leak stays."""
    blocks: dict[int, Point] = {}
    for point in stretch:
        block = int((point[0] - stretch[0][0]) // seconds)
        blocks[block] = min(blocks.get(block, point), point, key=lambda p: p[1])
    return list(blocks.values())


def _quantile(free: float, level: float) -> float:
    """Student's t (Cornish-Fisher; error below 1 % from 5 degrees of freedom on)."""
    z = NormalDist().inv_cdf(level)
    first = (z**3 + z) / (4 * free)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    return z + first + second + third
