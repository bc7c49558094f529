"""Another template of the operator: which pods keep theirs, and what of the children is applied."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from app.apis.kinds import BACKEND_NAME, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, REVISION, Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.model.children import Desired
from app.values.meta import Object, labels_of
from controller.plan.actions import Apply, Recreate
from controller.plan.desired import DesiredState
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE, ROLLOUT
from controller.plan.rollout import ALLOW, HOLD
from controller.plan.rollout_marks import ROLLED_OUT, with_fingerprints
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.rollout_waves import RolloutDecision, RolloutWaves
from tests.builders import backend, stored_object, worker

OLD, NEW = Options(runtime_image="runtime:1"), Options(runtime_image="runtime:2")


def booster(*backends: Object, order: str = "", seen: int = 1, generation: int = 1) -> Object:
    metadata = {"generation": generation, "annotations": {ROLLOUT: order} if order else {}}
    obj = stored_object("m", *(backends or (backend("a"), backend("b"))), metadata=metadata)
    return {**obj, "status": {"observedGeneration": seen}}


def state_of(obj: Object, options: Options) -> DesiredState:
    model = canonical(ModelBooster.model_validate(obj))
    children = with_fingerprints(obj, desired_children(model, Profile.B, options))
    return DesiredState(model, tuple(children), ())


class Cluster:
    """The children of one ModelBooster, and what a controller with some settings does to them."""

    def __init__(self, *, size: int = 0) -> None:
        self.live: dict[tuple[str, str], Object] = {}
        self.waves = RolloutWaves(size, self.servings, lambda key: None)
        self.decision = RolloutDecision.__new__(RolloutDecision)

    def servings(self) -> list[Object]:
        return [obj for (kind, _), obj in self.live.items() if kind == MODEL_SERVING.kind]

    def run(self, obj: Object, options: Options) -> list[str]:
        """Runs a pass; returns the kinds and names that it writes."""
        decision = self.waves.decide(
            obj, state_of(obj, options), list(self.live.values()), (), BoosterState("u")
        )
        self.decision = decision
        written = []
        for action in decision.plan.actions:
            if isinstance(action, Recreate):
                del self.live[action.ref]
                action = action.create
            assert isinstance(action, Apply)
            body = deepcopy(action.body)
            body["metadata"] |= {"uid": str(action.ref), "resourceVersion": "7", "generation": 1}
            self.live[action.ref] = body
            written.append(str(action.ref.kind) + " " + action.ref.name)
        return sorted(written)

    def template(self, name: str) -> Any:
        return self.live[MODEL_SERVING.kind, name]["spec"]["template"]

    def image(self, name: str) -> str:
        """The image of the runtime, which the settings decide."""
        containers = self.template(name)["roles"][0]["entryTemplate"]["spec"]["containers"]
        (image,) = (c["image"] for c in containers if c["name"] == "runtime")
        return str(image)

    def images(self) -> list[str]:
        return [self.image("m-a"), self.image("m-b")]


@pytest.fixture
def cluster() -> Cluster:
    """Two backends, made by an operator with the old settings."""
    found = Cluster()
    assert len(found.run(booster(), OLD)) == 5
    assert found.run(booster(), OLD) == []
    return found


def forget(cluster: Cluster) -> None:
    """Makes the children those of a version without annotations."""
    for obj in cluster.servings():
        del obj["metadata"]["annotations"]


def test_new_template_is_held_and_nothing_is_written(cluster: Cluster) -> None:
    assert cluster.run(booster(), NEW) == []
    message = cluster.decision.held_message
    assert message == (
        'the pods of ModelServing "m-a", "m-b" keep their template: a new version or a changed '
        "setting of the operator has another one (spec.template.roles[leader].entryTemplate.spec."
        'containers[runtime].image: "runtime:1" becomes "runtime:2"). It would restart them, so '
        "the old one stays until you allow it: "
        "kubectl annotate modelbooster m workload.serving.volcano.sh/rollout=allow"
    )
    assert cluster.waves.held == 1


def test_annotation_allows_it(cluster: Cluster) -> None:
    cluster.run(booster(), NEW)
    assert cluster.run(booster(order=ALLOW), NEW) == ["ModelServing m-a", "ModelServing m-b"]
    assert cluster.images() == ["runtime:2"] * 2
    assert cluster.run(booster(), NEW) == []
    assert cluster.waves.held == 0


def test_edit_of_one_backend_replaces_its_pods_only(cluster: Cluster) -> None:
    edited = booster(backend("a", workers=[worker(image="x:2")]), backend("b"), generation=2)
    assert cluster.run(edited, NEW) == ["ModelServing m-a"]
    assert cluster.images() == ["runtime:2", "runtime:1"]
    assert "m-b" in cluster.decision.held_message
    assert "m-a" not in cluster.decision.held_message


def test_weights_and_replicas_are_applied_without_the_template(cluster: Cluster) -> None:
    more = backend("a", minReplicas=3, maxReplicas=3, routeWeight=7)
    more["workers"][0]["replicas"] = 2
    edited = booster(more, backend("b"), generation=2)

    assert cluster.run(edited, NEW) == ["ModelRoute m", "ModelServing m-a"]

    spec = cluster.live[MODEL_SERVING.kind, "m-a"]["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["roles"][0]["replicas"] == 2
    assert cluster.images() == ["runtime:1"] * 2
    assert cluster.run(edited, NEW) == []


def test_added_and_deleted_backends_go_on(cluster: Cluster) -> None:
    edited = booster(backend("a"), backend("c"), generation=2)
    assert cluster.run(edited, NEW) == ["ModelRoute m", "ModelServer m-c", "ModelServing m-c"]
    assert cluster.image("m-c") == "runtime:2"
    assert cluster.image("m-a") == "runtime:1"
    assert {d.name for d in cluster.decision.plan.deletions} == {"m-b"}


def test_missing_model_serving_gets_the_new_template(cluster: Cluster) -> None:
    del cluster.live[MODEL_SERVING.kind, "m-a"]
    assert cluster.run(booster(), NEW) == ["ModelServing m-a"]
    assert cluster.images() == ["runtime:2", "runtime:1"]


@pytest.mark.parametrize("settings", [OLD, NEW], ids=["in-step", "held"])
def test_edit_of_a_template_by_hand_is_undone_at_once(cluster: Cluster, settings: Options) -> None:
    cluster.run(booster(), settings)
    spec = cluster.template("m-a")["roles"][0]["entryTemplate"]["spec"]
    spec["containers"][-1]["image"] = "mine"

    assert cluster.run(booster(), settings) == ["ModelServing m-a"]

    assert cluster.image("m-a") == settings.runtime_image
    assert cluster.image("m-b") == OLD.runtime_image
    assert cluster.run(booster(), settings) == []


def test_replicas_of_a_role_edited_by_hand_are_undone_without_the_template(
    cluster: Cluster,
) -> None:
    cluster.template("m-a")["roles"][0]["replicas"] = 9
    assert cluster.run(booster(), NEW) == ["ModelServing m-a"]
    assert cluster.template("m-a")["roles"][0]["replicas"] == 1
    assert cluster.images() == ["runtime:1"] * 2


def test_write_of_the_whole_object_is_no_edit(cluster: Cluster) -> None:
    """kthena's autoscaler reads into Go types and writes everything back."""
    for obj in cluster.servings():
        entry = obj["spec"]["template"]["roles"][0]["entryTemplate"]
        entry["metadata"]["creationTimestamp"] = None
        entry["spec"]["containers"][0].setdefault("resources", {})
        for port in entry["spec"]["containers"][0].get("ports", ()):
            port["protocol"] = "TCP"
    assert cluster.run(booster(), NEW) == []
    assert cluster.images() == ["runtime:1"] * 2


def test_fields_that_another_webhook_adds_are_accepted_once(cluster: Cluster) -> None:
    def mutate() -> None:
        for obj in cluster.servings():
            entry = obj["spec"]["template"]["roles"][0]["entryTemplate"]
            entry["metadata"]["labels"]["cost-center"] = "7"

    mutate()
    assert cluster.run(booster(), OLD) == ["ModelServing m-a", "ModelServing m-b"]
    mutate()  # the webhook does it again
    assert cluster.run(booster(), OLD) == []
    assert cluster.run(booster(), NEW) == []
    assert cluster.images() == ["runtime:1"] * 2


@pytest.mark.parametrize("annotated", [True, False])
def test_template_that_only_loses_a_field_is_held(annotated: bool) -> None:
    """An apply removes a field that we no longer send. That restarts pods, too."""
    cluster = Cluster()
    old = Options(image_pull_policy="Always")
    cluster.run(booster(), old)
    if not annotated:
        forget(cluster)
    before = [deepcopy(obj["spec"]) for obj in cluster.servings()]

    cluster.run(booster(), Options())

    assert [obj["spec"] for obj in cluster.servings()] == before
    assert cluster.decision.held_message
    assert cluster.run(booster(), Options()) == []
    cluster.run(booster(order=ALLOW), Options())
    assert "Always" not in str(cluster.servings())
    assert cluster.run(booster(), Options()) == []
    assert cluster.decision.held_message == ""


def test_children_of_a_version_without_annotations_keep_their_pods(cluster: Cluster) -> None:
    forget(cluster)
    assert cluster.run(booster(), NEW) == ["ModelServing m-a", "ModelServing m-b"]
    assert cluster.images() == ["runtime:1"] * 2
    for obj in cluster.servings():
        assert obj["metadata"]["annotations"].keys() == {POD_INPUTS, POD_TEMPLATE}
    assert cluster.run(booster(), NEW) == []
    edited = booster(backend("a", workers=[worker(image="x:2")]), backend("b"), generation=2)
    assert cluster.run(edited, NEW) == ["ModelServing m-a"]


def test_children_without_annotations_follow_an_edit_that_no_controller_has_seen(
    cluster: Cluster,
) -> None:
    forget(cluster)
    edited = booster(backend("a", workers=[worker(image="x:2")]), backend("b"), generation=2)
    cluster.run(edited, NEW)
    assert cluster.images() == ["runtime:2"] * 2


def test_annotations_are_added_to_children_in_step(cluster: Cluster) -> None:
    forget(cluster)
    before = [deepcopy(obj["spec"]) for obj in cluster.servings()]
    assert cluster.run(booster(), OLD) == ["ModelServing m-a", "ModelServing m-b"]
    assert [obj["spec"] for obj in cluster.servings()] == before
    assert cluster.decision.held_message == ""


def test_waves_and_hold() -> None:
    cluster = Cluster(size=1)
    cluster.run(booster(), OLD)
    assert cluster.run(booster(order=HOLD), NEW) == []
    assert "as the annotation" in cluster.decision.held_message
    assert cluster.run(booster(), NEW) == ["ModelServing m-a", "ModelServing m-b"]
    marks = {obj["metadata"]["annotations"][ROLLED_OUT] for obj in cluster.servings()}
    assert marks == {"1"}
    other = booster()
    other["metadata"]["name"] = "other"
    old = [child.object for child in state_of(other, OLD).children]
    decision = cluster.waves.decide(other, state_of(other, NEW), old, (), BoosterState("u"))
    assert "until default/m is available again" in decision.held_message


def test_mark_of_a_rollout_stays_with_a_write_meanwhile() -> None:
    cluster = Cluster(size=1)
    cluster.run(booster(), OLD)
    cluster.run(booster(), NEW)
    more = booster(backend("a", minReplicas=2, maxReplicas=2), backend("b"), generation=2)
    assert cluster.run(more, NEW) == ["ModelServing m-a"]
    (serving,) = (o for o in cluster.servings() if o["metadata"]["name"] == "m-a")
    assert ROLLED_OUT in serving["metadata"]["annotations"]


def serving_on(port: int) -> Any:
    """Settings cannot change a ModelServer today, so the old one is made by an old spec."""
    return backend("a", workers=[worker(config={"port": port})])


def test_model_server_of_held_pods_keeps_what_fits_them() -> None:
    cluster = Cluster()
    cluster.run(booster(serving_on(9000)), OLD)
    server = cluster.live[MODEL_SERVER.kind, "m-a"]
    server["spec"]["trafficPolicy"] = {"retry": {"attempts": 1, "retryInterval": "0s"}}
    # The operator of another version made other pods of the same spec.
    wanted = booster(serving_on(8001))
    inputs = _inputs_of(wanted, NEW)
    cluster.live[MODEL_SERVING.kind, "m-a"]["metadata"]["annotations"][POD_INPUTS] = inputs

    assert cluster.run(wanted, NEW) == ["ModelServer m-a"]

    spec = cluster.live[MODEL_SERVER.kind, "m-a"]["spec"]
    assert spec["workloadPort"] == {"port": 9000}
    assert spec["trafficPolicy"]["retry"]["attempts"] == 5
    assert cluster.run(wanted, NEW) == []
    cluster.run({**wanted, "metadata": booster(order=ALLOW)["metadata"]}, NEW)
    assert cluster.live[MODEL_SERVER.kind, "m-a"]["spec"]["workloadPort"] == {"port": 8001}


def test_model_server_edited_by_hand_is_repaired_while_its_pods_are_held(cluster: Cluster) -> None:
    cluster.live[MODEL_SERVER.kind, "m-a"]["spec"]["workloadPort"]["port"] = 1
    assert cluster.run(booster(), NEW) == ["ModelServer m-a"]


def test_fewer_replicas_than_the_gang_has_recreate_the_model_serving() -> None:
    def gang(replicas: int) -> Object:
        return backend("a", gangScheduling=True, workers=[worker(replicas=replicas)])

    cluster = Cluster()
    cluster.run(booster(gang(3)), OLD)
    assert cluster.run(booster(gang(4), generation=2), NEW) == ["ModelServing m-a"]
    assert cluster.image("m-a") == "runtime:1"
    assert cluster.run(booster(gang(2), generation=3), NEW) == ["ModelServing m-a"]
    assert cluster.image("m-a") == "runtime:2"


def test_revision_is_that_of_the_held_spec(cluster: Cluster) -> None:
    forget(cluster)
    before = {o["metadata"]["name"]: labels_of(o)[REVISION] for o in cluster.servings()}
    cluster.run(booster(), NEW)
    assert {o["metadata"]["name"]: labels_of(o)[REVISION] for o in cluster.servings()} == before


def _inputs_of(obj: Object, options: Options) -> str:
    cluster = Cluster()
    cluster.run(obj, options)
    (serving,) = cluster.servings()
    return str(serving["metadata"]["annotations"][POD_INPUTS])


def test_backends_have_a_label() -> None:
    child: Desired
    for child in state_of(booster(), OLD).children:
        is_whole = child.resource is MODEL_ROUTE
        assert bool(labels_of(child.object)[BACKEND_NAME]) is not is_whole
