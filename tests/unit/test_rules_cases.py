"""Each rule and warning has a case, and that case has only this fault or warning."""

from __future__ import annotations

import pytest

from app.validation.inputs import rule_inputs
from app.validation.rules import RULES
from tests.answers.cases import LISTS, TOO_LARGE, AnswerCase, cases, rule_name, rule_names

REFUSED = [pytest.param(case, id=case.rule) for case in cases("rules")]
BY_NAME = {rule_name(rule): rule for rule in RULES}


@pytest.mark.parametrize("name", LISTS)
def test_every_rule_has_a_case_in_list_order(name: str) -> None:
    assert [case.rule for case in cases(name)] == rule_names(LISTS[name])


@pytest.mark.parametrize("case", REFUSED)
def test_case_has_only_the_fault_of_its_rule(case: AnswerCase) -> None:
    looked_at = rule_inputs(case.placed, case.context())
    told = {name: [str(fault) for fault in rule(looked_at)] for name, rule in BY_NAME.items()}
    assert told[case.rule] == case.said()
    assert len(case.said()) == 1
    # Two rules may call the same fact, which then raises the same fault.
    assert {fault for faults in told.values() for fault in faults} == set(case.said())


@pytest.mark.parametrize("name", ["advice", "changes"])
def test_case_has_only_its_own_warning(name: str) -> None:
    for case in cases(name):
        assert case.verdict().faults == ()
        words = {text.partition(": ")[2] or text for text in case.said()}
        if case.rule == "changes.endpoints_change":  # an edit of config restarts pods as well
            words = {text for text in words if "will be replaced, because of config" not in text}
        assert len(words) == 1, case.rule


def test_size_of_a_large_child() -> None:
    """Another pod template changes the number in this refusal."""
    assert TOO_LARGE.said() == [TOO_LARGE.refusal]
