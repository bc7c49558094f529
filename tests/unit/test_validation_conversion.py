"""Admission converts each object: an admitted object can always be turned into children."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.apis.kinds import MODEL_SERVING, PROFILES, Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.model.children import MAX_BYTES, Desired, size_bound
from app.validation import Context, validate, validate_and_convert
from app.validation.inputs import rule_inputs
from app.validation.rules import RULES
from app.validation.verdict import MAX_FAULTS
from app.values.fields import FieldError, SpecError
from app.values.meta import Object
from tests.builders import backend, booster_object, lora, policy, worker
from tests.generated import BOOSTERS
from tests.sizes import examples

OPTIONS = Options()


def whole_conversion(obj: Object, profile: Profile) -> tuple[list[Desired], list[FieldError]]:
    """Returns the desired children, or the faults."""
    model = canonical(ModelBooster.model_validate(obj))
    try:
        return desired_children(model, profile, OPTIONS), []
    except SpecError as exc:
        return [], [exc.fault]


# Two faults in each of sixteen backends.
MANY_FAULTS = booster_object(
    "demo",
    *(
        backend(f"b{n}", minReplicas=3, maxReplicas=2, workers=[worker(config={"port": 70000})])
        for n in range(16)
    ),
)


def as_told(faults: list[FieldError]) -> list[str]:
    """Returns the faults of a verdict; beyond ``MAX_FAULTS`` the last line counts the rest."""
    if len(faults) <= MAX_FAULTS:
        return list(map(str, faults))
    shown, rest = faults[: MAX_FAULTS - 1], len(faults) - (MAX_FAULTS - 1)
    return [*map(str, shown), f"spec: Invalid value: {rest} more faults"]


@examples(150)
@given(obj=BOOSTERS, profile=st.sampled_from(list(Profile)))
@example(obj=MANY_FAULTS, profile=Profile.B)
def test_admission_and_conversion_find_the_same_faults(obj: Object, profile: Profile) -> None:
    context = Context(OPTIONS, profile)
    case = rule_inputs(obj, context)
    by_rules = list(dict.fromkeys(fault for rule in RULES for fault in rule(case)))
    verdict = validate(obj, context)
    children, faults = whole_conversion(obj, profile)
    assert list(map(str, verdict.faults)) == as_told(by_rules or faults)
    if not verdict.faults:
        assert validate_and_convert(obj, context)[1] == children
        assert [draft.spec for draft in verdict.drafts] == [c.object["spec"] for c in children]


def environment(length: int, **fields: Any) -> Object:
    env = [{"name": "A", "value": "x" * length}]
    return booster_object("demo", backend("b1", env=env, **fields))


def scaled(length: int) -> Object:
    return environment(length, minReplicas=1, maxReplicas=10**6, autoscalingPolicy=policy())


def adapter(length: int) -> Object:
    uri = "hf://a/" + "x" * length
    return booster_object("demo", backend("b1", loraAdapters=[lora("a", artifactURL=uri)]))


def affinity(length: int) -> Object:
    term = {"matchExpressions": [{"key": "k", "operator": "In", "values": ["x" * length]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return booster_object(
        "demo", backend("b1", workers=[worker(affinity={"nodeAffinity": required})])
    )


def match(length: int) -> Object:
    uri = {"exact": "/" + "x" * length}
    return booster_object("demo", backend("b1"), modelMatch={"uri": uri})


def counted(children: list[Desired]) -> int:
    """Returns the bytes of the largest spec, without the fields that an autoscaler sets."""
    return max(
        len(
            orjson.dumps(
                {
                    key: value
                    for key, value in child.object["spec"].items()
                    if key != "replicas" or child.replica_bounds is None
                }
            )
        )
        for child in children
    )


@pytest.mark.parametrize("write", [environment, scaled, adapter, affinity, match])
def test_child_may_have_at_most_a_mebibyte(write: Any) -> None:
    """Finds the longest accepted text by bisection."""
    fits, too_long = 1, MAX_BYTES
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        _, faults = whole_conversion(write(middle), Profile.B)
        fits, too_long = (fits, middle) if faults else (middle, too_long)
    longest, shorter = (counted(whole_conversion(write(n), Profile.B)[0]) for n in (fits, fits - 1))
    assert MAX_BYTES - (longest - shorter) < longest <= MAX_BYTES
    _, (fault,) = whole_conversion(write(too_long), Profile.B)
    assert f"at most {MAX_BYTES} fit" in fault.message


def config(length: int) -> Object:
    return booster_object(
        "demo", backend("b1", workers=[worker(config={"hf-overrides": {"a": '"' * length}})])
    )


def claims(length: int) -> Object:
    entries = [{"secretRef": {"name": "x" * 200}}] * (length // 200)
    return booster_object("demo", backend("b1", envFrom=entries))


def everything(length: int) -> Object:
    part = length // 40
    both = [
        worker(kind, config={"hf-overrides": {"a": "\\" * part}}) for kind in ("prefill", "decode")
    ]
    return environment(
        part,
        type="vLLMDisaggregated",
        workers=both,
        loraAdapters=[lora(f"a{n}", artifactURL=f"hf://a/{n}" + "x" * part) for n in range(3)],
    )


@pytest.mark.parametrize(
    "write", [environment, scaled, adapter, affinity, config, claims, everything]
)
@pytest.mark.parametrize("length", [1, 1000, 20_000, 60_000])
def test_no_model_serving_exceeds_its_bound(write: Any, length: int) -> None:
    """Conversion measures a ModelServing only if the bound allows one that is too large."""
    model = canonical(ModelBooster.model_validate(write(length)))
    for profile in Profile:
        for child in desired_children(model, profile, OPTIONS):
            if child.resource == MODEL_SERVING:
                # What does not come from the user is far smaller than the share for it.
                size = len(orjson.dumps(child.object["spec"])) - 32 * 1024
                assert size < size_bound(model.backends[0]) - 256 * 1024


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_size_of_a_number_of_any_length(number: int) -> None:
    obj = booster_object("demo", backend("b1", workers=[worker(config={"seed": number})]))
    assert size_bound(canonical(ModelBooster.model_validate(obj)).backends[0]) > MAX_BYTES
    assert whole_conversion(obj, Profile.B)[1] == []


@pytest.mark.parametrize("profile", sorted(set(PROFILES.values())))
def test_model_server_is_always_small(profile: Profile) -> None:
    """Its size is not checked, because it holds only names, whose length is limited."""
    kinds = [
        worker(kind, config={"served-model-name": "\1" * 256}) for kind in ("prefill", "decode")
    ]
    obj = booster_object("m" * 24, backend("b" * 24, type="vLLMDisaggregated", workers=kinds))
    children, faults = whole_conversion(obj, profile)
    assert not faults
    (server,) = (c.object["spec"] for c in children if c.resource.kind == "ModelServer")
    assert len(orjson.dumps(server)) < MAX_BYTES / 100
