"""Every child of every case matches the golden files; ``make golden`` rewrites them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from app.apis.kinds import Profile
from app.convert.options import Options
from app.validation import Context, validate
from tests.golden.cases import CASES, FOLDER, PROFILES, booster, children, files, kept

UNROUTED = {("sglang-disaggregated", Profile.A): ["spec.backends[0].type"]}
"""Faults of a case for a release of kthena that cannot route it."""


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES)
def test_children(case: str) -> None:
    for profile in PROFILES:
        assert children(case, profile) == kept(case, profile)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_files_are_those_that_make_golden_writes(case: str) -> None:
    there = {p: p.read_text() for p in (FOLDER / case).glob("*.yaml") if p.name != "input.yaml"}

    assert dict(files(case)) == there


@pytest.mark.parametrize("case", CASES)
def test_webhook_accepts_every_case(case: str) -> None:
    for profile in PROFILES:
        context = Context(options=Options(), profile=profile, lookup=None)
        faults = [str(fault.path) for fault in validate(booster(case), context).faults]
        assert faults == UNROUTED.get((case, profile), [])


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Garbage is searched for only where the test says so."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("case", CASES)
def test_a_verdict_leaves_nothing_for_the_garbage_collector(case: str) -> None:
    """Of large objects it would keep many in memory, until a collection frees them."""
    obj = booster(case)
    found = []
    for _ in range(3):
        gc.collect()
        validate(obj, Context(), old=obj)
        found.append(gc.collect())

    # The first one fills caches, and other threads leave something now and then.
    assert min(found) == 0, found
