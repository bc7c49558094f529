"""For every field of a ModelBooster: which children change when it does, and whose pods restart.

The table must name every field of the API. A field that changes no child must be among ``NONE``,
with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest
from pydantic.fields import FieldInfo

from app.apis import core
from app.apis.kinds import Profile
from app.apis.modelbooster import Spec
from app.apis.schema import Fields
from app.convert import desired_children
from app.convert.diff import child_diffs, restarting_backends
from app.convert.options import Options
from app.model.children import Desired
from app.model.forms import Model
from app.validation.rules.changes import gangs_are_resized, pods_are_restarted, types_change
from app.values.meta import Object
from tests.builders import backend, disaggregated, lora, model, policy, worker

NONE = {
    "owner": "it is for people",
    "backends[].cacheWarmup": "its Jobs depend on the nodes, too",
    "backends[].cacheWarmup.nodeSelector": "it is for Jobs",
    "backends[].cacheWarmup.tolerations": "it is for Jobs",
    "backends[].cacheWarmup.policy": "it says what waits",
    "backends[].cacheWarmup.activeDeadlineSeconds": "it is for Jobs",
    "backends[].scaleToZeroGracePeriod": "no kthena release reads it in any child",
    "backends[].autoscalingPolicy.behavior": "refused, unless it is empty and means nothing",
}

SERVING, SERVER, ROUTE = "ModelServing demo-b1", "ModelServer demo-b1", "ModelRoute demo"
POLICY, BINDING = "AutoscalingPolicy demo", "AutoscalingPolicyBinding demo"
OWN_POLICY, OWN_BINDING = "AutoscalingPolicy demo-b1", "AutoscalingPolicyBinding demo-b1"


class Row(NamedTuple):
    """An edit of one field: the children that it touches, and whether the pods of b1 restart."""

    field: str
    old: Model
    new: Model
    touched: set[str]
    restarts: bool = False


def children(found: Model) -> list[Desired]:
    return desired_children(found, Profile.B, Options())


def whole(*backends: Object, **spec: Any) -> Model:
    return model("demo", *backends, **spec)


def one(**fields: Any) -> Model:
    """A ModelBooster with backend b1, in the places that most rows need."""
    return whole(backend("b1", **fields))


def engine(**fields: Any) -> Model:
    return one(workers=[worker(**fields)])


def scaled(**fields: Any) -> Model:
    return one(**{"minReplicas": 1, "maxReplicas": 4, "autoscalingPolicy": policy(), **fields})


def weighed(cost: int = 1, **spec: Any) -> Model:
    first = backend("b1", minReplicas=1, maxReplicas=4, scalingCost=cost)
    return whole(first, **{"autoscalingPolicy": policy(), **spec})


def metric(**fields: Any) -> Object:
    return policy(metrics=[{"metricName": "m", "targetValue": 1, **fields}])


def match(**fields: Any) -> Model:
    return whole(backend("b1"), modelMatch=fields)


def adapter(name: str, url: str) -> Model:
    return one(loraAdapters=[lora(name, artifactURL=url)])


def warmed(**fields: Any) -> Model:
    return one(cacheURI="pvc://c", cacheWarmup=fields)


ALL = {"operator": "Exists"}
AFFINITY: Object = {"nodeAffinity": {}}
EXACT = {"h": {"exact": "x"}}
SECRET = [{"secretRef": {"name": "s"}}]
B1, B1_AND_B2 = [backend("b1")], [backend("b1"), backend("b2")]

ROWS = (
    Row("name", whole(*B1), whole(*B1, name="n"), {ROUTE}),
    Row("owner", whole(*B1), whole(*B1, owner="me"), set()),
    Row("backend", whole(*B1), whole(backend=backend("b1")), set()),
    Row(
        "backends",
        whole(*B1),
        whole(*B1_AND_B2),
        {"ModelServing demo-b2", "ModelServer demo-b2", ROUTE},
    ),
    Row(
        "backends[].name",
        one(),
        whole(backend("b2")),
        {SERVING, SERVER, "ModelServing demo-b2", "ModelServer demo-b2", ROUTE},
    ),
    Row("backends[].type", one(), whole(disaggregated("b1")), {SERVING, SERVER}, restarts=True),
    Row("backends[].modelURI", one(), one(modelURI="hf://o/n"), {SERVING}, restarts=True),
    Row("backends[].cacheURI", one(), one(cacheURI="pvc://c"), {SERVING}, restarts=True),
    Row("backends[].cacheWarmup", warmed(), one(cacheURI="pvc://c"), set()),
    Row("backends[].cacheWarmup.nodeSelector", warmed(), warmed(nodeSelector={"a": "b"}), set()),
    Row("backends[].cacheWarmup.tolerations", warmed(), warmed(tolerations=[ALL]), set()),
    Row("backends[].cacheWarmup.policy", warmed(), warmed(policy="Background"), set()),
    Row(
        "backends[].cacheWarmup.activeDeadlineSeconds",
        warmed(),
        warmed(activeDeadlineSeconds=60),
        set(),
    ),
    Row("backends[].env", one(), one(env=[{"name": "A", "value": "1"}]), {SERVING}, restarts=True),
    Row("backends[].envFrom", one(), one(envFrom=SECRET), {SERVING}, restarts=True),
    Row("backends[].minReplicas", scaled(), scaled(minReplicas=2), {SERVING, OWN_BINDING}),
    Row("backends[].maxReplicas", scaled(), scaled(maxReplicas=9), {SERVING, OWN_BINDING}),
    Row("backends[].replicas", one(replicas=1), one(replicas=2), {SERVING}),
    Row("backends[].scalingCost", weighed(1), weighed(2), {BINDING}),
    Row("backends[].routeWeight", one(), one(routeWeight=5), {ROUTE}),
    Row("backends[].scaleToZeroGracePeriod", scaled(), scaled(scaleToZeroGracePeriod="9s"), set()),
    Row(
        "backends[].autoscalingPolicy",
        one(),
        one(autoscalingPolicy=policy()),
        {SERVING, OWN_POLICY, OWN_BINDING},
    ),
    Row(
        "backends[].autoscalingPolicy.tolerancePercent",
        scaled(),
        scaled(autoscalingPolicy=policy(tolerancePercent=9)),
        {OWN_POLICY},
    ),
    Row(
        "backends[].autoscalingPolicy.metrics",
        scaled(),
        scaled(autoscalingPolicy=policy(metrics=[{"metricName": "m", "targetValue": 1}])),
        {OWN_POLICY},
    ),
    Row(
        "backends[].autoscalingPolicy.metrics[].metricName",
        scaled(autoscalingPolicy=metric(metricName="a")),
        scaled(autoscalingPolicy=metric(metricName="b")),
        {OWN_POLICY},
    ),
    Row(
        "backends[].autoscalingPolicy.metrics[].targetValue",
        scaled(autoscalingPolicy=metric(targetValue=1)),
        scaled(autoscalingPolicy=metric(targetValue=2)),
        {OWN_POLICY},
    ),
    Row(
        "backends[].autoscalingPolicy.behavior",
        scaled(),
        scaled(autoscalingPolicy=policy(behavior={})),
        set(),
    ),
    Row(
        "backends[].loraAdapters", one(), adapter("a", "hf://o/a"), {SERVING, ROUTE}, restarts=True
    ),
    Row(
        "backends[].loraAdapters[].name",
        adapter("a", "hf://o/a"),
        adapter("b", "hf://o/a"),
        {SERVING, ROUTE},
        restarts=True,
    ),
    Row(
        "backends[].loraAdapters[].artifactURL",
        adapter("a", "hf://o/a"),
        adapter("a", "hf://o/b"),
        {SERVING},
        restarts=True,
    ),
    Row("backends[].schedulerName", one(), one(schedulerName="s"), {SERVING}),
    Row("backends[].gangScheduling", one(), one(gangScheduling=True), {SERVING}),
    Row("backends[].runtimeClassName", one(), one(runtimeClassName="r"), {SERVING}, restarts=True),
    Row(
        "backends[].workers",
        whole(disaggregated("b1", workers=[worker("prefill"), worker("decode")])),
        whole(disaggregated("b1", workers=[worker("decode"), worker("prefill")])),
        set(),
    ),
    Row(
        "backends[].workers[].type",
        whole(disaggregated("b1", workers=[worker("prefill", image="a"), worker("decode")])),
        whole(disaggregated("b1", workers=[worker("decode", image="a"), worker("prefill")])),
        {SERVING},
        restarts=True,
    ),
    Row(
        "backends[].workers[].image", engine(image="a"), engine(image="b"), {SERVING}, restarts=True
    ),
    Row("backends[].workers[].replicas", engine(), engine(replicas=2), {SERVING}),
    Row("backends[].workers[].pods", engine(), engine(pods=2), {SERVING}, restarts=True),
    Row(
        "backends[].workers[].resources",
        engine(),
        engine(resources={"limits": {"cpu": 1}}),
        {SERVING},
        restarts=True,
    ),
    Row("backends[].workers[].affinity", engine(), engine(affinity=AFFINITY), {SERVING}, True),
    Row(
        "backends[].workers[].tolerations",
        engine(),
        engine(tolerations=[{"operator": "Exists"}]),
        {SERVING},
        restarts=True,
    ),
    Row("backends[].workers[].config", engine(), engine(config={"seed": 1}), {SERVING}, True),
    Row("autoscalingPolicy", one(), weighed(), {SERVING, POLICY, BINDING}),
    Row(
        "costExpansionRatePercent",
        weighed(),
        weighed(costExpansionRatePercent=100),
        {BINDING},
    ),
    Row("modelMatch", whole(*B1), match(headers=EXACT), {ROUTE}),
    Row("modelMatch.headers", match(uri={}), match(uri={}, headers=EXACT), {ROUTE}),
    Row("modelMatch.uri", match(headers=EXACT), match(headers=EXACT, uri={}), {ROUTE}),
    Row("modelMatch.uri.exact", match(uri={}), match(uri={"exact": "/"}), {ROUTE}),
    Row("modelMatch.uri.prefix", match(uri={}), match(uri={"prefix": "/"}), {ROUTE}),
    Row("modelMatch.uri.regex", match(uri={}), match(uri={"regex": "/"}), {ROUTE}),
    Row("modelMatch.body", match(uri={}), match(uri={}, body={"model": "m"}), {ROUTE}),
    Row("modelMatch.body.model", match(body={"model": "a"}), match(body={"model": "b"}), {ROUTE}),
)

A, B = ({"name": name, "value": "1"} for name in "AB")

MORE_ROWS = (
    Row("variables in another order", one(env=[A, B]), one(env=[B, A]), {SERVING}, restarts=True),
    Row("a variable less", one(env=[A, B]), one(env=[B]), {SERVING}, restarts=True),
    Row("backends in another order", whole(*B1_AND_B2), whole(*reversed(B1_AND_B2)), {ROUTE}),
    Row("a fixed backend grows", one(), one(minReplicas=2, maxReplicas=2), {SERVING}),
    Row(
        "gangs are given up",
        one(gangScheduling=True, schedulerName="volcano"),
        one(schedulerName="volcano"),
        set(),
    ),
    Row(
        "a gang becomes too small",
        one(gangScheduling=True, workers=[worker(replicas=3)]),
        one(gangScheduling=True, workers=[worker(replicas=2)]),
        {SERVING},
        restarts=True,
    ),
    Row(
        "a gang grows",
        one(gangScheduling=True, workers=[worker(replicas=2)]),
        one(gangScheduling=True, workers=[worker(replicas=3)]),
        {SERVING},
    ),
    Row(
        "the scheduler of several nodes",
        engine(pods=2),
        one(schedulerName="s", workers=[worker(pods=2)]),
        {SERVING},
        restarts=True,
    ),
    Row("another name for clients", whole(*B1, name="a"), whole(*B1, name="b"), {ROUTE}),
    Row("the port", engine(), engine(config={"port": 9000}), {SERVING, SERVER}, restarts=True),
)


@pytest.mark.parametrize("row", ROWS + MORE_ROWS, ids=lambda row: row.field)
def test_what_an_edit_touches(row: Row) -> None:
    found = child_diffs(children(row.old), children(row.new))

    assert {f"{change.kind} {change.name}" for change in found} == row.touched
    assert restarting_backends(found) == (["b1"] if row.restarts else [])


@pytest.mark.parametrize("row", ROWS + MORE_ROWS, ids=lambda row: row.field)
def test_admission_warns_if_and_only_if_pods_restart(row: Row) -> None:
    rules = (pods_are_restarted, types_change, gangs_are_resized)
    warnings = [warning for rule in rules for warning in rule(row.old, row.new)]

    assert bool(warnings) is row.restarts, warnings


def test_the_table_names_every_field() -> None:
    assert {row.field for row in ROWS} == set(fields_of(Spec))


def test_a_field_that_changes_nothing_says_why() -> None:
    # Two rows are about forms that mean the same, not about a field without effect.
    forms = {"backend", "backends[].workers"}
    assert {row.field for row in ROWS if not row.touched} - forms == set(NONE)


def fields_of(owner: type[Fields], prefix: str = "") -> Iterator[str]:
    """Yields the fields of the API by path, those of core/v1 and of ``behavior`` as one each.

    Of the places in which a type occurs, one is opened: ``backends``, its own policy, ``uri``.
    """
    for name, field in owner.model_fields.items():
        path = prefix + (field.alias or name)
        yield path
        inner = inner_type(field)
        closed = {"backend", "autoscalingPolicy", "modelMatch.headers"}
        if inner and path not in closed and not path.endswith(".behavior"):
            yield from fields_of(inner, f"{path}{'[]' if is_list(field) else ''}.")


def inner_type(field: FieldInfo) -> type[Fields] | None:
    for part in parts(field.annotation):
        if isinstance(part, type) and issubclass(part, Fields):
            return None if part.__module__ == core.__name__ else part
    return None


def is_list(field: FieldInfo) -> bool:
    return any(getattr(part, "__origin__", None) is list for part in parts(field.annotation))


def parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)
