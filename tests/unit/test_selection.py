"""Rules that are left out of a review would find nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.kinds import Profile
from app.lookup import StoreLookup
from app.validation import Context
from app.validation.inputs import rule_inputs
from app.validation.rules import ADVICE, RULES
from app.validation.selection import Selection
from app.validation.subjects import Subject
from app.values.meta import Object
from tests.answers.cases import LISTS, cases
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker
from tests.generated import BOOSTERS
from tests.sizes import examples


def subjects(obj: Object, context: Context | None = None) -> set[Subject]:
    present = rule_inputs(obj, context or Context()).subjects
    return {subject for subject, has in zip(Subject, present, strict=True) if has}


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, set()),
        ({"backends": [backend(autoscalingPolicy=policy())]}, {Subject.POLICY}),
        ({"autoscalingPolicy": policy()}, {Subject.POLICY}),
        ({"backends": [backend(workers=[worker(config={"port": 1})])]}, {Subject.CONFIG}),
        ({"backends": [backend(workers=[worker(config={}, pods=1)])]}, set()),
        ({"backends": [backend(workers=[worker(pods=2)])]}, {Subject.NODES}),
        ({"backends": [disaggregated()]}, {Subject.DISAGGREGATED}),
        ({"backends": [backend(), disaggregated()]}, {Subject.DISAGGREGATED}),
        ({"backends": [backend(loraAdapters=[lora("a")])]}, {Subject.ADAPTERS}),
        ({"backends": [backend(env=[{"name": "A"}])]}, {Subject.ENVIRONMENT}),
        ({"backends": [backend(envFrom=[{}])]}, {Subject.ENVIRONMENT}),
        (
            {"backends": [backend(workers=[worker(resources={"limits": {"cpu": 1}})])]},
            {Subject.RESOURCES},
        ),
        ({"backends": [backend(workers=[worker(tolerations=[{}])])]}, {Subject.PLACEMENT}),
        (
            {"backends": [backend(workers=[worker(affinity={"nodeAffinity": {}})])]},
            {Subject.PLACEMENT},
        ),
        ({"backends": [backend(runtimeClassName="x")]}, {Subject.PLACEMENT}),
        ({"backends": [backend(modelURI="s3://bucket/x")]}, {Subject.OBJECT_STORAGE}),
        ({"backends": [backend(cacheWarmup={})]}, {Subject.WARMUP}),
        (
            {"backends": [backend(loraAdapters=[lora("a", artifactURL="obs://bucket/x")])]},
            {Subject.ADAPTERS, Subject.OBJECT_STORAGE},
        ),
        # Rules look at both forms, even if only one is in effect.
        (
            {"backends": [backend()], "backend": backend()},
            set(Subject),
        ),
    ],
)
def test_subjects_of_an_object(fields: dict[str, Any], want: set[Subject]) -> None:
    assert subjects(booster_object("demo", **fields)) == want


def test_other_objects_are_a_subject() -> None:
    lookup = StoreLookup({}, lambda: True)

    assert subjects(booster_object(), Context(lookup=lookup)) == {Subject.OTHERS}


def assert_nothing_is_lost(obj: Object, context: Context) -> None:
    inputs = rule_inputs(obj, context)
    for rules in (RULES, ADVICE):
        left_out = set(rules) - set(Selection(rules).about(inputs.subjects))
        assert {rule: found for rule in left_out if (found := list(rule(inputs)))} == {}


def test_rules_that_are_left_out_find_nothing_in_the_cases() -> None:
    for name in LISTS:
        for case in cases(name):
            assert_nothing_is_lost(case.placed, case.context())


@examples(50)
@given(obj=BOOSTERS, profile=st.sampled_from(list(Profile)))
def test_rules_that_are_left_out_find_nothing(obj: Object, profile: Profile) -> None:
    assert_nothing_is_lost(obj, Context(profile=profile))


def test_rules_keep_their_order() -> None:
    everything = (True,) * len(Subject)

    assert Selection(RULES).about(everything) == RULES
    assert Selection(ADVICE).about(everything) == ADVICE
