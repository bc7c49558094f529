"""One object for each guarantee of admission, in both forms if there are two."""

from __future__ import annotations

import pytest

from app.defaults import defaulted
from app.lookup import lookup_among
from app.model.forms import PolicyScope
from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker

NOWHERE = Context()
AT = "spec.backends[0]"


def _faults(obj: Object, context: Context = NOWHERE, *, old: Object | None = None) -> list[str]:
    return [str(fault) for fault in validate(obj, context, old=old).faults]


def _scaled(least: int, **fields: object) -> Object:
    return backend(**{"minReplicas": least, "maxReplicas": 2, "scalingCost": 1, **fields})


BOUNDS = {"minReplicas": 1, "maxReplicas": 2}
SEVERAL = [
    _scaled(0),
    backend("b2", minReplicas=1, maxReplicas=2, scalingCost=1),
]

ACCEPTED = [
    pytest.param(booster_object("demo", backend()), id="1 equal bounds"),
    pytest.param(booster_object(backend=backend(replicas=1)), id="2 single form"),
    pytest.param(booster_object(backend=backend()), id="3 single form with bounds"),
    pytest.param(
        booster_object("demo", backend(**BOUNDS, autoscalingPolicy=policy())), id="8 own policy"
    ),
    pytest.param(
        booster_object(backend=backend(minReplicas=0, maxReplicas=2), autoscalingPolicy=policy()),
        id="10 single form, to zero",
    ),
    pytest.param(booster_object("demo", *SEVERAL, autoscalingPolicy=policy()), id="11 by cost"),
    pytest.param(booster_object("demo", backend(type="MindIE")), id="19 reserved type"),
    pytest.param(
        booster_object("demo", backend(**BOUNDS, autoscalingPolicy=policy(behavior={}))),
        id="23 behavior without content",
    ),
]

REFUSED = [
    pytest.param(
        booster_object("demo", backend(), backend=backend(), backends=[backend()]),
        ["spec: Invalid value: exactly one of spec.backends and spec.backend must be set"],
        id="4 both forms",
    ),
    pytest.param(
        {**booster_object(), "spec": {}},
        ["spec: Invalid value: exactly one of spec.backends and spec.backend must be set"],
        id="4 neither form",
    ),
    pytest.param(
        booster_object(backend=backend(replicas=1, minReplicas=1, maxReplicas=1)),
        [
            "spec.backend: Invalid value: "
            "either replicas, or both minReplicas and maxReplicas, must be set"
        ],
        id="5 replicas and bounds",
    ),
    pytest.param(
        booster_object("demo", backend(minReplicas=3, maxReplicas=2)),
        [f"{AT}.minReplicas: Invalid value: 3: minReplicas cannot be greater than maxReplicas"],
        id="6 bounds out of order",
    ),
    pytest.param(
        booster_object("demo", backend(**BOUNDS)),
        [
            f'{AT}: Invalid value: "minReplicas=1, maxReplicas=2": '
            "minReplicas and maxReplicas must be equal and > 0 when no autoscaling is set"
        ],
        id="7 bounds without policy",
    ),
    pytest.param(
        booster_object("demo", backend(minReplicas=0, maxReplicas=2, autoscalingPolicy=policy())),
        [
            f"{AT}.minReplicas: Invalid value: 0: "
            "minReplicas must be >= 1 when backend-level autoscaling is set"
        ],
        id="9 own policy to zero",
    ),
    pytest.param(
        booster_object("demo", _scaled(0), autoscalingPolicy=policy()),
        [
            "spec.backends: Invalid value: 0: "
            "sum of all minReplicas must be >= 1 when model-level autoscaling is set"
        ],
        id="12 all to zero",
    ),
    pytest.param(
        booster_object("demo", _scaled(1, scalingCost=None), autoscalingPolicy=policy()),
        [
            f"{AT}.scalingCost: Required value: "
            "scalingCost must be provided when model-level autoscaling is set"
        ],
        id="13 no cost",
    ),
    pytest.param(
        booster_object("demo", _scaled(1, autoscalingPolicy=policy()), autoscalingPolicy=policy()),
        [
            "spec.autoscalingPolicy: Forbidden: spec.autoscalingPolicy and "
            "spec.backends[].autoscalingPolicy cannot both be set; "
            "choose model-level or backend-level autoscaling, not both"
        ],
        id="14 two levels",
    ),
    pytest.param(
        booster_object("a" * 28, backend("b" * 33)),
        [
            f'{AT}.name: Invalid value: "{"b" * 33}": generated name "{"a" * 28}-{"b" * 33}" has '
            '62 characters, at most 50 are allowed for this backend (role "leader", '
            "up to 1 replicas)"
        ],
        id="16 long names",
    ),
    pytest.param(
        booster_object("demo", backend(), backend()),
        ['spec.backends[1]: Duplicate value: {"name":"b1"}'],
        id="17 one name twice",
    ),
    pytest.param(
        booster_object(
            "demo",
            disaggregated(workers=[worker("prefill"), worker("prefill"), worker("decode")]),
        ),
        [
            f"{AT}.workers: Invalid value: backend type vLLMDisaggregated requires exactly one "
            "'prefill' and exactly one 'decode' worker and no other worker type"
        ],
        id="18 two of a role",
    ),
    pytest.param(
        booster_object("demo", backend(workers=[worker(image="a b")])),
        [
            f'{AT}.workers[0].image: Invalid value: "a b": '
            "invalid container image reference: image cannot contain whitespace"
        ],
        id="20 blank in an image",
    ),
    *(
        pytest.param(
            booster_object(
                "demo", _scaled(1, scaleToZeroGracePeriod=text), autoscalingPolicy=policy()
            ),
            [f'{AT}.scaleToZeroGracePeriod: Invalid value: "{text}": {detail}'],
            id=f"21 grace period {text}",
        )
        for text, detail in (
            ("31m", "scaleToZeroGracePeriod cannot exceed 1800 seconds"),
            ("-1s", "scaleToZeroGracePeriod cannot be negative"),
            ("1d", "must be a duration such as 30s or 1m30s"),
        )
    ),
    pytest.param(
        booster_object("demo", backend(loraAdapters=[lora("demo")])),
        [
            f'{AT}.loraAdapters[0].name: Invalid value: "demo": '
            "lora name cannot be the same as model name"
        ],
        id="22 adapter called like the model",
    ),
    pytest.param(
        booster_object(
            "demo",
            backend(**BOUNDS, autoscalingPolicy=policy(behavior={"scaleUp": {"panicPolicy": {}}})),
        ),
        [
            f"{AT}.autoscalingPolicy.behavior.scaleUp.panicPolicy: Forbidden: "
            "panicPolicy is not supported by ModelBooster"
        ],
        id="23 panicPolicy",
    ),
    pytest.param(
        booster_object(
            "demo", backend(**BOUNDS, autoscalingPolicy=policy(behavior={"scaleDown": {}}))
        ),
        [
            f"{AT}.autoscalingPolicy.behavior: Forbidden: behavior is not supported by "
            "ModelBooster; create AutoscalingPolicy and AutoscalingPolicyBinding directly"
        ],
        id="23 behavior",
    ),
]


@pytest.mark.parametrize("obj", ACCEPTED)
def test_accepted(obj: Object) -> None:
    assert _faults(obj) == []


@pytest.mark.parametrize(("obj", "want"), REFUSED)
def test_refused(obj: Object, want: list[str]) -> None:
    assert _faults(obj) == want


@pytest.mark.parametrize(
    ("obj", "path", "words"),
    [
        pytest.param(booster_object("qwen2.5"), "metadata.name", "should match", id="15 a dot"),
        pytest.param(
            booster_object("demo", backend(modelURI="https://x")),
            f"{AT}.modelURI",
            "should match",
            id="24 unknown source",
        ),
        pytest.param({**booster_object(), "spec": []}, "spec", "must be of type", id="29 a list"),
    ],
)
def test_refused_by_the_schema(obj: Object, path: str, words: str) -> None:
    (fault,) = validate(obj, NOWHERE).faults
    assert str(fault.path) == path
    assert words in fault.message


def test_1_to_3_are_equivalent() -> None:
    forms = [
        booster_object("demo", backend()),
        booster_object(backend=backend(replicas=1)),
        booster_object(backend=backend()),
    ]
    meanings = [validate(obj, NOWHERE).model for obj in forms]
    shapes = {
        (form.name, form.min_replicas, form.max_replicas)
        for model in meanings
        if model is not None
        for form in model.backends
    }
    assert None not in meanings
    assert shapes == {("b1", 1, 1)}


def test_8_10_11_differ_in_scope() -> None:
    own = booster_object("demo", backend(**BOUNDS, autoscalingPolicy=policy()))
    single = booster_object(
        backend=backend(minReplicas=0, maxReplicas=2), autoscalingPolicy=policy()
    )
    whole = booster_object("demo", *SEVERAL, autoscalingPolicy=policy())
    scopes = [validate(obj, NOWHERE).model for obj in (own, single, whole)]
    assert [model and model.policy_scope for model in scopes] == [
        PolicyScope.BACKEND,
        PolicyScope.BACKEND,
        PolicyScope.MODEL,
    ]


def test_11_stores_only_the_rate() -> None:
    sent = booster_object("demo", *SEVERAL, autoscalingPolicy=policy())
    kept = defaulted(sent)
    assert kept["spec"].pop("costExpansionRatePercent") == 200
    assert kept == sent
    assert "costExpansionRatePercent" not in sent["spec"]


def test_19_warns() -> None:
    verdict = validate(booster_object("demo", backend(type="MindIE")), NOWHERE)
    assert verdict.warnings == (
        f"{AT}.type: MindIE is not served yet; nothing is made for it, because kthena's "
        "ModelServer knows only vLLM and SGLang",
    )


def test_25_old_fault_does_not_block_labels() -> None:
    old = booster_object("a" * 28, backend("b" * 33))
    new = booster_object("a" * 28, backend("b" * 33), metadata={"labels": {"team": "x"}})
    assert _faults(new, old=old) == []


def test_26_deleted_object_is_not_validated() -> None:
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert _faults(booster_object("demo", backend(**BOUNDS), metadata=going)) == []
    assert _faults(booster_object("demo", backend(**BOUNDS)), old=booster_object()) != []


def test_27_two_models_would_create_the_same_child() -> None:
    there = booster_object("a", backend("b-c"), namespace="default")
    new = booster_object("a-b", backend("c"), namespace="default")
    assert _faults(new, Context(lookup=lookup_among([there]))) == [
        f'{AT}.name: Duplicate value: "c": generated name "a-b-c" (ModelServing) '
        'is already used by ModelBooster "a"'
    ]
    elsewhere = booster_object("a-b", backend("c"), namespace="other")
    assert _faults(elsewhere, Context(lookup=lookup_among([there]))) == []
