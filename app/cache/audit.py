"""Looks from time to time whether a store is what the API server has.

A watch that is served by a broken cache or cut by a clever proxy may leave out an event, and
nothing in it says so. Uids and versions of everything cost little, and tell.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping

from app.cache.timing import Pace
from app.errors import ApiError, Unreachable

log = logging.getLogger(__name__)


def differences(
    listed: Mapping[str, str], held: Mapping[str, str]
) -> set[tuple[str, str | None, str | None]]:
    """Returns (uid, listed version, held version) wherever the two are not the same.

    While things change there are always some; one that stays the same is no such thing.
    """
    return {
        (uid, listed.get(uid), held.get(uid))
        for uid in listed.keys() | held.keys()
        if listed.get(uid) != held.get(uid)
    }


async def audit(
    versions: Callable[[], Awaitable[dict[str, str]]],
    held: Callable[[], dict[str, str]],
    relist: Callable[[str], None],
    pace: Pace,
) -> None:
    """Audits a store for ever.

    Args:
        versions: asks the server for the version of every object, by uid.
        held: says what we hold, in the same form.
        relist: told why, when the store is wrong.
        pace: how often to look.
    """
    while True:
        await asyncio.sleep(random.uniform(*pace.audit_seconds))  # noqa: S311 - jitter
        try:
            suspicious = differences(await versions(), held())
            if not suspicious:
                continue
            await asyncio.sleep(pace.audit_again_seconds)
            wrong = suspicious & differences(await versions(), held())
        except (ApiError, Unreachable) as exc:
            log.info("cannot audit now: %s", exc)
            continue
        if wrong:
            relist(f"{len(wrong)} objects are not what the server has")
