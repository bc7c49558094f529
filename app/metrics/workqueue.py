"""The counters of a work queue."""

from __future__ import annotations

from prometheus_client import Counter, Histogram


class PrometheusQueueMetrics:
    """Counts what one work queue does.

    Args:
        adds: keys added.
        retries: keys added again after a failure.
        waited: seconds from adding a key to handing it out.
        worked: seconds from handing out a key to the end of its work.
    """

    def __init__(
        self, adds: Counter, retries: Counter, waited: Histogram, worked: Histogram
    ) -> None:
        self._adds = adds
        self._retries = retries
        self._waited = waited
        self._worked = worked

    def added(self) -> None:
        """Counts a key added to the queue."""
        self._adds.inc()

    def started(self, waited_seconds: float) -> None:
        """Counts a key that a worker takes."""
        self._waited.observe(waited_seconds)

    def finished(self, worked_seconds: float) -> None:
        """Counts a key whose work is done."""
        self._worked.observe(worked_seconds)

    def retried(self) -> None:
        """Counts a key that is retried after a failure."""
        self._retries.inc()
