"""Times of the controller that settings name.

They are in a module of their own because every command reads the settings.
"""

from __future__ import annotations

READY_SECONDS = 10.0
"""How long a backend has to be available before it comes back into the ModelRoute."""

MAX_JITTER = 1.2
"""Longest pause between two attempts at the lease, as a multiple of ``retry_seconds``."""


def is_safe_lease(lease_seconds: float, renew_seconds: float, retry_seconds: float) -> bool:
    """Returns whether a leader stops before another replica starts.

    Args:
        lease_seconds: how long the lease is valid.
        renew_seconds: how long a leader tries to renew it.
        retry_seconds: the pause between two attempts.
    """
    return lease_seconds > renew_seconds > MAX_JITTER * retry_seconds > 0
