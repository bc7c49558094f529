"""Whatever is asked, the API server and we say the same.

The objects are generated. `pytest --hypothesis-profile=thorough --timeout=0` on this file asks
about many more of them.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from pydantic import ValidationError

from app.apis.faults import schema_faults
from app.apis.modelbooster import ModelBooster
from app.apis.pruning import pruned
from app.validation import Context, validate
from app.values.fields import Cause
from app.values.meta import Object
from tests.builders import backend, booster_object, worker
from tests.controlplane.plane import ControlPlane
from tests.generated import BOOSTERS, mangled
from tests.sizes import examples
from tests.verdicts import Answer, Said, ask, said

pytestmark = pytest.mark.timeout(400)  # hundreds of requests on a busy machine

HIDES_RULES = frozenset(
    {
        Cause.REQUIRED,
        Cause.NOT_SUPPORTED,
        Cause.TOO_LONG,
        Cause.TOO_MANY,
        Cause.TYPE_INVALID,
    }
)
"""Faults of the schema after which the server does not evaluate the CEL rules."""


@given(obj=mangled())
@examples(300)
@example(obj=booster_object("m", backends=[3, backend(), backend()]))
@example(obj=booster_object("m", backends=[backend(), None, backend()]))
@example(obj=booster_object("m", backend(workers=[worker(resources={"limits": {"cpu": 2.5}})])))
@example(obj=booster_object("m", backend(minReplicas=1, routeWeight=101)))
@example(obj=booster_object("m", backend(workers=[worker()], replicas=2**63)))
@example(obj=booster_object("m", backend(workers=[worker(type=[])])))
@example(obj=booster_object("m", backend(workers=[worker(type={"a b": ["c: d"]})])))
def test_server_and_types_are_of_one_mind(plane: ControlPlane, obj: Object) -> None:
    kept, answer = pruned(obj), ask(plane.api, obj)
    assert kept.unknown == answer.unknown
    if answer.object is not None:
        assert answer.object["spec"] == kept.object["spec"]
    _same_faults(kept.object, answer)


@given(obj=BOOSTERS)
@examples(100)
def test_valid_object_is_stored_unchanged(plane: ControlPlane, obj: Object) -> None:
    answer = ask(plane.api, obj)
    assert answer.faults == frozenset()
    assert answer.object is not None
    assert answer.object["spec"] == pruned(obj).object["spec"]
    assert schema_faults(pruned(obj).object) == []


def _same_faults(obj: Object, answer: Answer) -> None:
    ours = {said(fault) for fault in schema_faults(obj)}
    theirs = {fault for fault in answer.faults if not fault.by_rule}
    rules = answer.faults - theirs
    if any(fault.words.endswith(': ""') for fault in theirs):  # Kubernetes 1.37 on a number
        ours, theirs = set(map(_without_type, ours)), set(map(_without_type, theirs))
    assert ours <= theirs
    assert [fault for fault in theirs - ours if not _is_said_of_both_types(fault, ours)] == []
    assert _fits(obj) == (not theirs)

    if not theirs:
        twins = {said(fault) for fault in validate(obj, Context()).faults}
        assert {fault for fault in twins if fault.by_rule} == rules
    elif any(Cause(fault.cause) in HIDES_RULES for fault in ours):
        assert rules == set()


def _without_type(fault: Said) -> Said:
    """Returns a fault without what was found, and without the format of a whole number."""
    words = re.sub(r'of type (integer|int32|int64): "\w*"$', "of type integer", fault.words)
    return fault._replace(words=words)


def _fits(obj: Object) -> bool:
    try:
        ModelBooster.model_validate(obj)
    except ValidationError:
        return False
    return True


def _is_said_of_both_types(fault: Said, ours: set[Said]) -> bool:
    """Whether it repeats for one type that a quantity may have what we say once of both."""
    both = fault.words.replace("of type integer:", "of type integer,string:")
    return both != fault.words and fault._replace(words=both) in ours
