"""The alerts and the dashboard of the chart, as Prometheus' own promtool evaluates them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import yaml

from app.metrics import Metrics
from app.values.meta import Object
from tests.chart import CHART, of_kind, render, rendered
from tests.controlplane.promtool import promtool
from tests.dashboard import COLUMNS, FILE, dashboard, queries, text

CASES = Path(__file__).parent / "alerts" / "cases.yaml"
OPERATIONS = (CHART.parents[1] / "docs" / "operations.md").read_text()


def rules(*values: str) -> list[Object]:
    (rule,) = of_kind(render("--set=prometheusRule.enabled=true", *values), "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    found: list[Object] = group["rules"]
    return found


def names(*values: str) -> set[str]:
    return {rule["alert"] for rule in rules(*values)}


def write_rules(folder: Path) -> Path:
    path = folder / "rules.yaml"
    group = {"name": "model-booster", "rules": rules()}
    path.write_text(yaml.safe_dump({"groups": [group]}))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool(), *arguments], text=True, capture_output=True, check=False, timeout=120
    )


def test_rules_are_valid(tmp_path: Path) -> None:
    said = run("check", "rules", "--lint=all", "--lint-fatal", write_rules(tmp_path))
    assert said.returncode == 0, said.stdout + said.stderr


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    write_rules(tmp_path)
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.read_text())
    said = run("test", "rules", cases)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = yaml.load(CASES.read_text(), Loader=yaml.CSafeLoader)["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    fires = {check["alertname"] for check in checks if check.get("exp_alerts")}
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    assert fires == silent == names()


def test_exactly_the_alerts_of_the_chart_are_explained() -> None:
    assert set(re.findall(r"^### (ModelBooster\w+)$", OPERATIONS, re.M)) == names()


def test_alerts_have_their_options() -> None:
    (rule,) = of_kind(rendered("everything-values.yaml"), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["metadata"]["annotations"] == {"example.com/owner": "platform"}
    found = {r["alert"]: r for r in rule["spec"]["groups"][0]["rules"]}
    assert set(found) == names() - {"ModelBoosterRepairsLoop"}
    for name, alert in found.items():
        assert alert["labels"]["team"] == "platform"
        url = "https://runbooks.example.com/model-booster#" + name.lower()
        assert alert["annotations"]["runbook_url"] == url
    assert found["ModelBoosterModelFailed"]["for"] == "5m"
    assert found["ModelBoosterModelNotActive"]["for"] == "30m"
    (by_days,) = [
        r for r in rules("--set=prometheusRule.certificateDays=3") if "Cert" in r["alert"]
    ]
    assert "< 3 * 86400" in by_days["expr"]


# The dashboard.


def test_dashboard_in_the_chart_is_up_to_date() -> None:
    assert FILE.read_text() == text(), 'run "make generate"'


def test_dashboard_is_a_config_map_for_the_sidecar() -> None:
    (found,) = of_kind(rendered("everything-values.yaml"), "ConfigMap")[:1]
    assert found["metadata"]["name"] == "booster-dashboard"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Platform"}
    assert json.loads(found["data"]["model-booster.json"]) == dashboard()
    assert not of_kind(rendered(), "ConfigMap")


def test_queries_name_metrics_that_exist() -> None:
    registry = Metrics("test")
    registry.follow_objects(dict)
    known = {metric.name for metric in registry.registry.collect()}
    for _, query in queries():
        for name in re.findall(r"([a-z_]+)\{", query):
            base = re.sub(r"_(total|bucket)$", "", name)
            assert base in known, name


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= COLUMNS
        taken |= cells


def test_no_leader_is_expected_without_leader_election() -> None:
    left = names("--set=leaderElection.enabled=false,controller.replicaCount=1")
    assert names() - left == {"ModelBoosterNoLeader"}


def test_any_alert_can_be_left_out() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    disabled = schema["properties"]["prometheusRule"]["properties"]["disabled"]
    assert set(disabled["items"]["enum"]) == names()
