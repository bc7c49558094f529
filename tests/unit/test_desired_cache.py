"""The desired state is computed once for passes that follow each other closely."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, Profile
from app.convert.options import Options
from app.errors import InvalidSpec
from app.values.meta import Object
from controller.reconcile.desired_cache import IDLE_SECONDS, MAX_ENTRIES, DesiredStateCache
from tests.builders import booster_object


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def stored(name: str = "m", generation: int = 1, **spec: Any) -> Object:
    booster = booster_object(name, **spec)
    metadata = {"namespace": "ns", "uid": f"uid-of-{name}", "generation": generation}
    return {**booster, "metadata": {**booster["metadata"], **metadata}}


def new_cache(*, clock: Clock | None = None, max_entries: int = MAX_ENTRIES) -> DesiredStateCache:
    return DesiredStateCache(
        Options(),
        Profile.B,
        lambda booster: (),
        clock=clock or Clock(),
        max_entries=max_entries,
    )


def test_computed_once_per_generation_and_profile() -> None:
    cache = new_cache()
    first = cache.get(stored())
    assert cache.get(stored()) is first
    assert cache.get(stored(generation=2)) is not first
    cache.set_installed(Profile.C, None)
    assert cache.get(stored()) is not first
    cache.set_installed(Profile.B, None)
    assert cache.get(stored()) is first


def test_least_recently_used_entry_is_evicted() -> None:
    cache = new_cache(max_entries=20)
    first, second = cache.get(stored("m0")), cache.get(stored("m1"))
    for number in range(2, 20):
        cache.get(stored(f"m{number}"))
    assert cache.get(stored("m0")) is first
    cache.get(stored("one-too-many"))
    assert len(cache) == 20
    assert cache.get(stored("m0")) is first
    assert cache.get(stored("m1")) is not second


def test_idle_entries_are_evicted() -> None:
    clock = Clock()
    cache = new_cache(clock=clock)
    used, idle = cache.get(stored("used")), cache.get(stored("idle"))
    clock.now += IDLE_SECONDS - 1
    cache.evict_idle()
    assert len(cache) == 2
    assert cache.get(stored("used")) is used
    clock.now += 1
    cache.evict_idle()
    assert len(cache) == 1
    assert cache.get(stored("used")) is used
    assert cache.get(stored("idle")) is not idle


def test_settled_booster_is_cached_from_the_second_pass_on() -> None:
    initialized = {
        "type": "Initialized",
        "status": "True",
        "reason": "ModelCreating",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    at_rest = {**stored(), "status": {"conditions": [initialized]}}
    cache = new_cache()
    first = cache.get(at_rest)
    assert len(cache) == 0
    second = cache.get(at_rest)
    assert second is not first
    assert cache.get(at_rest) is second
    edited = {**at_rest, "metadata": {**at_rest["metadata"], "generation": 2}}
    assert cache.get(edited) is cache.get(edited)


def test_model_name_of_an_older_booster_is_refused_until_it_is_gone() -> None:
    elder = stored("elder")
    elder["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    elder["spec"]["name"] = "m"
    younger = stored()
    younger["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    rivals = [(MODEL_BOOSTER, elder)]
    cache = DesiredStateCache(Options(), Profile.B, lambda booster: rivals, clock=Clock())
    with pytest.raises(InvalidSpec, match="already routed"):
        cache.get(younger)
    rivals.clear()
    assert cache.get(younger).children


def test_model_name_of_an_older_route_is_refused_of_a_younger_one_is_not() -> None:
    route: Object = {
        "metadata": {"name": "by-hand", "namespace": "ns", "uid": "u"},
        "spec": {"modelName": "m"},
    }
    booster = stored()
    booster["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    cache = DesiredStateCache(
        Options(), Profile.B, lambda booster: [(MODEL_ROUTE, route)], clock=Clock()
    )
    route["metadata"]["creationTimestamp"] = "2026-01-03T00:00:00Z"
    assert cache.get(booster).children
    route["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(InvalidSpec, match='routed by ModelRoute "ns/by-hand"'):
        cache.get(booster)
