"""What is done about each child, given what stands there."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY_BINDING,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    REGISTRY_MANAGED_BY,
    REVISION,
    Profile,
)
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import Model
from app.model.children import Desired
from app.values.meta import Object
from controller.plan.actions import (
    Apply,
    ChildAction,
    ChildRef,
    Delete,
    DeleteUnlabeled,
    NameConflict,
    Recreate,
    TakeOver,
    WaitForDeletion,
)
from controller.plan.planner import action_for, apply_over, make_plan
from tests.builders import UID, backend, model, policy, worker

OTHER = "99999999-2222-4333-8444-555555555555"
Edit = Callable[[Object], object]


def children(of: Model, profile: Profile = Profile.B) -> list[Desired]:
    return desired_children(of, profile, Options())


def child(kind: str, *backends: Object, **spec: object) -> tuple[Model, Desired]:
    meaning = model("m", *backends, **spec)
    return meaning, next(c for c in children(meaning) if c.resource.kind == kind)


def as_stored(child: Desired, *edits: Edit, uid: str = "child-uid") -> Object:
    """A child as the server gives it back after it was applied, and edited."""
    obj = deepcopy(child.object)
    obj["metadata"] |= {"uid": uid, "resourceVersion": "7", "generation": 1}
    obj["spec"]["recoveryPolicy"] = "RoleRecreate"  # filled in by the server
    for edit in edits:
        edit(obj)
    return obj


def owner(**fields: object) -> Edit:
    return lambda o: o["metadata"]["ownerReferences"][0].update(fields)


def no_owner(obj: Object) -> None:
    del obj["metadata"]["ownerReferences"]


def label(key: str, value: str | None) -> Edit:
    def edit(obj: Object) -> None:
        obj["metadata"]["labels"].pop(key)
        if value is not None:
            obj["metadata"]["labels"][key] = value

    return edit


def terminating(obj: Object) -> None:
    obj["metadata"]["deletionTimestamp"] = "2031-01-01T00:00:00Z"


def put(path: str, value: object) -> Edit:
    """Sets a field; numbers in the path are positions in a list."""

    def edit(obj: Object) -> None:
        at: object = obj
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parents:
            at = at[part]  # type: ignore[index]  # JSON
        at[last] = value  # type: ignore[index]  # JSON

    return edit


def summary(action: ChildAction | None) -> str:
    """A action in a word or two: what it does, and by which guards."""
    match action:
        case None:
            return "nothing"
        case Apply(body=body):
            guards = [g for g in ("uid", "resourceVersion") if g in body["metadata"]]
            return f"apply by {' and '.join(guards)}"
        case WaitForDeletion(is_ours=is_ours):
            return "wait for ours" if is_ours else "wait for theirs"
    return type(action).__name__


@pytest.mark.parametrize(
    ("edits", "want"),
    [
        pytest.param([], "nothing", id="as we made it"),
        pytest.param([put("spec/mine", 1)], "nothing", id="a field more"),
        pytest.param([put("metadata/annotations", {"a": "b"})], "nothing", id="an annotation"),
        pytest.param([put("metadata/labels/a", "b")], "nothing", id="a label more"),
        pytest.param([put("metadata/finalizers", ["a/b"])], "nothing", id="a finalizer"),
        pytest.param([put("status", {"replicas": 3})], "nothing", id="a status"),
        pytest.param([put("spec/inferenceEngine", "SGLang")], "apply by uid", id="a field edited"),
        pytest.param([put("spec/workloadPort/port", True)], "apply by uid", id="another type"),
        pytest.param([put("spec/workloadPort", None)], "apply by uid", id="a map gone"),
        pytest.param([lambda o: o.pop("spec")], "apply by uid", id="the spec gone"),
        pytest.param([label(REVISION, "x")], "apply by uid", id="another revision"),
        pytest.param([owner(controller=False)], "apply by uid", id="no controller any more"),
        pytest.param([no_owner], "apply by uid", id="no owner any more"),
        pytest.param([label(REGISTRY_MANAGED_BY, None)], "TakeOver", id="never ours before"),
        pytest.param(
            [put("spec/workloadSelector/matchLabels/a", "b")], "TakeOver", id="a selector more"
        ),
        pytest.param([terminating], "wait for ours", id="on its way out"),
        pytest.param([owner(uid=OTHER)], "wait for theirs", id="a predecessor's"),
        pytest.param([owner(uid=OTHER, name="n")], "NameConflict", id="another model's"),
        pytest.param([owner(uid=OTHER, kind="Other")], "NameConflict", id="another controller's"),
        pytest.param(
            [terminating, owner(uid=OTHER, name="n")], "NameConflict", id="another's, going"
        ),
    ],
)
def test_a_child_that_stands_there(edits: list[Edit], want: str) -> None:
    of, server = child("ModelServer")
    assert summary(action_for(of, server, as_stored(server, *edits))) == want


def test_a_child_that_is_not_there_is_only_created() -> None:
    of, route = child("ModelRoute")
    action = action_for(of, route, None)
    assert isinstance(action, Apply)
    assert action.body["metadata"]["resourceVersion"] == "1"
    assert action.body["spec"] == route.object["spec"]


@pytest.mark.parametrize(
    ("edit", "want"),
    [
        pytest.param(put("spec/modelName", "old"), "Recreate", id="asked for by another name"),
        pytest.param(put("spec/rules", []), "apply by uid", id="a list of another length"),
        pytest.param(
            put("spec/rules/0/targetModels/0/weight", 1), "apply by uid", id="an item edited"
        ),
        pytest.param(
            put("spec/rules/0/targetModels/0/mine", 1), "nothing", id="a field more in an item"
        ),
    ],
)
def test_a_route_that_stands_there(edit: Edit, want: str) -> None:
    of, route = child("ModelRoute")
    assert summary(action_for(of, route, as_stored(route, edit))) == want


def test_what_must_be_replaced_is_deleted_by_uid_and_created() -> None:
    of, route = child("ModelRoute")
    action = action_for(of, route, as_stored(route, put("spec/modelName", "old")))
    assert isinstance(action, Recreate)
    assert action.delete == Delete(MODEL_ROUTE, "m", "child-uid")
    assert summary(action.create) == "apply by resourceVersion"


SCALED = backend(minReplicas=2, maxReplicas=4, autoscalingPolicy=policy())


@pytest.mark.parametrize(
    ("live", "sent"),
    [(1, 2), (2, None), (3, None), (4, None), (5, 4)],
    ids=["below the bounds", "least", "between", "most", "above the bounds"],
)
def test_scaled_replicas_stand_within_their_bounds(live: int, sent: int | None) -> None:
    of, serving = child("ModelServing", SCALED)
    action = action_for(of, serving, as_stored(serving, put("spec/replicas", live)))
    if sent is None:
        assert action is None
        return
    assert isinstance(action, Apply)
    assert action.body["spec"]["replicas"] == sent
    assert summary(action) == "apply by uid and resourceVersion"


def test_scaled_replicas_go_along_with_every_other_change() -> None:
    _, serving = child("ModelServing", SCALED)
    live = as_stored(serving, put("spec/replicas", 3), label(REVISION, "x"))
    body = apply_over(serving, live).body
    assert (body["spec"]["replicas"], body["metadata"]["resourceVersion"]) == (3, "7")


def test_fixed_replicas_are_ours() -> None:
    of, serving = child("ModelServing", backend(replicas=2))
    action = action_for(of, serving, as_stored(serving, put("spec/replicas", 3)))
    assert isinstance(action, Apply)
    assert action.body["spec"]["replicas"] == 2
    assert summary(action) == "apply by uid"


GANG = {"minRoleReplicas": {"leader": 2}}


@pytest.mark.parametrize(
    ("stored", "wanted", "replicas", "want"),
    [
        pytest.param(None, False, 1, "nothing", id="none, none wanted"),
        pytest.param(None, True, 2, "apply by uid", id="none, wanted"),
        pytest.param(GANG, True, 2, "nothing", id="there and wanted"),
        pytest.param(GANG, False, 2, "nothing", id="there, not wanted any more"),
        pytest.param(GANG, True, 3, "nothing", id="there, and more roles: stays as it is"),
        pytest.param(GANG, True, 1, "Recreate", id="there, and too many for the role"),
        pytest.param({"minRoleReplicas": {"x": 1}}, True, 2, "Recreate", id="of an unknown role"),
    ],
)
def test_a_stored_gang_is_sent_back_while_it_fits(
    stored: Object | None, wanted: bool, replicas: int, want: str
) -> None:
    written = backend(gangScheduling=wanted, workers=[worker(replicas=replicas)])
    of, serving = child("ModelServing", written)

    def edit(obj: Object) -> None:
        obj["spec"]["template"].pop("gangPolicy", None)
        if stored is not None:
            obj["spec"]["template"]["gangPolicy"] = stored

    action = action_for(of, serving, as_stored(serving, edit))
    assert summary(action) == want


def test_a_change_carries_the_gang_along() -> None:
    _, serving = child("ModelServing", backend(workers=[worker(replicas=2)]))
    live = as_stored(serving, put("spec/template/gangPolicy", GANG), put("spec/replicas", 9))
    assert apply_over(serving, live).body["spec"]["template"]["gangPolicy"] == GANG


def test_nothing_is_done_where_all_is_as_it_should_be() -> None:
    of = model("m", SCALED, backend("b2"))
    assert not make_plan(of, children(of), [as_stored(c) for c in children(of)])


def test_everything_is_made_in_the_order_in_which_it_is_rendered() -> None:
    of = model("m", SCALED)
    kinds = [action.child.resource for action in make_plan(of, children(of), []).actions]  # type: ignore[union-attr]
    assert kinds == [c.resource for c in children(of)]


def deletes(of: Model, observed: list[Object]) -> list[tuple[str, str]]:
    plan = make_plan(of, children(of), observed)
    assert all(isinstance(d, Delete) and d.uid == "child-uid" for d in plan.deletions)
    return sorted((delete.resource.kind, delete.name) for delete in plan.deletions)


def test_children_of_a_removed_backend_are_deleted() -> None:
    before = [as_stored(c) for c in children(model("m", backend("a"), SCALED))]
    assert deletes(model("m", backend("a")), before) == [
        ("AutoscalingPolicy", "m-b1"),
        ("AutoscalingPolicyBinding", "m-b1"),
        ("ModelServer", "m-b1"),
        ("ModelServing", "m-b1"),
    ]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(terminating, id="going already"),
        pytest.param(owner(uid=OTHER, name="n"), id="another model's"),
        pytest.param(owner(uid=OTHER), id="a predecessor's"),
    ],
)
def test_what_is_not_ours_or_goes_anyway_is_not_deleted(edit: Edit) -> None:
    before = [as_stored(c, edit) for c in children(model("m", SCALED)) if c.name == "m-b1"]
    assert deletes(model("m", backend("a")), before) == []


def test_a_backend_that_is_named_but_not_served_keeps_its_pods() -> None:
    before = [as_stored(c) for c in children(model("m", backend("a"), SCALED))]
    of = model("m", backend("a"), backend("b1", type="SGLang"))
    assert deletes(of, before) == [
        ("AutoscalingPolicy", "m-b1"),
        ("AutoscalingPolicyBinding", "m-b1"),
    ]


def test_bindings_of_an_older_kthena_go_when_there_is_a_newer_one() -> None:
    of = model("m", SCALED)
    before = [as_stored(c) for c in children(of, Profile.B)]
    plan = make_plan(of, children(of, Profile.C), before)
    assert [d.resource for d in plan.deletions] == [AUTOSCALING_POLICY_BINDING]


def test_only_what_is_neither_wanted_nor_seen_is_looked_for() -> None:
    of = model("m", backend("a"))
    observed = [as_stored(c) for c in children(model("m", backend("a"), SCALED))]
    unlabeled = [
        ChildRef("ModelServing", "m-a"),
        ChildRef("AutoscalingPolicy", "m-b1"),
        ChildRef("ModelRoute", "n"),
    ]
    plan = make_plan(of, children(of), observed, unlabeled)
    assert DeleteUnlabeled(MODEL_ROUTE, "n") == plan.deletions[-1]
    assert sum(isinstance(action, DeleteUnlabeled) for action in plan.deletions) == 1


def test_the_uid_decides_even_if_the_names_agree() -> None:
    of = model("m", metadata={"uid": OTHER})
    before = [as_stored(c) for c in children(model("m"))]
    plan = make_plan(of, children(of), before)
    assert {summary(action) for action in plan.actions} == {"wait for theirs"}
    assert plan.deletions == ()
    assert UID != OTHER


def test_only_what_differs_is_sent() -> None:
    of = model("m", backend("a"), backend("b"))
    observed = [as_stored(c) for c in children(of)]
    observed[1]["spec"]["schedulerName"] = "x"
    actions = make_plan(of, children(of), observed).actions
    assert [(s.child.resource, s.child.name) for s in actions if isinstance(s, Apply)] == [
        (MODEL_SERVING, "m-b")
    ]
    assert len(actions) == 1


def test_types_of_steps_are_told_apart() -> None:
    of, server = child("ModelServer")
    assert isinstance(
        action_for(of, server, as_stored(server, owner(uid=OTHER, name="n"))), NameConflict
    )
    live = as_stored(server, label(REGISTRY_MANAGED_BY, None))
    assert action_for(of, server, live) == TakeOver(server)
    assert server.resource is MODEL_SERVER
