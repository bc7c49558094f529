"""The marks of ModelServings are cached, and are always those of the newest edit."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import pytest

from app.apis.kinds import (
    DELETION_PROTECTION,
    MODEL_SERVING,
    REVISION,
    WORKLOAD,
    KthenaRelease,
    Profile,
)
from app.convert.options import Options
from app.model.annotations import BACKEND_ANNOTATIONS
from app.model.digests import sorted_json
from app.validation import Context
from app.values.meta import Object, annotations_of
from controller.plan import fingerprints
from controller.plan.actions import Apply
from controller.plan.desired import DesiredState, desired_state
from controller.plan.fingerprints import (
    POD_INPUTS,
    POD_TEMPLATE,
    ROLLOUT,
    pod_annotations,
    pod_inputs,
    template_hash,
)
from controller.plan.route_shares import RouteState, decide_route
from controller.plan.server_switch import hold_servers
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.desired_cache import DesiredStateCache
from controller.reconcile.rollout_waves import RolloutDecision, RolloutWaves
from tests.builders import backend, stored_object

UNKNOWN = f"{WORKLOAD}/of-a-later-version"


def booster(
    *backends: Object, generation: int = 1, annotations: dict[str, str] | None = None
) -> Object:
    metadata = {"uid": "u", "generation": generation, "annotations": annotations or {}}
    return stored_object("m", *(backends or [backend("a")]), metadata=metadata)


def new_cache(options: Options) -> DesiredStateCache:
    return DesiredStateCache(options, Profile.B, lambda booster: ())


def decide(obj: Object, desired: DesiredState, observed: list[Object]) -> RolloutDecision:
    waves = RolloutWaves(0, lambda: (), lambda key: None)
    return waves.decide(obj, desired, observed, (), BoosterState("u"))


class Marks(NamedTuple):
    inputs: str
    template: str


def marks_of(obj: Object, desired: DesiredState) -> Marks:
    """The marks that the first pass writes, which have to be those of the stored ModelBooster."""
    (serving,) = (
        action.body
        for action in decide(obj, desired, []).plan.actions
        if isinstance(action, Apply) and action.child.resource is MODEL_SERVING
    )
    found = Marks(annotations_of(serving)[POD_INPUTS], annotations_of(serving)[POD_TEMPLATE])
    assert found == (pod_inputs(obj)["a"], template_hash(serving["spec"]["template"]))
    return found


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        (booster(backend("a", minReplicas=2, maxReplicas=2), generation=2), (False, False)),
        (booster(backend("a", modelURI="hf://owner/other"), generation=2), (True, True)),
        (booster(annotations={f"{WORKLOAD}/startup-seconds": "60"}), (True, True)),
        (booster(annotations={f"{WORKLOAD}/startup-seconds": "b=60"}), (True, False)),
        (booster(annotations={UNKNOWN: "1"}), (True, False)),
        (booster(annotations={"other.io/x": "1"}), (False, False)),
        (booster(annotations={ROLLOUT: "allow"}), (False, False)),
        (booster(annotations={DELETION_PROTECTION: "true"}), (False, False)),
    ],
)
def test_marks_of_the_next_pass_are_those_of_the_edit(
    edited: Object, changed: tuple[bool, bool]
) -> None:
    cache = new_cache(Options())
    before = marks_of(booster(), cache.get(booster()))
    after = marks_of(edited, cache.get(edited))
    assert (after.inputs != before.inputs, after.template != before.template) == changed
    assert marks_of(booster(), cache.get(booster())) == before
    assert marks_of(edited, cache.get(edited)) == after


def test_value_of_an_unknown_annotation_counts_each_time() -> None:
    cache = new_cache(Options())
    values = [booster(annotations=found) for found in ({}, {UNKNOWN: ""}, {UNKNOWN: "1"})]
    assert len({marks_of(obj, cache.get(obj)) for obj in (*values, *values)}) == 3


def test_another_kthena_or_setting_changes_the_template_only() -> None:
    cache = new_cache(Options(runtime_image="runtime:1"))
    before = marks_of(booster(), cache.get(booster()))
    other = new_cache(Options(runtime_image="runtime:2"))
    found = marks_of(booster(), other.get(booster()))
    assert (found.inputs == before.inputs, found.template == before.template) == (True, False)
    for profile in Profile:
        for release in (None, KthenaRelease(0, 3, 0), KthenaRelease(0, 4, 0)):
            cache.set_installed(profile, release)
            options = Options(runtime_image="runtime:1", kthena_release=release)
            fresh = desired_state(booster(), Context(options, profile))
            found = marks_of(booster(), cache.get(booster()))
            assert found == marks_of(booster(), fresh)
            assert found.inputs == before.inputs
    cache.set_installed(Profile.B, None)
    assert marks_of(booster(), cache.get(booster())) == before


def test_all_annotations_that_conversion_reads_are_in_the_key_of_the_cache() -> None:
    names = {each.name for each in BACKEND_ANNOTATIONS}
    assert pod_annotations(booster(annotations=dict.fromkeys(names, "1"))).keys() == names


def live_of(decision: RolloutDecision) -> list[Object]:
    """The children as the API server returns them."""
    found = []
    for action in decision.plan.actions:
        assert isinstance(action, Apply)
        obj = deepcopy(action.body)
        obj["metadata"] |= {"uid": str(action.ref), "resourceVersion": "7", "generation": 1}
        found.append(obj)
    for container in containers(found):
        for port in container.get("ports") or ():
            port["protocol"] = "TCP"
    return found


def serving_of(observed: list[Object]) -> Object:
    return next(obj for obj in observed if obj["kind"] == MODEL_SERVING.kind)


def containers(observed: list[Object]) -> list[Any]:
    template = serving_of(observed)["spec"]["template"]
    return list(template["roles"][0]["entryTemplate"]["spec"]["containers"])


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Object]:
    """The templates that were hashed."""
    found: list[Object] = []
    encode = sorted_json

    def record(value: Object) -> bytes:
        found.append(value)
        return encode(value)

    monkeypatch.setattr(fingerprints, "sorted_json", record)
    return found


def test_later_pass_hashes_the_live_template_once_and_ours_never(hashed: list[Object]) -> None:
    desired = new_cache(Options()).get(booster())
    observed = live_of(decide(booster(), desired, []))
    hashed.clear()
    assert not decide(booster(), desired, observed).plan
    assert hashed == [serving_of(observed)["spec"]["template"]]
    hashed.clear()
    edited = booster(backend("a", modelURI="hf://owner/other"), generation=2)
    desired = new_cache(Options()).get(edited)
    hashed.clear()
    assert decide(edited, desired, observed).plan
    assert hashed == [serving_of(observed)["spec"]["template"]]


def test_template_with_fields_of_others_is_accepted_with_its_hash() -> None:
    desired = new_cache(Options()).get(booster())
    observed = live_of(decide(booster(), desired, []))
    serving = serving_of(observed)
    containers(observed)[0]["workingDir"] = "/added"
    (action,) = decide(booster(), desired, observed).plan.actions
    assert isinstance(action, Apply)
    written = annotations_of(serving)[POD_TEMPLATE]
    accepted = template_hash(serving["spec"]["template"])
    assert annotations_of(action.body)[POD_TEMPLATE] == f"{written}/{accepted}"
    containers(observed)[0]["image"] = "edited:1"  # by hand: it is repaired, not accepted
    (action,) = decide(booster(), desired, observed).plan.actions
    assert isinstance(action, Apply)
    assert annotations_of(action.body)[POD_TEMPLATE] == written


def test_what_a_pass_does_before_leaves_the_model_servings_as_they_are() -> None:
    """Their marks are those of their templates."""
    old, new = backend("a", modelURI="hf://owner/model"), backend("a", modelURI="hf://owner/new")
    two = [booster(old, backend("b")), booster(new, backend("b"), generation=2)]
    observed = live_of(decide(two[0], desired_state(two[0], Context(profile=Profile.B)), []))
    for obj in observed:
        if obj["kind"] == "ModelServer":  # its label is that of another spec
            obj["metadata"]["labels"][REVISION] = "other"
            obj["spec"]["workloadPort"] = {"port": 9}
    desired = desired_state(two[1], Context(profile=Profile.B))
    state = RouteState()
    route = decide_route(desired.model, desired.children, observed, (), state, 0.0, 1.0)
    children = hold_servers(route.children, observed)
    assert children != desired.children
    for child, before in zip(children, desired.children, strict=True):
        if child.resource is MODEL_SERVING:
            assert child is before
            template = template_hash(child.object["spec"]["template"])
            assert annotations_of(child.object)[POD_TEMPLATE] == template
