"""Compares a store with the API server from time to time.

A broken watch cache or proxy may drop an event, and no later event shows it. Listing only uids and
resource versions is cheap and finds such gaps.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping

from app.cache.timing import Timing
from app.errors import ApiError, Unreachable

log = logging.getLogger(__name__)


def differences(
    listed: Mapping[str, str], stored: Mapping[str, str]
) -> set[tuple[str, str | None, str | None]]:
    """Returns (uid, listed version, stored version) for every object that differs.

    While objects change there are always some differences. Only one that persists is an error.
    """
    return {
        (uid, listed.get(uid), stored.get(uid))
        for uid in listed.keys() | stored.keys()
        if listed.get(uid) != stored.get(uid)
    }


async def audit(
    listed: Callable[[], Awaitable[dict[str, str]]],
    stored: Callable[[], dict[str, str]],
    relist: Callable[[str], None],
    timing: Timing,
) -> None:
    """Audits a store until it is cancelled.

    Args:
        listed: reads the resource version of every object, by uid, from the API server.
        stored: returns the same from the store.
        relist: called with the reason when the store is wrong.
        timing: intervals.
    """
    while True:
        await asyncio.sleep(random.uniform(*timing.audit_seconds))  # noqa: S311 - jitter
        try:
            suspects = differences(await listed(), stored())
            if not suspects:
                continue
            await asyncio.sleep(timing.audit_recheck_seconds)
            wrong = suspects & differences(await listed(), stored())
        except (ApiError, Unreachable) as exc:
            log.info("cannot audit now: %s", exc)
            continue
        if wrong:
            relist(f"{len(wrong)} objects differ from those of the API server")
