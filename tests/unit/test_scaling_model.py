"""kthena's rule of scaling, replayed: what is scaled up comes down to the minimum again.

The rule is written here in a few lines of arithmetic, as it was seen to act: one tick in 15 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest

from app.apis.kinds import AUTOSCALING_POLICY, PROFILES, KthenaRelease, Profile, read_kthena_release
from app.convert import desired_children
from app.convert.options import Options
from app.convert.scaling_behavior import behavior, has_window
from app.values.duration import parse_duration
from app.values.meta import Object
from tests.builders import backend, model, policy

TICK_SECONDS = 15

TARGET = 10


@dataclass
class Autoscaler:
    """kthena's autoscaler and one policy.

    Args:
        behavior: the behavior of the policy.
        least: the fewest replicas, those of all backends together.
        most: the most replicas.
        notes_answer: whether it notes its own answer instead of what the load asked for.
        limits_by_peak: whether a step down is limited by the most replicas of the period, not by
            the fewest. Both are found in releases.
    """

    behavior: Object
    least: int
    most: int
    notes_answer: bool
    limits_by_peak: bool
    replicas: int = field(init=False)
    noted: list[tuple[int, int]] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.replicas = self.least

    def tick(self, now: int, load: float) -> int:
        """Returns the replicas after one look at the load."""
        wish = min(max(ceil(load / TARGET), self.least), self.most)
        down, up = self.behavior["scaleDown"], self.behavior["scaleUp"]["stablePolicy"]
        answer = wish
        if wish < self.replicas:
            noted = within(self.noted, now, down["stabilizationWindow"])
            past = [self.replicas, *within(self.answers, now, down["period"])]
            before = (max if self.limits_by_peak else min)(past)
            step = max(down["instances"], before * down["percent"] // 100)
            answer = min(max([wish, *noted, before - step]), self.replicas)
        elif wish > self.replicas:
            before = min([self.replicas, *within(self.answers, now, up["period"])])
            step = max(up["instances"], before * up["percent"] // 100)
            answer = max(min(wish, before + step), self.replicas)
        answer = min(max(answer, self.least), self.most)
        self.noted.append((now, answer if self.notes_answer else wish))
        self.answers.append((now, answer))
        self.replicas = answer
        return answer


def within(notes: list[tuple[int, int]], now: int, window: str) -> list[int]:
    """Returns the numbers of the last part of the notes; none if the window is 0."""
    seconds = (parse_duration(window) or 0) / 10**9
    return [number for at, number in notes if seconds and at >= now - seconds]


def replay(scaler: Autoscaler, load: float) -> list[int]:
    """Returns the replicas under a load for ten minutes, then those without load for an hour."""
    under = [scaler.tick(now, load) for now in range(0, 600, TICK_SECONDS)]
    after = [scaler.tick(now, 0) for now in range(600, 4200, TICK_SECONDS)]
    return [under[-1], *after]


def behavior_of(profile: Profile, release: str | None, **spec: Any) -> Object:
    """Returns the behavior of the first policy that is made."""
    options = Options(kthena_release=read_kthena_release(release or ""))
    children = desired_children(model("m", **spec), profile, options)
    policies = [child.object for child in children if child.resource is AUTOSCALING_POLICY]
    found: Object = policies[0]["spec"]["behavior"]
    return found


BOUNDS = {"minReplicas": 1, "maxReplicas": 5}
POLICY = policy(metrics=[{"metricName": "kthena:num_requests_waiting", "targetValue": TARGET}])
ALONE = {"backends": [backend(**BOUNDS, autoscalingPolicy=POLICY)]}
WEIGHED = {
    "backends": [backend(name, **BOUNDS, scalingCost=1) for name in ("a", "b")],
    "autoscalingPolicy": POLICY,
}

NOTES_ANSWER = {
    ("v0.1.0", False): True,
    ("v0.1.0", True): True,
    ("v0.2.0", False): True,  # not run; scaled down without a window it works in either case
    ("v0.3.0", False): True,
    ("v0.4.0", False): False,
    ("v0.4.0", True): True,
    ("v1.0.0", False): False,
    ("v1.0.0", True): True,
}
"""Whether a release notes its own answer, by release and whether the policy is weighed."""


@pytest.mark.parametrize("limits_by_peak", [False, True], ids=["by fewest", "by most"])
@pytest.mark.parametrize(("release", "weighed"), NOTES_ANSWER)
def test_load_of_50_comes_and_goes(release: str, weighed: bool, limits_by_peak: bool) -> None:
    found = behavior_of(PROFILES[release], release, **(WEIGHED if weighed else ALONE))
    for least, most in ((1, 5), (0, 5), (2, 10), (1, 200)):
        for load in (50, 10 * most):
            notes = NOTES_ANSWER[release, weighed]
            scaler = Autoscaler(found, least, most, notes, limits_by_peak)
            before, *after = replay(scaler, load)
            assert before == min(load / TARGET, most)
            assert after == sorted(after, reverse=True)
            assert after[0] > after[-1] or before == least, "not at once"
            assert after[-1] == least


def test_a_window_where_the_answer_is_noted_never_comes_down() -> None:
    """The fault that the window of 0 avoids, so that the replay above is known to show it."""
    with_window = behavior_of(Profile.C, "v1.0.0", **ALONE)
    assert with_window["scaleDown"]["stabilizationWindow"] == "5m0s"
    assert replay(Autoscaler(with_window, 1, 5, True, True), 50)[-1] == 5
    assert replay(Autoscaler(with_window, 1, 5, False, True), 50)[-1] == 1


@pytest.mark.parametrize(
    ("profile", "release", "weighed", "window"),
    [
        (Profile.A, "v0.1.0", False, "0s"),
        (Profile.A, None, False, "0s"),
        (Profile.B, "v0.2.0", False, "0s"),
        (Profile.B, "v0.3.0", False, "0s"),
        (Profile.B, "v0.4.0", False, "5m0s"),
        (Profile.B, "v0.4.1", False, "5m0s"),
        (Profile.B, None, False, "0s"),
        (Profile.B, "v0.4.0", True, "0s"),
        (Profile.C, "v1.0.0", False, "5m0s"),
        (Profile.C, None, False, "5m0s"),
        (Profile.C, "v1.0.0", True, "0s"),
    ],
)
def test_window_of_scaling_down(
    profile: Profile, release: str | None, weighed: bool, window: str
) -> None:
    options = Options(kthena_release=read_kthena_release(release or ""))
    down = behavior(profile, options, is_weighed=weighed)["scaleDown"]
    slow = {"instances": 1, "percent": 20} if window == "0s" else {"instances": 0, "percent": 100}
    assert down == {
        **slow,
        "period": "1m0s",
        "selectPolicy": "Or",
        "stabilizationWindow": window,
    }


def test_later_releases_keep_the_window() -> None:
    assert has_window(Profile.B, KthenaRelease(0, 5, 0))
    assert has_window(Profile.C, KthenaRelease(1, 1, 0))
