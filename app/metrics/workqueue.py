"""What a work queue counts."""

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
        """A key joined those that wait."""
        self._adds.inc()

    def started(self, waited_seconds: float) -> None:
        """A key was handed out."""
        self._waited.observe(waited_seconds)

    def finished(self, worked_seconds: float) -> None:
        """The work on a key is done."""
        self._worked.observe(worked_seconds)

    def retried(self) -> None:
        """A key is to come back after a failure."""
        self._retries.inc()
