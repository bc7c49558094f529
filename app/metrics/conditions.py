"""How many ModelBoosters have which condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ConditionCollector(Collector):
    """Counts ModelBoosters in one go; a gauge for each pair would go through all of them."""

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
