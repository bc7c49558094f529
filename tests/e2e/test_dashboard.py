"""Every query of the dashboard finds something in the metrics of processes that work.

The metrics of both processes are read before and after work, and handed to Prometheus' engine (in
promtool) as series with the labels that the Prometheus Operator adds.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.values.meta import Object
from tests.builders import booster_object
from tests.chart import of_kind, render
from tests.controlplane.api import Refused
from tests.controlplane.promtool import promtool
from tests.dashboard import queries
from tests.e2e.installation import NAMESPACE, Installation, eventually
from tests.world import Admin

Series = dict[str, dict[int, float]]
"""Values by series and minute."""

MINUTES = 10
WORK_AT = 5
QUIET = {"API server: Watch failures"}
"""Panels that show something only after a fault."""


def read(installation: Installation, series: Series, minutes: range) -> None:
    """Reads the metrics of both processes, as if once in each of these minutes."""
    for component in ("webhook", "controller"):
        for pod, process in installation.kubelet.pods(component).items():
            for family in text_string_to_metric_families(process.ask("/metrics").text):
                for sample in family.samples:
                    labels = {**sample.labels, "namespace": NAMESPACE, "pod": pod}
                    inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
                    values = series.setdefault(f"{sample.name}{{{inside}}}", {})
                    values.update(dict.fromkeys(minutes, sample.value))


def promtool_series(series: Series) -> Iterator[Object]:
    for name, values in series.items():
        told = [values.get(minute, math.nan) for minute in range(MINUTES)]
        yield {
            "series": name,
            "values": " ".join("_" if math.isnan(v) else f"{v:.17g}" for v in told),
        }


@pytest.fixture
def series(installation: Installation, admin: Admin) -> Series:
    """What both processes report before and after they have worked."""
    found: Series = {}
    first, second = (booster_object(name, namespace=admin.namespace) for name in ("m1", "m2"))
    # Counters with labels exist only after the first time.
    _work(admin, first)
    _await_active(installation)
    read(installation, found, range(WORK_AT))
    _work(admin, second)
    _await_active(installation)
    read(installation, found, range(WORK_AT, MINUTES))
    return found


def _await_active(installation: Installation) -> None:
    """Waits until the metrics know no ModelBooster that is not Active.

    Those of earlier tests are deleted with their namespaces, some time after the test.
    """

    def are_active() -> bool:
        told = [
            sample.labels["status"]
            for process in installation.kubelet.pods("controller").values()
            for family in text_string_to_metric_families(process.ask("/metrics").text)
            for sample in family.samples
            if sample.name == "modelbooster_objects"
            and sample.labels["condition"] == "Active"
            and sample.value
        ]
        return set(told) == {"True"}

    eventually(are_active)


def _work(admin: Admin, booster: Object) -> None:
    name = booster["metadata"]["name"]
    wrong = booster_object(f"{name}-wrong", namespace=admin.namespace)
    wrong["spec"]["backends"][0]["workers"][0]["config"] = {"no-such-flag": True}
    with pytest.raises(Refused, match="no-such-flag"):
        admin.create(MODEL_BOOSTER, wrong)
    admin.create(MODEL_BOOSTER, booster)
    route = admin.until(MODEL_ROUTE, name)
    admin.serve(MODEL_SERVING, f"{name}-b1")
    admin.patch(MODEL_ROUTE, name, {"spec": {"rules": []}})
    admin.until(MODEL_ROUTE, name, lambda obj: obj["spec"] == route["spec"])


def asked(tmp_path: Path, series: Series, expressions: list[str]) -> str:
    """Returns what promtool says to expressions of which each must be 1 at the end."""
    tests = [
        {
            "expr": expr,
            "eval_time": f"{MINUTES - 1}m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for expr in expressions
    ]
    case = {"interval": "1m", "input_series": [*promtool_series(series)], "promql_expr_test": tests}
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [case]}))
    command = [str(promtool()), "test", "rules", str(path)]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def filled(query: str) -> str:
    return query.replace("$namespace", NAMESPACE).replace("$__rate_interval", f"{MINUTES}m")


@pytest.mark.slow
def test_every_query_finds_something(tmp_path: Path, series: Series) -> None:
    expressions = []
    for panel, query in queries():
        some = f"count({filled(query)})"
        # What a fault has not shown yet is at least a valid query.
        some += " or vector(1)" if panel in QUIET else ""
        expressions.append(f"clamp_max({some}, 1)")
    assert asked(tmp_path, series, expressions) == ""


@pytest.mark.slow
def test_no_alert_fires_while_the_operator_works(tmp_path: Path, series: Series) -> None:
    arguments = ("--set=prometheusRule.enabled=true,fullnameOverride=model-booster",)
    (rule,) = of_kind(render(*arguments), "PrometheusRule")
    here = f'namespace="{NAMESPACE}"'
    rules = rule["spec"]["groups"][0]["rules"]
    alerts = [r["expr"].replace('namespace="booster"', here) for r in rules]

    expressions = [f"1 - clamp_max(count({expr}) or vector(0), 1)" for expr in alerts]
    assert len(expressions) == 10
    assert asked(tmp_path, series, expressions) == ""
