"""A takeover: which writes restart pods without a request, what is held, and whose turn it is.

``test_rollout_templates`` has the other case: another template of the operator.
"""

from __future__ import annotations

from copy import deepcopy

from app.apis.kinds import MODEL_SERVER, MODEL_SERVING, REGISTRY_MANAGED_BY, REVISION, Profile
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Key, Object
from controller.plan.actions import Apply, Delete, Plan, TakeOver
from controller.plan.desired import DesiredState
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE, ROLLOUT
from controller.plan.planner import make_plan
from controller.plan.rollout import (
    ALLOW,
    HOLD,
    is_edited,
    unrequested_restarts,
    without_restarts,
)
from controller.plan.rollout_marks import ROLLED_OUT, with_fingerprints
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.rollout_waves import RolloutWaves
from tests.builders import backend, booster_object, model

MODEL = model("m", backend(), metadata={"uid": "u"})
DESIRED = list(desired_children(MODEL, Profile.B, Options()))


def theirs() -> list[Object]:
    """Children that another controller made and whose pods would restart."""
    objects = [deepcopy(child.object) for child in DESIRED]
    for obj in objects:
        obj["metadata"] |= {"uid": obj["kind"], "resourceVersion": "7", "generation": 1}
        labels = obj["metadata"]["labels"]
        del labels[REGISTRY_MANAGED_BY]
        labels[REVISION] = "theirs"
        if obj["kind"] == MODEL_SERVING.kind:
            obj["spec"]["template"]["restartGracePeriodSeconds"] = 7
    return objects


def booster(order: str = "", seen: int = 1, generation: int = 1) -> Object:
    return {
        **booster_object("m", backend()),
        "metadata": {
            "name": "m",
            "namespace": "default",
            "uid": "u",
            "generation": generation,
            "annotations": {ROLLOUT: order},
        },
        "status": {"observedGeneration": seen},
    }


STATE = DesiredState(MODEL, tuple(with_fingerprints(booster(), DESIRED)), ())


def plan_for(observed: list[Object]) -> Plan:
    return make_plan(MODEL, DESIRED, observed)


def names(found: list[Object], applied: dict[str, str] | None = None) -> tuple[str, ...]:
    which = unrequested_restarts(plan_for(found), found, applied or {})
    return which.servings if which else ()


def serving(found: list[Object]) -> Object:
    return next(obj for obj in found if obj["kind"] == MODEL_SERVING.kind)


def test_template_of_another_controller_is_an_unrequested_restart() -> None:
    assert names(theirs()) == ("m-b1",)


def test_same_template_restarts_nothing() -> None:
    found = theirs()
    serving(found)["spec"] = deepcopy(
        next(c.object["spec"] for c in DESIRED if c.resource is MODEL_SERVING)
    )
    assert names(found) == ()


def test_templates_that_we_wrote_are_repaired() -> None:
    ours = next(c.object["metadata"]["labels"] for c in DESIRED if c.resource is MODEL_SERVING)
    assert names(theirs(), {"m-b1": ours[REVISION]}) == ()
    assert names(theirs(), {"m-b1": "of an older spec"}) == ("m-b1",)
    found = theirs()
    serving(found)["metadata"]["labels"] = dict(ours)
    assert names(found) == ()


def test_edit_is_detected_by_observed_generation() -> None:
    assert not is_edited(booster(seen=1, generation=1))
    assert is_edited(booster(seen=1, generation=2))
    assert not is_edited(booster(seen=-1, generation=2)), "no controller has acted on it"


def test_held_plan_creates_missing_children_and_keeps_existing_ones() -> None:
    found = [obj for obj in theirs() if obj["kind"] != MODEL_SERVER.kind]
    stray = deepcopy(serving(found))
    stray["metadata"]["name"] = "m-old"
    found.append(stray)
    whole = plan_for(found)
    assert [type(action) for action in whole.actions] == [TakeOver, Apply, TakeOver]
    assert [type(action) for action in whole.deletions] == [Delete]

    rest = without_restarts(whole, found)

    (action,) = rest.actions
    assert isinstance(action, Apply)
    assert (action.child.resource, action.live) == (MODEL_SERVER, None)
    assert rest.deletions == ()


class Line:
    """Waves that record which keys were enqueued."""

    def __init__(self, size: int, *servings: Object) -> None:
        self.enqueued: list[Key] = []
        self.waves = RolloutWaves(size, lambda: servings, self.enqueued.append)

    def is_let_through(self, name: str, order: str = "", *, seen: int = 1) -> bool:
        found, obj = theirs(), booster(order, seen=seen)
        obj["metadata"]["name"] = name
        decision = self.waves.decide(obj, STATE, found, (), BoosterState("u"))
        assert bool(decision.held_message) is not bool(decision.plan)
        return not decision.held_message


def rolling(name: str, *, available: bool = False) -> Object:
    obj = deepcopy(serving(theirs()))
    obj["metadata"]["annotations"] = {ROLLED_OUT: "1"}
    obj["metadata"]["ownerReferences"][0]["name"] = name
    obj["status"] = {
        "observedGeneration": 1,
        "conditions": [{"type": "Available", "status": str(available)}],
    }
    return obj


def test_without_waves_only_allowed_and_edited_boosters_restart() -> None:
    line = Line(0)
    assert not line.is_let_through("a")
    assert not line.is_let_through("a", "sometime")
    assert line.is_let_through("a", ALLOW)
    assert line.is_let_through("b", seen=0)


def test_edit_counts_until_its_generation_changes() -> None:
    """A rejected child advances observedGeneration, too."""
    waves, found, state = RolloutWaves(0, lambda: (), lambda key: None), theirs(), BoosterState("u")
    held = [
        bool(waves.decide(booster(seen=seen, generation=now), STATE, found, (), state).held_message)
        for seen, now in ((1, 2), (2, 2), (3, 3))
    ]
    assert held == [False, False, True]


def test_hold_annotation_overrides_waves() -> None:
    assert not Line(9).is_let_through("a", HOLD)


def test_wave_is_limited_and_the_next_is_enqueued_when_one_is_available() -> None:
    line = Line(2)
    assert [line.is_let_through(name) for name in "abcd"] == [True, True, False, False]
    assert line.is_let_through("a"), "it is part of the wave"
    line.waves.observe(Key("default", "a"), [rolling("a")])
    assert line.enqueued == []

    line.waves.observe(Key("default", "a"), [rolling("a", available=True)])

    assert line.enqueued == [Key("default", "c")]
    assert line.is_let_through("c")
    assert not line.is_let_through("d")


def test_deleted_booster_gives_up_its_place_and_its_turn() -> None:
    line = Line(1)
    assert line.is_let_through("a")
    assert not line.is_let_through("b")
    assert not line.is_let_through("c")
    line.waves.remove(Key("default", "b"))
    line.waves.remove(Key("default", "a"))
    assert line.enqueued == [Key("default", "c")]


def test_rolling_boosters_are_found_in_the_cluster_after_a_restart() -> None:
    assert not Line(1, rolling("z")).is_let_through("a")
    assert Line(1, rolling("z", available=True)).is_let_through("a")


def test_only_the_restarted_model_serving_is_annotated() -> None:
    found = theirs()
    waves = RolloutWaves(1, lambda: (), lambda key: None)
    decision = waves.decide(booster(ALLOW), STATE, found, (), BoosterState("u"))
    marks = {
        action.child.resource.kind: action.child.object["metadata"].get("annotations")
        for action in decision.plan.actions
        if isinstance(action, TakeOver)
    }
    assert set(marks.pop(MODEL_SERVING.kind)) == {ROLLED_OUT, POD_INPUTS, POD_TEMPLATE}
    assert set(marks.values()) == {None}
