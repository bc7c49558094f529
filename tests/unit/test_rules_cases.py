"""Each rule, piece of advice and change has its case, and says one thing of it."""

from __future__ import annotations

import pytest

from app.validation.inputs import rule_inputs
from app.validation.rules import RULES
from tests.answers.cases import LISTS, AnswerCase, cases, rule_name, rule_names

REFUSED = [pytest.param(case, id=case.rule) for case in cases("rules")]
BY_NAME = {rule_name(rule): rule for rule in RULES}


@pytest.mark.parametrize("name", LISTS)
def test_all_have_a_case_in_the_order_of_the_list(name: str) -> None:
    assert [case.rule for case in cases(name)] == rule_names(LISTS[name])


@pytest.mark.parametrize("case", REFUSED)
def test_the_case_of_a_rule_has_that_fault_and_no_other(case: AnswerCase) -> None:
    looked_at = rule_inputs(case.placed, case.context())
    told = {name: [str(fault) for fault in rule(looked_at)] for name, rule in BY_NAME.items()}
    assert told[case.rule] == case.said()
    assert len(case.said()) == 1
    # Two rules may ask for one fact, which then does not follow for one reason.
    assert {fault for faults in told.values() for fault in faults} == set(case.said())


@pytest.mark.parametrize("name", ["advice", "changes"])
def test_the_case_of_a_warning_is_warned_of_that_alone(name: str) -> None:
    for case in cases(name):
        assert case.verdict().faults == ()
        words = {text.partition(": ")[2] or text for text in case.said()}
        assert len(words) == 1, case.rule
