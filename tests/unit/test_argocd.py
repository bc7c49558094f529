"""The health check for Argo CD, run by a real Lua 5.1."""

from __future__ import annotations

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER
from app.apis.reasons import Reason
from app.values.meta import Object
from tests.argocd import SCRIPT, health

CASES: list[Object] = yaml.load(
    (SCRIPT.parents[2] / "tests" / "argocd" / "cases.yaml").read_text(), Loader=yaml.CSafeLoader
)
STATES = {"Healthy", "Progressing", "Degraded", "Suspended"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_health_follows_the_status(case: Object) -> None:
    obj = {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": {"name": "m", "namespace": "default", **case["metadata"]},
        "spec": {},
        **({"status": case["status"]} if "status" in case else {}),
    }
    assert health(obj) == case["health"]


def test_cases_cover_every_state_with_reasons_that_exist() -> None:
    assert {case["health"]["status"] for case in CASES} == STATES
    conditions = [c for case in CASES for c in case.get("status", {}).get("conditions", ())]
    assert {c["reason"] for c in conditions} <= {str(reason) for reason in Reason}
