"""What the mutating webhook stores, and that it never minds what it sees."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest

from app.defaults import defaulted, defaults
from app.values.meta import Object
from tests.builders import backend, booster_object, policy

SCALED = booster_object(
    "m", backend(minReplicas=1, maxReplicas=2, scalingCost=1), autoscalingPolicy=policy()
)
RATE = [{"op": "add", "path": "/spec/costExpansionRatePercent", "value": 200}]


def _with(rate: Any) -> Object:
    return {**SCALED, "spec": {**SCALED["spec"], "costExpansionRatePercent": rate}}


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(SCALED, RATE, id="a policy of the model"),
        pytest.param(_with(0), [], id="a rate of 0"),
        pytest.param(_with(100), [], id="a rate"),
        pytest.param(booster_object("m"), [], id="no policy"),
        pytest.param(
            booster_object(backend=backend(), autoscalingPolicy=policy()), [], id="single form"
        ),
        pytest.param(None, [], id="null"),
        pytest.param(7, [], id="a number"),
        pytest.param([], [], id="a list"),
        pytest.param({}, [], id="empty"),
        pytest.param({"spec": []}, [], id="a list for a spec"),
        pytest.param({"spec": {"backends": 3, "autoscalingPolicy": 7}}, [], id="numbers"),
        pytest.param({"spec": {"backends": {}, "autoscalingPolicy": {}}}, [], id="a map"),
        pytest.param({"spec": {"backends": [], "autoscalingPolicy": []}}, [], id="lists"),
    ],
)
def test_defaults(obj: Any, want: list[Object]) -> None:
    assert defaults(obj) == want


def test_a_patch_that_is_applied_leaves_nothing_to_add() -> None:
    stored = jsonpatch.apply_patch(SCALED, defaults(SCALED))
    assert stored == defaulted(SCALED)
    assert defaults(stored) == []
    assert defaulted(stored) is stored
