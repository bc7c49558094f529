"""Rules about replicas and policies: both sides of every limit."""

from __future__ import annotations

from typing import Any

import pytest

from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, policy

ROOM = {"minReplicas": 1, "maxReplicas": 2}


def _faults(obj: Object) -> list[tuple[str, str]]:
    """Returns path and message of each fault."""
    return [(str(f.path), f.message) for f in validate(obj, Context()).faults]


def _by_cost(**fields: Any) -> Object:
    return backend(**{**ROOM, "scalingCost": 1, **fields})


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        pytest.param({"replicas": 0}, None, id="no replicas"),
        pytest.param({"replicas": 1_000_000}, None, id="most replicas"),
        pytest.param({"minReplicas": 1}, "either", id="only the lower bound"),
        pytest.param({"maxReplicas": 1}, "either", id="only the upper bound"),
        pytest.param({"replicas": 1, "maxReplicas": 1}, "either", id="replicas and a bound"),
        pytest.param({"minReplicas": 1, "maxReplicas": 1}, None, id="equal bounds"),
        pytest.param({"minReplicas": 0, "maxReplicas": 1}, "must be equal", id="room"),
        pytest.param({"minReplicas": 2, "maxReplicas": 1}, "greater", id="out of order"),
    ],
)
def test_replicas_without_policy(fields: Object, fault: str | None) -> None:
    for obj in (
        booster_object("m", backend(**fields)),
        booster_object("m", backend=backend(**fields)),
    ):
        found = [message for _, message in _faults(obj)]
        assert len(found) == (fault is not None)
        assert all(fault in message for message in found if fault)


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        pytest.param(
            booster_object("m", backend(replicas=1, autoscalingPolicy=policy())),
            ["spec.backends[0].replicas"],
            id="own policy",
        ),
        pytest.param(
            booster_object("m", backend(replicas=1, scalingCost=1), autoscalingPolicy=policy()),
            ["spec.backends[0].replicas"],
            id="the model's policy",
        ),
        pytest.param(
            booster_object("m", backend=backend(replicas=1), autoscalingPolicy=policy()),
            ["spec.backend.replicas"],
            id="single form",
        ),
        pytest.param(
            booster_object(
                "m", backend(replicas=1), backend("b2", **ROOM, autoscalingPolicy=policy())
            ),
            [],
            id="another's policy",
        ),
    ],
)
def test_replicas_and_bounds_exclude_each_other(obj: Object, where: list[str]) -> None:
    found = [fault for fault in _faults(obj) if "sum of all" not in fault[1]]
    assert [path for path, _ in found] == where
    assert all("set minReplicas and maxReplicas instead" in message for _, message in found)


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        pytest.param(
            booster_object("m", backend(scalingCost=1)),
            ["spec.backends[0].scalingCost"],
            id="cost without policy",
        ),
        pytest.param(booster_object("m", backend(scalingCost=0)), [], id="no cost"),
        pytest.param(booster_object(backend=backend(scalingCost=1)), [], id="cost, single form"),
        pytest.param(
            booster_object("m", backend(scaleToZeroGracePeriod="30s")),
            ["spec.backends[0].scaleToZeroGracePeriod"],
            id="grace period without policy",
        ),
        pytest.param(
            booster_object(backend=backend(scaleToZeroGracePeriod="30s")),
            [],
            id="grace period, single form",
        ),
        pytest.param(
            booster_object("m", _by_cost(scalingCost=0), autoscalingPolicy=policy()),
            ["spec.backends[0].scalingCost"],
            id="cost 0 under policy",
        ),
        pytest.param(
            booster_object("m", _by_cost(), costExpansionRatePercent=0, autoscalingPolicy=policy()),
            [],
            id="rate 0",
        ),
        pytest.param(
            booster_object(
                "m",
                backend(**ROOM, autoscalingPolicy=policy()),
                backend("b2", minReplicas=1, maxReplicas=5),
            ),
            [],
            id="another has a policy",
        ),
        pytest.param(
            booster_object(
                "m",
                _by_cost(minReplicas=0, autoscalingPolicy=policy(), scalingCost=None),
                autoscalingPolicy=policy(),
            ),
            ["spec.autoscalingPolicy"],
            id="two levels hide what follows",
        ),
        pytest.param(
            booster_object(
                backend=backend(**ROOM, autoscalingPolicy=policy()), autoscalingPolicy=policy()
            ),
            ["spec.autoscalingPolicy"],
            id="two levels, single form",
        ),
    ],
)
def test_fields_that_need_a_policy(obj: Object, where: list[str]) -> None:
    assert [path for path, _ in _faults(obj)] == where


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("0s", None, id="nothing"),
        pytest.param("0", None, id="no unit"),
        pytest.param("30m", None, id="at the limit"),
        pytest.param("1800s", None, id="the limit in seconds"),
        pytest.param("1800.000000001s", "exceed", id="just beyond"),
        pytest.param("30m1s", "exceed", id="beyond"),
        pytest.param("99999999999h", "exceed", id="more than 64 bits"),
        pytest.param("-99999999999h", "negative", id="less than 64 bits"),
        pytest.param("-1ns", "negative", id="just below"),
        pytest.param("-0s", None, id="minus nothing"),
        pytest.param("", "duration", id="empty"),
        pytest.param("30", "duration", id="a number"),
        pytest.param("30s\n", "duration", id="line break"),
        pytest.param(" 30s", "duration", id="blank"),
    ],
)
def test_grace_period(text: str, fault: str | None) -> None:
    obj = booster_object("m", _by_cost(scaleToZeroGracePeriod=text), autoscalingPolicy=policy())
    found = _faults(obj)
    assert [path for path, _ in found] == ["spec.backends[0].scaleToZeroGracePeriod"] * bool(fault)
    assert all(fault in message for _, message in found if fault)


@pytest.mark.parametrize(
    ("most", "refused"),
    [
        pytest.param(500_000, False, id="at the limit"),
        pytest.param(500_001, True, id="beyond"),
    ],
)
def test_replicas_add_up(most: int, refused: bool) -> None:
    obj = booster_object("m", *(backend(name, replicas=most) for name in ("a", "b")))
    want = (
        "spec.backends",
        f"Invalid value: {2 * most}: "
        f"sum of maxReplicas across all backends ({2 * most}) cannot exceed 1000000",
    )
    assert _faults(obj) == ([want] if refused else [])


def _metric(name: str = "m", target: Any = 1) -> Object:
    return {"metricName": name, "targetValue": target}


@pytest.mark.parametrize(
    ("metrics", "want"),
    [
        pytest.param([_metric("a"), _metric("b")], [], id="two"),
        pytest.param(
            [_metric("a"), _metric("b"), _metric("a")],
            [("metrics[2].metricName", "duplicate metric name a is not allowed")],
            id="one twice",
        ),
        pytest.param([_metric("")], [("metrics[0].metricName", "needs a name")], id="no name"),
        pytest.param(
            [_metric(target=0)], [("metrics[0].targetValue", "greater than 0")], id="nothing"
        ),
        pytest.param(
            [_metric(target="-1")], [("metrics[0].targetValue", "greater than 0")], id="below"
        ),
        pytest.param([_metric(target="1m")], [], id="a thousandth"),
        pytest.param([_metric(target="0.5")], [], id="half"),
        pytest.param(
            [_metric(target="0m")], [("metrics[0].targetValue", "greater than 0")], id="no parts"
        ),
    ],
)
def test_metrics(metrics: list[Object], want: list[tuple[str, str]]) -> None:
    for where, obj in (
        (
            "spec.backends[0].autoscalingPolicy",
            booster_object("m", backend(**ROOM, autoscalingPolicy=policy(metrics=metrics))),
        ),
        (
            "spec.autoscalingPolicy",
            booster_object("m", _by_cost(), autoscalingPolicy=policy(metrics=metrics)),
        ),
    ):
        found = _faults(obj)
        assert [path for path, _ in found] == [f"{where}.{path}" for path, _ in want]
        assert all(words in text for (_, text), (_, words) in zip(found, want, strict=True))


@pytest.mark.parametrize(
    ("behavior", "where"),
    [
        pytest.param({}, None, id="empty"),
        pytest.param({"scaleUp": {}}, "behavior", id="empty scaleUp"),
        pytest.param({"scaleDown": {}}, "behavior", id="empty scaleDown"),
        pytest.param({"scaleUp": {"stablePolicy": {}}}, "behavior", id="stable"),
        pytest.param(
            {"scaleUp": {"panicPolicy": {}}}, "behavior.scaleUp.panicPolicy", id="empty panic"
        ),
        pytest.param(
            {"scaleUp": {"panicPolicy": {"period": "1s"}, "stablePolicy": {}}, "scaleDown": {}},
            "behavior.scaleUp.panicPolicy",
            id="panic beside others",
        ),
    ],
)
def test_behavior_is_rejected_at_every_level(behavior: Object, where: str | None) -> None:
    wanted = policy(behavior=behavior)
    for at, obj in (
        ("spec.backends[0].", booster_object("m", backend(**ROOM, autoscalingPolicy=wanted))),
        ("spec.backend.", booster_object(backend=backend(**ROOM, autoscalingPolicy=wanted))),
        ("spec.", booster_object("m", _by_cost(), autoscalingPolicy=wanted)),
        ("spec.", booster_object(backend=backend(**ROOM), autoscalingPolicy=wanted)),
    ):
        want = [f"{at}autoscalingPolicy.{where}"] if where else []
        assert [path for path, _ in _faults(obj)] == want
