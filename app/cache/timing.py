"""How patient an informer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Time limits of an informer; the defaults are what runs in a cluster.

    Args:
        watch_seconds: between these, by chance, the server ends a watch: not all at once.
        grace_seconds: a watch that lasts this much longer is dead.
        listing_seconds: how long a streaming list may take before a plain one is tried.
        shortest_watch_seconds: one that ends earlier, without an event, is a failure.
        first_pause_seconds: the first pause after a failure; it doubles.
        longest_pause_seconds: where it stops doubling.
        audit_seconds: between these, by chance, we look whether the store is right.
        audit_again_seconds: a difference that is still there after this time is real.
    """

    watch_seconds: tuple[int, int] = (240, 360)
    grace_seconds: float = 30
    listing_seconds: float = 30
    shortest_watch_seconds: float = 1
    first_pause_seconds: float = 0.8
    longest_pause_seconds: float = 30
    audit_seconds: tuple[float, float] = (1800, 3600)
    audit_again_seconds: float = 30


PACE = Pace()
