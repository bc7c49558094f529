"""Receives what the work queue measures, as in client-go."""

from __future__ import annotations

from typing import Protocol


class MetricsProvider(Protocol):
    """Receives what the queue measures."""

    def added(self) -> None:
        """A key was queued."""

    def started(self, waited_seconds: float) -> None:
        """A key was handed out."""

    def finished(self, worked_seconds: float) -> None:
        """The processing of a key is done."""

    def retried(self) -> None:
        """A key was scheduled again after a failure."""


class NoopMetricsProvider:
    """Measures nothing."""

    def added(self) -> None:
        """A key was queued."""

    def started(self, waited_seconds: float) -> None:
        """A key was handed out."""

    def finished(self, worked_seconds: float) -> None:
        """The processing of a key is done."""

    def retried(self) -> None:
        """A key was scheduled again after a failure."""
