"""docs/operations.md explains every reason, metric and log line of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from app.apis.reasons import Reason
from app.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
OF_THE_LIBRARY = ("process_", "python_")
LOUD = {"warning", "error", "exception", "critical"}


def metrics() -> Iterator[Metric]:
    registry = Metrics("test")
    registry.follow_objects(dict)
    yield from registry.registry.collect()


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons_are_explained(reason: Reason) -> None:
    assert f"| `{reason}` |" in PAGE


def test_metrics_are_explained() -> None:
    names = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in metrics()
        if not metric.name.startswith(OF_THE_LIBRARY)
    }
    assert len(names) > 25
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_no_metric_is_explained_that_does_not_exist() -> None:
    names = {metric.name for metric in metrics()} | {f"{m.name}_total" for m in metrics()}
    families = r"controller_runtime|workqueue|rest_client|modelbooster|certwatcher|leader_election"
    named = set(re.findall(rf"`((?:{families})_\w+)`", PAGE))
    assert named - names == set()


def loud_lines() -> Iterator[tuple[str, str]]:
    """Yields where and what the program logs at WARNING and above."""
    for part in ("app", "webhook", "controller", "certs", "modelbooster"):
        for path in sorted((ROOT / part).rglob("*.py")):
            text = path.read_text()
            for node in ast.walk(ast.parse(text)) if "log." in text else ():
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "log"
                    and node.func.attr in LOUD | {"log"}
                ):
                    said = node.args[1 if node.func.attr == "log" else 0]
                    assert isinstance(said, ast.Constant), f"{path}:{node.lineno}"
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", str(said.value)


def test_loud_log_lines_are_explained() -> None:
    page = PAGE.split("## The log")[1].split("## Common cases")[0]
    known = re.findall(r"`([^`]+)`", page)
    lines = dict(loud_lines())
    assert len(lines) > 10
    unknown = {
        where: text for where, text in lines.items() if not any(part in text for part in known)
    }
    assert unknown == {}
