"""The Prometheus metrics of the process."""

from app.metrics.metrics import Metrics

__all__ = ["Metrics"]
