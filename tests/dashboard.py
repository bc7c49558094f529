"""The Grafana dashboard of the chart: its panels, and the JSON that Grafana reads.

``python -m tests.dashboard`` writes it into the chart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from app.values.meta import Object
from tests.chart import CHART

FILE = CHART / "files" / "dashboard.json"
NS = 'namespace="$namespace"'
WEBHOOK = f'{NS},webhook=~"/(validate|mutate)/modelbooster"'
QUEUE = f'{NS},controller="modelbooster"'
RATE = "[$__rate_interval]"
OURS = f"and on (namespace, pod) modelbooster_build_info{{{NS}}}"
WORKING = f"and on (namespace, pod) controller_runtime_max_concurrent_reconciles{{{QUEUE}}} > 0"
"""Limits a query to the leader: a controller on standby has no workers, and a full queue."""

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Panel(NamedTuple):
    """One panel.

    Args:
        title: its title.
        queries: query and legend of each line.
        unit: unit of Grafana; ``short`` for a number.
        width: of 24 columns; a panel that is 4 wide shows one number.
        text: what the panel means, if the title does not say it.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 8
    text: str = ""


def quantiles(metric: str, selector: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Returns the queries of the median and the 99th percentile of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    rates = f"sum by ({labels}) (rate({metric}_bucket{{{selector}}}{RATE}))"
    return tuple(
        (f"histogram_quantile({q}, {rates})", f"p{q * 100:g}{legend}") for q in (0.5, 0.99)
    )


def of_condition(condition: str, status: str = "") -> str:
    """Returns the number of ModelBoosters with a condition. Every controller counts all."""
    selector = f'{NS},condition="{condition}"' + (f',status="{status}"' if status else "")
    counted = f"max(sum by (pod) (modelbooster_objects{{{selector}}}))"
    return f"{counted} or vector(0)" if status else counted


ENDS = f"modelbooster_certificate_expiry_timestamp_seconds{{{NS}}}"
ROWS: dict[str, tuple[Panel, ...]] = {
    "Models": (
        Panel("ModelBoosters", ((of_condition("Active"), ""),), width=4),
        Panel("Active", ((of_condition("Active", "True"), ""),), width=4),
        Panel("Failed", ((of_condition("Failed", "True"), ""),), width=4),
        Panel(
            "Rollouts held",
            ((f"max(modelbooster_rollouts_held{{{NS}}})", ""),),
            width=4,
            text="ModelBoosters whose pods wait for a permission to restart.",
        ),
        Panel(
            "Leaders",
            ((f"sum(leader_election_master_status{{{NS}}})", ""),),
            width=4,
            text="Must be 1.",
        ),
        Panel("Certificate ends in", ((f"min({ENDS}) - time()", ""),), unit="s", width=4),
        Panel(
            "Conditions",
            (
                (
                    f"max by (condition, status) (modelbooster_objects{{{NS}}})",
                    "{{condition}}={{status}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Children", ((f"max by (kind) (modelbooster_children{{{NS}}})", "{{kind}}"),), width=12
        ),
    ),
    "Reconciliation": (
        Panel(
            "Passes",
            (
                (
                    f"sum by (result) (rate(controller_runtime_reconcile_total{{{QUEUE}}}{RATE}))",
                    "{{result}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Duration of a pass",
            quantiles("controller_runtime_reconcile_time_seconds", QUEUE),
            unit="s",
        ),
        Panel(
            "Queue",
            (
                (f"max(workqueue_depth{{{QUEUE}}} {WORKING})", "due now"),
                (f"max(modelbooster_workqueue_delayed{{{QUEUE}}} {WORKING})", "due later"),
            ),
        ),
        Panel("Time in the queue", quantiles("workqueue_queue_duration_seconds", QUEUE), unit="s"),
        Panel(
            "Workers",
            (
                (f"sum(controller_runtime_active_workers{{{QUEUE}}})", "active"),
                (f"max(controller_runtime_max_concurrent_reconciles{{{QUEUE}}})", "of a leader"),
            ),
        ),
        Panel(
            "Repairs",
            (
                (
                    f"sum by (kind) (rate(modelbooster_drift_repairs_total{{{NS}}}{RATE}))",
                    "{{kind}}",
                ),
            ),
            unit="ops",
            text="Children that somebody changed and the operator restored.",
        ),
    ),
    "Admission": (
        Panel(
            "Requests",
            (
                (
                    "sum by (webhook, code)"
                    f" (rate(controller_runtime_webhook_requests_total{{{WEBHOOK}}}{RATE}))",
                    "{{webhook}} {{code}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Latency",
            quantiles("controller_runtime_webhook_latency_seconds", WEBHOOK, "webhook"),
            unit="s",
        ),
        Panel(
            "Rejections",
            (
                (
                    f"sum by (reason) (rate(modelbooster_webhook_denials_total{{{NS}}}{RATE}))",
                    "{{reason}}",
                ),
            ),
            unit="ops",
        ),
    ),
    "API server": (
        Panel(
            "Requests",
            (
                (
                    "sum by (method, code)"
                    f" (rate(rest_client_requests_total{{{NS}}}{RATE}) {OURS})",
                    "{{method}} {{code}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Latency",
            quantiles("rest_client_request_duration_seconds", NS, "verb"),
            unit="s",
        ),
        Panel(
            "Watch failures",
            (
                (
                    "sum by (resource, reason)"
                    f" (rate(modelbooster_informer_failures_total{{{NS}}}{RATE}))",
                    "{{resource}} {{reason}}",
                ),
            ),
            unit="ops",
        ),
        Panel(
            "Silence of watches",
            (
                (
                    f"max by (resource) (modelbooster_informer_silence_seconds{{{NS}}})",
                    "{{resource}}",
                ),
            ),
            unit="s",
            text="Seconds since the last event of a watch.",
        ),
        Panel(
            "Another CustomResourceDefinition",
            ((f"max(modelbooster_schema_replaced{{{NS}}})", "installed"),),
            text="1 while another definition of ModelBooster is installed.",
        ),
        Panel(
            "Versions",
            ((f"count by (version) (modelbooster_build_info{{{NS}}})", "{{version}}"),),
        ),
    ),
    "Processes": (
        Panel(
            "Memory", ((f"process_resident_memory_bytes{{{NS}}} {OURS}", "{{pod}}"),), unit="bytes"
        ),
        Panel(
            "CPU",
            ((f"rate(process_cpu_seconds_total{{{NS}}}{RATE}) {OURS}", "{{pod}}"),),
            unit="percentunit",
        ),
        Panel("Open files", ((f"process_open_fds{{{NS}}} {OURS}", "{{pod}}"),)),
    ),
}


def queries() -> Iterator[tuple[str, str]]:
    """Yields panel and query of every line, as Grafana asks for a release in NAMESPACE."""
    for row, panels in ROWS.items():
        for panel in panels:
            for query, _ in panel.queries:
                yield f"{row}: {panel.title}", query


def dashboard() -> Object:
    """Returns the dashboard in the form of Grafana."""
    panels: list[Object] = []
    numbers = count(1)
    x = y = height = 0
    for row, members in ROWS.items():
        y += height
        panels.append(
            {
                "id": next(numbers),
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            }
        )
        x, y, height = 0, y + 1, 0
        for panel in members:
            if x + panel.width > COLUMNS:
                x, y = 0, y + height
            height = 4 if panel.width == 4 else 8
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            panels.append({"id": next(numbers), **_panel(panel), "gridPos": place})
            x += panel.width
    return {
        "title": "ModelBooster",
        "uid": "model-booster",
        "tags": ["kthena", "model-booster"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "namespace",
                    "label": "namespace of the operator",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(modelbooster_build_info, namespace)",
                    "refresh": 2,
                },
            ]
        },
        "panels": panels,
    }


def _panel(panel: Panel) -> Object:
    is_stat = panel.width == 4
    return {
        "type": "stat" if is_stat else "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": is_stat,
                "range": not is_stat,
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """Returns the dashboard as JSON."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text())
