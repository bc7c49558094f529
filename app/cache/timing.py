"""Time limits and intervals of an informer."""

from __future__ import annotations

from app.values.value import keyword_value


@keyword_value
class Timing:
    """Time limits and intervals of an informer. The defaults are those of a cluster.

    Args:
        watch_seconds: shortest and longest duration of a watch, after which the server ends it.
            Each watch draws its own, so that not all watches end together.
        grace_seconds: a watch that lasts this much longer counts as dead.
        list_seconds: how long a streaming list may send nothing before a plain list is tried. All
            of a large list may take longer than that.
        min_watch_seconds: a watch that ends earlier, without an event, has failed.
        first_backoff_seconds: pause after the first failure; it doubles with each failure.
        max_backoff_seconds: longest pause, before jitter.
        audit_seconds: shortest and longest interval between two audits of the store.
        audit_recheck_seconds: a difference that persists for this time is an error.
    """

    watch_seconds: tuple[int, int] = (240, 360)
    grace_seconds: float = 30
    list_seconds: float = 30
    min_watch_seconds: float = 1
    first_backoff_seconds: float = 0.8
    max_backoff_seconds: float = 30
    audit_seconds: tuple[float, float] = (1800, 3600)
    audit_recheck_seconds: float = 30


DEFAULT_TIMING = Timing()
