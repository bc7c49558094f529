"""The action for each child, given the live object."""

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
from app.model.children import Desired
from app.model.forms import Model
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
from controller.plan.planner import action_for, apply_over, make_plan, wait_for_name
from tests.builders import UID, backend, model, policy, worker

OTHER = "99999999-2222-4333-8444-555555555555"
Edit = Callable[[Object], object]


def children(of: Model, profile: Profile = Profile.B) -> list[Desired]:
    return desired_children(of, profile, Options())


def child(kind: str, *backends: Object, **spec: object) -> tuple[Model, Desired]:
    meaning = model("m", *backends, **spec)
    return meaning, next(c for c in children(meaning) if c.resource.kind == kind)


def as_stored(child: Desired, *edits: Edit, uid: str = "child-uid") -> Object:
    """A child as the API server returns it after an apply, with edits."""
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
    """Describes an action: what it does, and with which preconditions."""
    match action:
        case None:
            return "nothing"
        case Apply(body=body):
            fields = [f for f in ("uid", "resourceVersion") if f in body["metadata"]]
            return f"apply by {' and '.join(fields)}"
        case WaitForDeletion(is_ours=is_ours):
            return "wait for ours" if is_ours else "wait for theirs"
    return type(action).__name__


@pytest.mark.parametrize(
    ("edits", "want"),
    [
        pytest.param([], "nothing", id="unchanged"),
        pytest.param([put("spec/mine", 1)], "nothing", id="additional field"),
        pytest.param(
            [put("metadata/annotations", {"a": "b"})], "nothing", id="additional annotation"
        ),
        pytest.param([put("metadata/labels/a", "b")], "nothing", id="additional label"),
        pytest.param([put("metadata/finalizers", ["a/b"])], "nothing", id="additional finalizer"),
        pytest.param([put("status", {"replicas": 3})], "nothing", id="status"),
        pytest.param([put("spec/inferenceEngine", "SGLang")], "apply by uid", id="edited field"),
        pytest.param(
            [put("spec/workloadPort/port", True)], "apply by uid", id="value of another type"
        ),
        pytest.param([put("spec/workloadPort", None)], "apply by uid", id="removed map"),
        pytest.param([lambda o: o.pop("spec")], "apply by uid", id="removed spec"),
        pytest.param([label(REVISION, "x")], "apply by uid", id="another revision"),
        pytest.param([owner(controller=False)], "apply by uid", id="owner is not the controller"),
        pytest.param([no_owner], "apply by uid", id="removed owner"),
        pytest.param([label(REGISTRY_MANAGED_BY, None)], "TakeOver", id="never applied by us"),
        pytest.param(
            [put("spec/workloadSelector/matchLabels/a", "b")],
            "TakeOver",
            id="additional selector label",
        ),
        pytest.param([terminating], "wait for ours", id="terminating"),
        pytest.param([owner(uid=OTHER)], "wait for theirs", id="owned by a predecessor"),
        pytest.param(
            [owner(uid=OTHER, name="n")], "NameConflict", id="owned by another ModelBooster"
        ),
        pytest.param([owner(uid=OTHER, kind="Other")], "NameConflict", id="owned by another kind"),
        pytest.param(
            [terminating, owner(uid=OTHER, name="n")],
            "NameConflict",
            id="owned by another ModelBooster, terminating",
        ),
    ],
)
def test_action_for_a_live_child(edits: list[Edit], want: str) -> None:
    of, server = child("ModelServer")
    assert summary(action_for(of, server, as_stored(server, *edits))) == want


def test_missing_child_is_created_only() -> None:
    of, route = child("ModelRoute")
    action = action_for(of, route, None)
    assert isinstance(action, Apply)
    assert action.body["metadata"]["resourceVersion"] == "1"
    assert action.body["spec"] == route.object["spec"]


@pytest.mark.parametrize(
    ("edit", "want"),
    [
        pytest.param(put("spec/modelName", "old"), "Recreate", id="another model name"),
        pytest.param(put("spec/rules", []), "apply by uid", id="a list of another length"),
        pytest.param(
            put("spec/rules/0/targetModels/0/weight", 1), "apply by uid", id="edited item"
        ),
        pytest.param(
            put("spec/rules/0/targetModels/0/mine", 1), "nothing", id="additional field in an item"
        ),
    ],
)
def test_action_for_a_live_route(edit: Edit, want: str) -> None:
    of, route = child("ModelRoute")
    assert summary(action_for(of, route, as_stored(route, edit))) == want


def test_recreate_deletes_by_uid_and_creates() -> None:
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
def test_scaled_replicas_are_kept_within_their_bounds(live: int, sent: int | None) -> None:
    of, serving = child("ModelServing", SCALED)
    action = action_for(of, serving, as_stored(serving, put("spec/replicas", live)))
    if sent is None:
        assert action is None
        return
    assert isinstance(action, Apply)
    assert action.body["spec"]["replicas"] == sent
    assert summary(action) == "apply by uid and resourceVersion"


def test_an_update_keeps_scaled_replicas() -> None:
    _, serving = child("ModelServing", SCALED)
    live = as_stored(serving, put("spec/replicas", 3), label(REVISION, "x"))
    body = apply_over(serving, live).body
    assert (body["spec"]["replicas"], body["metadata"]["resourceVersion"]) == (3, "7")


def test_fixed_replicas_are_repaired() -> None:
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
def test_stored_gang_policy_is_kept_while_it_fits(
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


def test_an_update_keeps_the_gang_policy() -> None:
    _, serving = child("ModelServing", backend(workers=[worker(replicas=2)]))
    live = as_stored(serving, put("spec/template/gangPolicy", GANG), put("spec/replicas", 9))
    assert apply_over(serving, live).body["spec"]["template"]["gangPolicy"] == GANG


def test_plan_is_empty_without_drift() -> None:
    of = model("m", SCALED, backend("b2"))
    assert not make_plan(of, children(of), [as_stored(c) for c in children(of)])


def test_missing_children_are_planned_in_the_order_of_conversion() -> None:
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
        pytest.param(terminating, id="terminating"),
        pytest.param(owner(uid=OTHER, name="n"), id="owned by another ModelBooster"),
        pytest.param(owner(uid=OTHER), id="owned by a predecessor"),
    ],
)
def test_terminating_and_foreign_objects_are_not_deleted(edit: Edit) -> None:
    before = [as_stored(c, edit) for c in children(model("m", SCALED)) if c.name == "m-b1"]
    assert deletes(model("m", backend("a")), before) == []


def test_unserved_backend_in_the_spec_keeps_its_pods() -> None:
    before = [as_stored(c) for c in children(model("m", backend("a"), SCALED))]
    of = model("m", backend("a"), backend("b1", type="MindIE"))
    assert deletes(of, before) == [
        ("AutoscalingPolicy", "m-b1"),
        ("AutoscalingPolicyBinding", "m-b1"),
    ]


def test_bindings_of_an_older_kthena_are_deleted_after_an_upgrade() -> None:
    of = model("m", SCALED)
    before = [as_stored(c) for c in children(of, Profile.B)]
    plan = make_plan(of, children(of, Profile.C), before)
    assert [d.resource for d in plan.deletions] == [AUTOSCALING_POLICY_BINDING]


def test_only_unobserved_undesired_children_are_looked_up() -> None:
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


def test_ownership_is_decided_by_uid_not_by_name() -> None:
    of = model("m", metadata={"uid": OTHER})
    before = [as_stored(c) for c in children(model("m"))]
    plan = make_plan(of, children(of), before)
    assert {summary(action) for action in plan.actions} == {"wait for theirs"}
    assert plan.deletions == ()
    assert UID != OTHER


def test_only_children_with_drift_are_applied() -> None:
    of = model("m", backend("a"), backend("b"))
    observed = [as_stored(c) for c in children(of)]
    observed[1]["spec"]["schedulerName"] = "x"
    actions = make_plan(of, children(of), observed).actions
    assert [(s.child.resource, s.child.name) for s in actions if isinstance(s, Apply)] == [
        (MODEL_SERVING, "m-b")
    ]
    assert len(actions) == 1


def test_action_types() -> None:
    of, server = child("ModelServer")
    assert isinstance(
        action_for(of, server, as_stored(server, owner(uid=OTHER, name="n"))), NameConflict
    )
    live = as_stored(server, label(REGISTRY_MANAGED_BY, None))
    assert action_for(of, server, live) == TakeOver(server)
    assert server.resource is MODEL_SERVER


def test_a_route_waits_until_its_name_is_free() -> None:
    of = model("m", backend("a"))
    made = make_plan(of, children(of), [])
    assert wait_for_name(made, []) is made
    waiting = wait_for_name(made, ["x", "y"])
    assert [a for a in waiting.actions if isinstance(a, WaitForDeletion)] == [
        WaitForDeletion(ChildRef("ModelRoute", name), is_ours=True) for name in ("x", "y")
    ]
    others = [a for a in made.actions if a.ref.kind != "ModelRoute"]
    assert [a for a in waiting.actions if not isinstance(a, WaitForDeletion)] == others


def test_a_renamed_route_that_waits_keeps_its_backends() -> None:
    """Its targets would be gone before it."""
    before = model("m", backend("a"), backend("b"))
    observed = [as_stored(c) for c in children(before)]
    after = model("m", backend("a"), name="other")
    plan = make_plan(after, children(after), observed)
    assert len(plan.deletions) == 2
    waiting = wait_for_name(plan, ["x"])
    assert waiting.deletions == ()
    assert [str(a.ref) for a in waiting.actions] == ['ModelRoute "x"']
    # Without a ModelRoute there is nothing to keep.
    plan = make_plan(after, children(after), [o for o in observed if o["kind"] != "ModelRoute"])
    assert wait_for_name(plan, ["x"]).deletions == plan.deletions != ()
