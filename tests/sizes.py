"""How much a test does: ``make test-unit`` does less of it, ``make test-all`` all of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from hypothesis import HealthCheck, settings

IN_FULL = bool(os.environ.get("TESTS_IN_FULL"))
"""Whether slow tests run at full length; ``make test-all`` sets it."""

QUICK_EXAMPLES, THOROUGH_EXAMPLES = 10, 5000
"""Generated examples per test in ``make test-unit``, and in a run of hours; otherwise 100."""

# No example has a time limit, because other work on the machine would decide whether it is met.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def register_profiles() -> None:
    """Makes the Hypothesis profiles known and loads the usual one.

    ``pytest --hypothesis-profile=NAME`` selects ``quick`` or ``thorough`` instead; with the latter,
    add ``--timeout=0``.
    """
    settings.register_profile("any-speed", _ANY_SPEED)
    settings.register_profile("quick", _ANY_SPEED, max_examples=QUICK_EXAMPLES)
    settings.register_profile("thorough", _ANY_SPEED, max_examples=THOROUGH_EXAMPLES)
    settings.load_profile("any-speed")


def examples(count: int) -> settings:
    """Returns settings for a property test.

    Args:
        count: generated examples; more if the profile asks for more, a tenth if it is ``quick``.
    """
    usual = _usual_examples()
    most = max(1, count * usual // 100) if usual <= QUICK_EXAMPLES else max(count, usual)
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))


def sample(items: Sequence[Any], seed: str) -> Sequence[Any]:
    """Returns all items; in ``make test-unit`` only one, which depends on the seed."""
    if _usual_examples() > QUICK_EXAMPLES:
        return items
    return [items[crc32(seed.encode()) % len(items)]]


def _usual_examples() -> int:
    return settings.default.max_examples if settings.default else 100
