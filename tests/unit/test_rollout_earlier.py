"""An upgrade from the version before the engine tables: no pod template changes, for any input."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from app.apis.kinds import AUTOSCALING_POLICY, MODEL_ROUTE, MODEL_SERVING, Profile
from app.convert.options import Options
from app.validation import Context
from app.values.meta import Object
from controller.plan.actions import Apply
from controller.plan.desired import desired_state
from controller.plan.fingerprints import ROLLOUT, template_hash
from controller.plan.rollout import ALLOW
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.rollout_waves import RolloutDecision, RolloutWaves
from tests import sizes
from tests.upgrade import earlier

UID = "11111111-2222-4333-8444-555555555555"
CHANGED = Options(runtime_image="runtime:new", downloader_image="downloader:new")


def stored(case: str, generation: int = 1, order: str = "") -> Object:
    booster = earlier.booster(case, "ns", UID)
    booster["metadata"] |= {"generation": generation, "annotations": {ROLLOUT: order}}
    return {**booster, "status": {"observedGeneration": 1}}


def live(case: str, profile: Profile) -> list[Object]:
    """The children as the API server returns them."""
    found = earlier.children(case, profile, "ns", UID)
    for child in found:
        child["metadata"] |= {"uid": child["kind"], "resourceVersion": "7", "generation": 1}
        _add_defaults(child["spec"])
    return found


def _add_defaults(value: Any) -> None:
    if isinstance(value, dict):
        if "containerPort" in value:
            value["protocol"] = "TCP"
        for item in value.values():
            _add_defaults(item)
    elif isinstance(value, list):
        for item in value:
            _add_defaults(item)


def decide(
    booster: Object, observed: list[Object], profile: Profile, options: Options = CHANGED
) -> RolloutDecision:
    desired = desired_state(booster, Context(options, profile))
    waves = RolloutWaves(0, lambda: (), lambda key: None)
    return waves.decide(booster, desired, observed, (), BoosterState(UID))


def applied(decision: RolloutDecision, observed: list[Object]) -> list[Object]:
    """The children after a plan. It deletes a policy of the model that v0.1.0 never read."""
    found = {(o["kind"], o["metadata"]["name"]): o for o in observed}
    for deletion in decision.plan.deletions:
        assert deletion.ref.kind.startswith(AUTOSCALING_POLICY.kind)
        del found[deletion.ref]
    for action in decision.plan.actions:
        assert isinstance(action, Apply)
        body = deepcopy(action.body)
        body["metadata"] |= {"uid": action.ref.kind, "resourceVersion": "8", "generation": 2}
        found[action.ref] = body
    return list(found.values())


def templates(objects: list[Object]) -> dict[str, Object]:
    return {
        o["metadata"]["name"]: o["spec"]["template"]
        for o in objects
        if o["kind"] == MODEL_SERVING.kind
    }


def kept(after: list[Object], before: list[Object]) -> dict[str, Object]:
    """The templates of the ModelServings that were there before; SGLang had none."""
    names = templates(before).keys()
    return {name: template for name, template in templates(after).items() if name in names}


def hashes(objects: list[Object]) -> dict[str, str]:
    """What kthena makes pods of; without the defaults, which the API server adds again."""
    return {name: template_hash(template) for name, template in templates(objects).items()}


@pytest.mark.parametrize("case", earlier.cases())
def test_no_template_changes_and_routes_follow(case: str) -> None:
    for profile in sizes.sample(tuple(Profile), case):
        before = live(case, profile)
        same = applied(decide(stored(case), before, profile, Options()), before)
        present = hashes(same)
        assert {name: present[name] for name in hashes(before)} == hashes(before)
        first = decide(stored(case), before, profile)
        assert first.held_message
        after = applied(first, before)
        assert kept(after, before) == templates(before)
        assert not decide(stored(case), after, profile).plan

        edited = stored(case, generation=2)
        spec = edited["spec"]
        for backend in spec.get("backends") or [spec["backend"]]:
            backend["routeWeight"] = 7
        routed = decide(edited, after, profile)
        assert {action.ref.kind for action in routed.plan.actions} <= {MODEL_ROUTE.kind}
        assert routed.held_message

        allowed = hashes(applied(decide(stored(case, order=ALLOW), after, profile), after))
        assert allowed.keys() >= hashes(before).keys()
        assert not allowed.items() & hashes(before).items()
