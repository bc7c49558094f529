"""Rules about names and routes, and about names that other objects use."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
)
from app.lookup import INDEXES, FixedIndexer, StoreLookup
from app.validation import Context, Verdict, validate
from app.values.meta import Object, Resource
from tests.builders import UID, backend, booster_object, disaggregated, lora, policy, worker

AT = "spec.backends[0]"


def _faults(obj: Object, context: Context | None = None) -> list[str]:
    return [str(fault) for fault in validate(obj, context or Context()).faults]


def _sized(name: int, **fields: Any) -> Object:
    return booster_object("m", backend("b" * (name - 2), **fields))


@pytest.mark.parametrize(
    ("obj", "room"),
    [
        pytest.param(_sized(50), None, id="50"),
        pytest.param(_sized(51), "50", id="51"),
        pytest.param(_sized(50, replicas=9), None, id="9 replicas"),
        pytest.param(_sized(50, replicas=10), "49", id="10 replicas"),
        pytest.param(_sized(45, replicas=999_999), None, id="999 999 replicas"),
        pytest.param(_sized(45, replicas=1_000_000), "44", id="a million replicas"),
        pytest.param(_sized(50, workers=[worker(pods=10)]), None, id="9 followers"),
        pytest.param(_sized(50, workers=[worker(pods=11)]), "49", id="10 followers"),
        pytest.param(_sized(50, workers=[worker(replicas=10)]), "49", id="10 groups"),
        pytest.param(booster_object("m", disaggregated("b" * 47)), None, id="prefill"),
        pytest.param(booster_object("m", disaggregated("b" * 48)), "49", id="longer prefill"),
        pytest.param(
            booster_object(metadata={"name": None, "generateName": "m" * 43}), "50", id="generated"
        ),
        pytest.param(
            booster_object("m", backend("b" * 60, type="MindIE")), None, id="not served yet"
        ),
    ],
)
def test_names_leave_room(obj: Object, room: str | None) -> None:
    found = _faults(obj)
    if room is None:
        assert found == []
    else:
        (fault,) = found
        assert fault.startswith(f"{AT}.name: Invalid value: ")
        assert f"at most {room} are allowed for this backend" in fault


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        pytest.param({}, None, id="neither"),
        pytest.param({"name": "a"}, f"{AT}.loraAdapters[0].name", id="spec.name"),
        pytest.param({"name": "m2"}, None, id="another spec.name"),
    ],
)
def test_adapter_must_not_have_the_name_of_the_model(fields: Object, where: str | None) -> None:
    obj = booster_object("m", backend(loraAdapters=[lora("a"), lora("b")]), **fields)
    assert [fault.partition(": ")[0] for fault in _faults(obj)] == ([where] if where else [])


@pytest.mark.parametrize(
    ("counts", "refused"),
    [
        pytest.param((10, 0), False, id="10"),
        pytest.param((10, 1), True, id="11"),
        pytest.param((10, -10), False, id="the same 10 twice"),
    ],
)
def test_at_most_ten_adapters(counts: tuple[int, int], refused: bool) -> None:
    first, second = counts
    ours = [lora(f"a{number}") for number in range(first)]
    theirs = [lora(f"b{number}") for number in range(second)] if second >= 0 else ours
    obj = booster_object(
        "m", backend(loraAdapters=ours), backend("b2", loraAdapters=theirs or None)
    )
    words = "Too many: 11: must have at most 10 LoRA adapters of different names"
    assert _faults(obj) == ([f"spec.backends: {words}"] if refused else [])


def test_adapter_is_listed_once_per_backend() -> None:
    obj = booster_object("m", backend(loraAdapters=[lora("a"), lora("a")]))
    want = f"{AT}.loraAdapters: Invalid value: lora name must be unique within the backend"
    assert want in _faults(obj)


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        pytest.param(booster_object("m", backend(routeWeight=0)), "spec.backends", id="alone"),
        pytest.param(
            booster_object("m", backend(routeWeight=0), backend("b2")), None, id="another has"
        ),
        pytest.param(
            booster_object("m", backend(routeWeight=0), backend("b2", type="MindIE")),
            "spec.backends",
            id="another is not served",
        ),
        pytest.param(booster_object("m", backend(routeWeight=1)), None, id="some"),
        pytest.param(
            booster_object(backend=backend(routeWeight=0)), "spec.backend.routeWeight", id="single"
        ),
    ],
)
def test_requests_need_a_backend_with_weight(obj: Object, where: str | None) -> None:
    assert [fault.partition(": ")[0] for fault in _faults(obj)] == ([where] if where else [])


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        pytest.param("^/v1/.*$", None, id="good"),
        pytest.param("", None, id="empty"),
        pytest.param("(", "missing )", id="open group"),
        pytest.param("(?=a)", "invalid perl operator", id="lookahead"),
        pytest.param(r"(a)\1", "invalid escape sequence", id="back reference"),
        pytest.param(r"a\C", r"invalid escape sequence: \C", id="a byte"),
        pytest.param(r"a\\C", None, id="a backslash and a C"),
        pytest.param("x{1001}", "invalid repetition size", id="many times"),
        pytest.param("(a+)+" * 50 + "$", None, id="slow elsewhere"),
    ],
)
def test_regular_expressions_are_re2(regex: str, words: str | None) -> None:
    for where, match in (
        ("uri.regex", {"uri": {"regex": regex}}),
        ("headers[x-user].regex", {"headers": {"x-user": {"regex": regex}}}),
    ):
        found = _faults(booster_object("m", modelMatch=match))
        assert len(found) == (words is not None)
        for fault in found:
            assert fault.startswith(f"spec.modelMatch.{where}: Invalid value: ")
            assert words is None or words in fault


def _lookup(
    *boosters: Object, ready: bool = True, **others: tuple[Resource, list[Object]]
) -> StoreLookup:
    stores = {MODEL_BOOSTER: FixedIndexer(boosters, INDEXES[MODEL_BOOSTER])}
    for resource, objects in others.values():
        stores[resource] = FixedIndexer(objects, INDEXES.get(resource, {}))
    return StoreLookup(stores, lambda: ready)


def _object(name: str, *, owner: Object | None = None, **spec: Any) -> Object:
    refs = [owner] if owner else []
    metadata = {"name": name, "namespace": "default", "ownerReferences": refs}
    return {"metadata": metadata, "spec": spec}


def _owner(name: str, uid: str = "another") -> Object:
    version = MODEL_BOOSTER.api_version
    return {"apiVersion": version, "kind": "ModelBooster", "name": name, "uid": uid}


def _judge(obj: Object, lookup: StoreLookup) -> Verdict:
    return validate(obj, Context(lookup=lookup))


OURS = booster_object("demo", backend("b1"), namespace="default", metadata={"uid": UID})


@pytest.mark.parametrize(
    ("route", "refused"),
    [
        pytest.param(_object("demo", modelName="x"), True, id="nobody's"),
        pytest.param(_object("demo", owner=_owner("other")), True, id="another model's"),
        pytest.param(_object("demo", owner=_owner("demo", UID)), False, id="ours"),
        pytest.param(_object("demo", owner=_owner("demo")), False, id="a predecessor's"),
        pytest.param(_object("demo2", modelName="x"), False, id="another name"),
    ],
)
def test_foreign_route_is_not_overwritten(route: Object, refused: bool) -> None:
    want = (
        'metadata.name: Invalid value: "demo": ModelRoute "demo" already exists in namespace '
        '"default" and is not managed by a ModelBooster of this name'
    )
    verdict = _judge(OURS, _lookup(routes=(MODEL_ROUTE, [route])))
    assert [str(fault) for fault in verdict.faults] == ([want] if refused else [])


ROUTED = 'modelName is already routed by ModelRoute "default/other"'


def _named(name: str, route: str | None, namespace: str = "default", **metadata: str) -> Object:
    return booster_object(
        name, backend("x"), namespace=namespace, name=route, metadata=dict(metadata)
    )


@pytest.mark.parametrize(
    ("name", "other", "want"),
    [
        pytest.param(
            "qwen",
            _named("other", "qwen"),
            f'spec.name: Duplicate value: "qwen": {ROUTED}',
            id="the same name",
        ),
        pytest.param(
            None,
            _named("other", "demo"),
            f'metadata.name: Duplicate value: "demo": {ROUTED}',
            id="our own name",
        ),
        pytest.param(
            "other",
            _named("other", None),
            f'spec.name: Duplicate value: "other": {ROUTED}',
            id="the other's own name",
        ),
        pytest.param("qwen", _named("other", "qwen2"), None, id="another name"),
        pytest.param("qwen", _named("demo", "qwen"), None, id="the object itself"),
        pytest.param(
            "qwen",
            _named("other", "qwen", deletionTimestamp="2026-01-01T00:00:00Z"),
            None,
            id="one that is going",
        ),
        pytest.param(
            "qwen",
            _named("other", "qwen", creationTimestamp="2026-01-01T00:00:02Z"),
            None,
            id="one that came later",
        ),
        pytest.param(
            "qwen",
            _named("other", "qwen", creationTimestamp="2026-01-01T00:00:01Z"),
            f'spec.name: Duplicate value: "qwen": {ROUTED}',
            id="one that came at the same time",
        ),
    ],
)
def test_model_name_is_routed_once_per_namespace(
    name: str | None, other: Object, want: str | None
) -> None:
    obj = _named("demo", name, creationTimestamp="2026-01-01T00:00:01Z")
    found = [str(fault) for fault in _judge(obj, _lookup(other)).faults]
    assert found == ([want] if want else [])


def test_only_routes_without_model_booster_count() -> None:
    by_hand = _object("other", modelName="demo")
    of_model = _object("third", owner=_owner("gone"), modelName="demo")
    verdict = _judge(OURS, _lookup(routes=(MODEL_ROUTE, [by_hand, of_model])))
    want = f'metadata.name: Duplicate value: "demo": {ROUTED}'
    assert [str(fault) for fault in verdict.faults] == [want]


@pytest.mark.parametrize(
    ("profile", "rule"),
    [
        (Profile.A, "the one written last"),
        (Profile.B, "the older one"),
        (Profile.C, "the older one"),
        (None, "one of them"),
    ],
)
def test_warning_does_not_reveal_the_other_namespace(profile: Profile | None, rule: str) -> None:
    lookup = _lookup(_named("secret", "demo", namespace="tenant"))
    for old in (None, OURS):  # the one that comes second, and an edit of the first
        verdict = validate(OURS, Context(profile=profile, lookup=lookup), old=old)
        assert verdict.faults == ()
        assert verdict.warnings == (
            'modelName "demo" is also routed in another namespace; kthena\'s router sends all '
            f"requests to {rule}, so choose another name",
        )


_SQL = backend("x", loraAdapters=[lora("sql")])
_IN_TENANT: Object = {"namespace": "tenant"}


@pytest.mark.parametrize(
    ("ours", "other", "want"),
    [
        pytest.param(
            booster_object("demo", _SQL, namespace="default"),
            booster_object("secret", _SQL, **_IN_TENANT),
            'spec.backends[0].loraAdapters[0].name: "sql" is also routed in another namespace, '
            "and requests reach only one of the two; choose another name",
            id="adapter and adapter",
        ),
        pytest.param(
            booster_object("demo", _SQL, namespace="default"),
            booster_object("sql", **_IN_TENANT),
            'spec.backends[0].loraAdapters[0].name: "sql" is also routed in another namespace, '
            "and requests reach only one of the two; choose another name",
            id="adapter and model",
        ),
        pytest.param(
            booster_object("sql", namespace="default"),
            booster_object("secret", _SQL, **_IN_TENANT),
            'modelName "sql" is the name of an adapter in another namespace; kthena\'s router '
            "looks among models first, so choose another name",
            id="model and adapter",
        ),
        pytest.param(
            booster_object("demo", _SQL, namespace="default"),
            booster_object("secret", backend("x", loraAdapters=[lora("py")]), **_IN_TENANT),
            None,
            id="other names",
        ),
    ],
)
def test_names_are_one_space_for_all_namespaces(
    ours: Object, other: Object, want: str | None
) -> None:
    route = _object("by-hand", modelName="x", loraAdapters=["sql"])
    route["metadata"]["namespace"] = "tenant"
    assert _judge(ours, _lookup(other)).warnings == ((want,) if want else ())
    if want and "sql" in str(other["spec"]["backends"]):
        by_hand = _lookup(routes=(MODEL_ROUTE, [route]))
        assert _judge(ours, by_hand).warnings == (want,), "a ModelRoute of somebody's own"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(booster_object("demo-b", backend("1"), namespace="default"), id="more dashes"),
        pytest.param(booster_object("de", backend("mo-b1"), namespace="default"), id="other dash"),
        pytest.param(booster_object("demo-x", backend("b1"), namespace="default"), id="longer"),
    ],
)
def test_similar_names_do_not_conflict(other: Object) -> None:
    assert _judge(OURS, _lookup(other)).faults == ()


def test_model_policy_and_backend_policy_can_conflict() -> None:
    scaled = backend("b", minReplicas=1, maxReplicas=2, autoscalingPolicy=policy())
    there = booster_object("a", scaled, namespace="default")
    obj = booster_object(
        "a-b",
        backend("c", minReplicas=1, maxReplicas=2, scalingCost=1),
        namespace="default",
        autoscalingPolicy=policy(),
    )
    assert [str(fault) for fault in _judge(obj, _lookup(there)).faults] == [
        'metadata.name: Duplicate value: "a-b": generated name "a-b" (AutoscalingPolicy) '
        'is already used by ModelBooster "a"'
    ]


@pytest.mark.parametrize(
    ("resource", "child", "owner"),
    [
        pytest.param(
            MODEL_SERVING, _object("demo-b1"), "an object that no ModelBooster owns", id="nobody's"
        ),
        pytest.param(
            MODEL_SERVER,
            _object("demo-b1", owner=_owner("other")),
            'ModelBooster "other"',
            id="another's",
        ),
        pytest.param(MODEL_SERVING, _object("demo-b1", owner=_owner("demo", UID)), None, id="ours"),
        pytest.param(MODEL_SERVING, _object("demo-b1", owner=_owner("demo")), None, id="old ours"),
        pytest.param(AUTOSCALING_POLICY, _object("demo-b1"), None, id="a kind we do not make"),
    ],
)
def test_existing_objects_keep_their_names(
    resource: Resource, child: Object, owner: str | None
) -> None:
    found = [str(fault) for fault in _judge(OURS, _lookup(there=(resource, [child]))).faults]
    want = (
        f'{AT}.name: Duplicate value: "b1": generated name "demo-b1" ({resource.kind}) '
        f"is already used by {owner}"
    )
    assert found == ([want] if owner else [])


def test_warning_for_an_adapter_that_others_route() -> None:
    obj = booster_object("demo", backend(loraAdapters=[lora("x"), lora("y")]), namespace="default")
    others = [
        _named("other", "x"),
        booster_object("third", backend(loraAdapters=[lora("y")]), namespace="default"),
    ]
    warnings = _judge(obj, _lookup(*others)).warnings
    assert [text.partition(";")[0] for text in warnings] == [
        f'{AT}.loraAdapters[0].name: "x" is already routed by ModelRoute "default/other"',
        f'{AT}.loraAdapters[1].name: "y" is already routed by ModelRoute "default/third"',
    ]


def test_names_are_not_compared_before_the_initial_list() -> None:
    verdict = _judge(OURS, _lookup(_named("other", "demo"), ready=False))
    assert verdict.faults == ()
    assert [text.partition(",")[0] for text in verdict.warnings] == [
        "names were not compared with those of other objects"
    ]


@pytest.mark.parametrize("spec", [None, [], {"backends": 3}, {"backends": [None, {"name": 1}]}])
def test_malformed_foreign_objects_are_tolerated(spec: Any) -> None:
    strange = {"metadata": {"name": "strange", "namespace": "default"}, "spec": spec}
    route = {"metadata": {"name": "strange", "namespace": "default"}, "spec": spec}
    lookup = _lookup(strange, routes=(MODEL_ROUTE, [route]))
    assert _judge(OURS, lookup).faults == ()
