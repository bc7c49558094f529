"""Counts ModelBoosters by condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ConditionCollector(Collector):
    """Exports ``modelbooster_objects``, with one scan of the ModelBoosters per scrape."""

    def __init__(self, conditions: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._conditions = conditions

    def collect(self) -> Iterator[Metric]:
        """Yields one gauge with a line per condition type and status."""
        family = GaugeMetricFamily(
            "modelbooster_objects", "ModelBoosters by condition.", labels=("condition", "status")
        )
        for pair, number in sorted(self._conditions().items()):
            family.add_metric(pair, number)
        yield family
