"""The status of a ModelBooster: every state, and every transition between states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.errors import (
    ApiError,
    ChildConflict,
    Conflict,
    Forbidden,
    Invalid,
    InvalidSpec,
    NotFound,
    Unreachable,
)
from app.values.meta import Object
from controller.plan.actions import ChildRef, WaitForDeletion
from controller.reconcile.failure import Failure
from controller.reconcile.plan_result import FailureStreak, PlanResult
from controller.reconcile.summary import summarize
from controller.status.booster_status import (
    MAX_MESSAGE_LENGTH,
    StatusChange,
    status_change,
    status_of,
)
from controller.status.conditions import (
    ConditionSet,
    deployed,
    failing,
    readiness_unknown,
    reconciling,
    retrying,
)
from controller.status.readiness import BackendReport, Readiness
from tests.builders import model, stored_object

NOW, LATER = "2031-01-01T00:00:00Z", "2031-01-01T00:01:00Z"


def report(name: str = "a", ready: Readiness = Readiness.YES, **more: Any) -> BackendReport:
    return BackendReport(name, f"m-{name}", ready, **more)


READY = (report(),)
NOT_READY = (report(ready=Readiness.NO, message="why"),)
NOT_KNOWN = (report(ready=Readiness.UNKNOWN),)
AT_ZERO = (report(scaled_to_zero=True),)


def booster(finding: ConditionSet | None = None, generation: int = 1) -> Object:
    """Returns a ModelBooster whose status is about generation 1."""
    obj = stored_object("m")
    if finding is not None:
        obj["status"] = status_of(obj, finding, NOW, model("m"))
    else:
        obj["status"] = {"observedGeneration": -1}
    obj["metadata"]["generation"] = generation
    return obj


def said(status: Object) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in status["conditions"]]


STATES = {
    "S1": (reconciling(), "UUU", ["Reconciling"] * 3),
    "S2": (retrying("x"), "UUU", ["RetryingTransientError", "StatusUnknown"]),
    "S4": (deployed(NOT_READY), "TFF", ["ModelCreating", "ModelProcessing", "NoFailure"]),
    "S5": (deployed(READY), "TTF", ["ModelCreating", "ModelAvailable", "NoFailure"]),
    "S6": (deployed(AT_ZERO), "TTF", ["ModelCreating", "ScaledToZero", "NoFailure"]),
    "S7": (deployed(NOT_KNOWN), "TUF", ["ModelCreating", "StatusUnknown", "NoFailure"]),
    "S7 by error": (
        readiness_unknown("x", READY),
        "TUF",
        ["ModelCreating", "StatusUnknown", "NoFailure"],
    ),
    "S8": (failing("ValidationFailed", "x"), "FFT", ["ValidationFailed"] * 3),
    "S9": (failing("ChildApplyFailed", "x"), "FFT", ["ChildApplyFailed"] * 3),
}


@pytest.mark.parametrize(("finding", "letters", "reasons"), STATES.values(), ids=STATES)
def test_each_state_sets_all_conditions(
    finding: ConditionSet, letters: str, reasons: list[str]
) -> None:
    status = status_of(booster(), finding, NOW, model("m"))
    full = {"T": "True", "F": "False", "U": "Unknown"}
    if len(reasons) == 2:
        reasons = [*reasons, reasons[0]]
    kinds = ["Initialized", "Active", "Failed", "Ready"]
    want = [
        (kind, full[letter], reason)
        for kind, letter, reason in zip(
            kinds, [*letters, letters[1]], [*reasons, reasons[1]], strict=True
        )
    ]
    if letters == "FFT":
        want.append(("Stalled", "True", reasons[2]))
    assert said(status) == want
    assert {c["observedGeneration"] for c in status["conditions"]} == {1}
    assert {c["lastTransitionTime"] for c in status["conditions"]} == {NOW}
    assert status["observedGeneration"] == (-1 if letters == "UUU" else 1)
    assert status["modelName"] == "m"


@pytest.mark.parametrize("finding", [state[0] for state in STATES.values()], ids=STATES)
def test_conditions_never_contradict_each_other(finding: ConditionSet) -> None:
    status = {c["type"]: c["status"] for c in status_of(booster(), finding, NOW)["conditions"]}
    initialized, active, failed = (status[k] for k in ("Initialized", "Active", "Failed"))
    assert not (failed == "True" and active == "True")
    assert initialized != "False" or failed == "True"
    assert active != "True" or (initialized == "True" and failed == "False")
    assert ("Stalled" in status) == (failed == "True")


@pytest.mark.parametrize(
    ("backends", "letters", "message"),
    [
        pytest.param(
            [Readiness.YES, Readiness.YES], "TTF", "ModelBooster is ready", id="all ready"
        ),
        pytest.param(
            [Readiness.YES, Readiness.NO], "TFF", "1/2 backends ready; not ready: b1", id="mixed"
        ),
        pytest.param(
            [Readiness.UNKNOWN, Readiness.NO],
            "TFF",
            "0/2 backends ready; not ready: b1",
            id="no beats unknown",
        ),
        pytest.param(
            [Readiness.YES, Readiness.UNKNOWN], "TUF", "nothing is reported about: b1", id="unknown"
        ),
    ],
)
def test_the_worst_backend_decides(backends: list[Readiness], letters: str, message: str) -> None:
    reports = tuple(report(f"b{i}", ready) for i, ready in enumerate(backends))
    finding = deployed(reports)
    three = (finding.initialized, finding.active, finding.failed)
    assert "".join(s.status[0] for s in three) == letters
    assert finding.active.message == message


def test_some_at_zero_is_not_scaled_to_zero() -> None:
    assert deployed((*AT_ZERO, report("b"))).active.reason == "ModelAvailable"


@pytest.mark.parametrize("ready", [Readiness.YES, Readiness.NO], ids=["ready", "not ready"])
def test_an_unserved_type_fails_while_others_are_served(ready: Readiness) -> None:
    unserved = BackendReport("s", "", Readiness.NO, unserved_type="MindIE")
    finding = deployed((report(ready=ready), unserved))
    assert finding.initialized.status == "True"
    assert (finding.active.status, finding.active.reason) == ("False", "UnsupportedBackendType")
    assert (finding.failed.status, finding.failed.reason) == ("True", "UnsupportedBackendType")
    assert "s (MindIE)" in finding.failed.message


def test_notes_are_appended_to_active() -> None:
    assert deployed(READY, ["note"]).active.message == "ModelBooster is ready; note"


# Transitions: the new state, by what happened in the pass and by the state before.

ROUTE = ChildRef("ModelRoute", "m")
REFUSED = Failure(ROUTE, Invalid(422, "Invalid", "bad"))
BUSY = Failure(ROUTE, ApiError(503, "", "busy"))
MOVED = Failure(ROUTE, Conflict(409, "Conflict", "moved"))
FOREIGN = Failure(ROUTE, ChildConflict("ModelRoute", "m"))

BEFORE = {
    "S0": booster(),
    "S1": booster(reconciling()),
    "S2": booster(retrying("x")),
    "S4": booster(deployed(NOT_READY)),
    "S5": booster(deployed(READY)),
    "S7": booster(deployed(NOT_KNOWN)),
    "S8": booster(failing("ValidationFailed", "x")),
    "S9": booster(failing("ChildApplyFailed", "x")),
    "S5, edited": booster(deployed(READY), generation=2),
    "S9, edited": booster(failing("ChildApplyFailed", "x"), generation=2),
}
A_WHILE = FailureStreak(passes=2, failing_seconds=1)
OFTEN = FailureStreak(passes=5, failing_seconds=1)
LONG = FailureStreak(passes=2, failing_seconds=61)

MET: dict[
    str, tuple[list[Failure], FailureStreak | None, tuple[BackendReport, ...], dict[str, str]]
] = {
    "all is well": ([], None, READY, dict.fromkeys(BEFORE, "S5")),
    "some backend is not ready": ([], None, NOT_READY, dict.fromkeys(BEFORE, "S4")),
    "readiness is not known": ([], None, NOT_KNOWN, dict.fromkeys(BEFORE, "S7")),
    "all at zero": ([], None, AT_ZERO, dict.fromkeys(BEFORE, "S6")),
    "a child is rejected": ([REFUSED], None, READY, dict.fromkeys(BEFORE, "S9")),
    "a name is taken": ([FOREIGN], None, READY, dict.fromkeys(BEFORE, "S8")),
    "a conflict": ([MOVED], None, READY, dict.fromkeys(BEFORE, "=")),
    "a transient error": (
        [BUSY],
        A_WHILE,
        READY,
        {
            **dict.fromkeys(BEFORE, "="),
            **dict.fromkeys(("S0", "S1", "S2", "S5, edited", "S9, edited"), "S2"),
        },
    ),
    "a repeated error": (
        [BUSY],
        OFTEN,
        READY,
        {**dict.fromkeys(BEFORE, "S9"), "S5": "S7", "S7": "S7"},
    ),
    "a lasting error": (
        [BUSY],
        LONG,
        READY,
        {**dict.fromkeys(BEFORE, "S9"), "S5": "S7"},
    ),
}


def name_of(finding: ConditionSet | None) -> str:
    if finding is None:
        return "="
    letters = "".join(s.status[0] for s in (finding.initialized, finding.active, finding.failed))
    reason = finding.active.reason
    if letters == "UUU":
        return "S1" if reason == "Reconciling" else "S2"
    if letters == "FFT":
        return "S9" if reason == "ChildApplyFailed" else "S8"
    return {"TFF": "S4", "TUF": "S7"}.get(letters) or ("S6" if "Zero" in reason else "S5")


@pytest.mark.parametrize(
    ("met", "before", "want"),
    [
        pytest.param(met, before, want, id=f"{before}: {met}")
        for met, (_, _, _, wanted) in MET.items()
        for before, want in wanted.items()
    ],
)
def test_transitions(met: str, before: str, want: str) -> None:
    failures, trouble, backends, _ = MET[met]
    finding = summarize(BEFORE[before], PlanResult(failures=failures), backends, (), trouble)
    assert name_of(finding) == want


@pytest.mark.parametrize(
    ("ours", "seconds", "before", "want"),
    [
        pytest.param(False, 1, "S0", "S2", id="a predecessor's child, new"),
        pytest.param(False, 1, "S5", "S5", id="a predecessor's child, settled"),
        pytest.param(False, 60, "S5", "S8", id="a predecessor's child that is not deleted"),
        pytest.param(True, 1, "S2", "S2", id="our own child, new"),
        pytest.param(True, 59, "S5", "S5", id="our own child, settled"),
        pytest.param(True, 60, "S5", "S9", id="our own child that is not deleted"),
    ],
)
def test_waiting(ours: bool, seconds: float, before: str, want: str) -> None:
    result = PlanResult(waiting=[WaitForDeletion(ROUTE, ours)])
    finding = summarize(BEFORE[before], result, READY, (), FailureStreak(waiting_seconds=seconds))
    assert name_of(finding) == want
    assert finding is not None
    if want in ("S2", "S8", "S9"):
        assert 'waiting for ModelRoute "m"' in finding.initialized.message


# Messages.


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        pytest.param(
            Invalid(422, "Invalid", "bad"),
            "ChildApplyFailed",
            'Rejected: ModelRoute "m": bad',
            id="422",
        ),
        pytest.param(
            Invalid(500, "", "failed to create typed patch object: x"),
            "ChildApplyFailed",
            'Rejected: ModelRoute "m": failed to create typed patch object: x',
            id="a field that the schema lacks",
        ),
        pytest.param(
            Invalid(400, "BadRequest", "bad"), "ChildApplyFailed", 'ModelRoute "m": bad', id="400"
        ),
        pytest.param(
            Forbidden(403, "Forbidden", "may not"),
            "ChildApplyFailed",
            'Forbidden: ModelRoute "m": may not',
            id="403",
        ),
        pytest.param(
            Forbidden(403, "Forbidden", "exceeded quota: q"),
            "ChildApplyFailed",
            'QuotaExceeded: ModelRoute "m": exceeded quota: q',
            id="quota",
        ),
        pytest.param(
            NotFound(404, "", "404 page not found"),
            "ChildApplyFailed",
            'KindUnavailable: ModelRoute "m": the API server does not serve this kind; install the '
            "CustomResourceDefinition that kthena has for it",
            id="no such kind",
        ),
        pytest.param(
            ChildConflict("ModelRoute", "m", 'Other "x"'),
            "ChildNameConflict",
            'ModelRoute "m" exists and belongs to Other "x"; it is left alone: delete or rename '
            "one of the two",
            id="a taken name",
        ),
    ],
)
def test_message_of_a_rejected_child(error: Exception, reason: str, message: str) -> None:
    result = PlanResult(failures=[BUSY, Failure(ROUTE, error), MOVED])
    finding = summarize(booster(), result, ())
    assert finding is not None
    assert (finding.failed.reason, finding.failed.message) == (reason, message)


def test_without_kthena_there_is_one_message() -> None:
    unknown = NotFound(404, "", "404 page not found")
    children = (
        ChildRef("ModelServer", "m-b1"),
        ChildRef("ModelServing", "m-b1"),
        ChildRef("ModelServing", "m-b2"),
        ChildRef("ModelRoute", "m"),
    )
    finding = summarize(
        booster(), PlanResult(failures=[Failure(child, unknown) for child in children]), ()
    )
    assert finding is not None
    assert finding.failed.message == (
        "KindUnavailable: kthena is not installed: the API server does not serve ModelRoute, "
        "ModelServer, ModelServing; install kthena, and this goes on within 15 s"
    )


def test_messages_of_rejected_children_are_joined_without_duplicates() -> None:
    other = replace(REFUSED, child=ChildRef("ModelServer", "s"))
    finding = summarize(booster(), PlanResult(failures=[REFUSED, other, REFUSED]), ())
    assert finding is not None
    assert finding.failed.message == (
        'Rejected: ModelRoute "m": bad; Rejected: ModelServer "s": bad'
    )


def test_a_failure_says_that_existing_children_keep_serving() -> None:
    backends = (report(ready_replicas=1),)
    finding = summarize(booster(), PlanResult(failures=[REFUSED]), backends)
    assert finding is not None
    assert finding.failed.message.endswith("left as it is, and goes on serving")


@pytest.mark.parametrize(
    "error",
    [
        NotFound(404, "NotFound", "x", details={"kind": "namespaces", "name": "n"}),
        Forbidden(403, "Forbidden", "x", details={"causes": [{"reason": "NamespaceTerminating"}]}),
    ],
    ids=["gone", "terminating"],
)
def test_a_terminating_namespace_is_not_reported(error: Exception) -> None:
    assert summarize(booster(), PlanResult(failures=[BUSY, Failure(ROUTE, error)]), READY) is None


@pytest.mark.parametrize(
    "error",
    [
        Conflict(409, "Conflict", "x"),
        NotFound(404, "NotFound", "x", details={"name": "m", "kind": "modelroutes"}),
        Invalid(422, "Invalid", "x", details={"causes": [{"field": "metadata.uid"}]}),
    ],
    ids=["moved on", "gone", "another has its name"],
)
def test_a_stale_read_is_not_reported(error: Exception) -> None:
    assert summarize(booster(), PlanResult(failures=[Failure(ROUTE, error)]), READY) is None


def test_a_missing_response_is_a_transient_error() -> None:
    result = PlanResult(failures=[Failure(ROUTE, Unreachable("reset"))])
    finding = summarize(booster(), result, READY)
    assert finding is not None
    assert finding.initialized.message == 'ModelRoute "m": reset'


# Transition times, and which changes are written.


def test_a_transition_time_changes_only_with_its_status() -> None:
    before = booster(deployed(NOT_READY))
    times = {
        c["type"]: c["lastTransitionTime"]
        for c in status_of(before, deployed(READY), LATER)["conditions"]
    }
    assert times == {"Initialized": NOW, "Active": LATER, "Failed": NOW, "Ready": LATER}


def test_transition_times_do_not_go_back_with_the_clock() -> None:
    before = booster(deployed(NOT_READY))
    status = status_of(before, deployed(READY), "2030-01-01T00:00:00Z")
    assert {c["lastTransitionTime"] for c in status["conditions"]} == {NOW}


def test_a_message_is_cut_to_the_limit_of_the_api_server() -> None:
    status = status_of(booster(), failing("ValidationFailed", "x" * 40000), NOW)
    assert {len(c["message"]) for c in status["conditions"]} == {MAX_MESSAGE_LENGTH}


@pytest.mark.parametrize(
    ("before", "after", "generation", "want"),
    [
        pytest.param(READY, READY, 1, StatusChange.NONE, id="nothing new"),
        pytest.param(READY, READY, 2, StatusChange.STATE, id="a new generation"),
        pytest.param(NOT_READY, READY, 1, StatusChange.STATE, id="another state"),
        pytest.param(
            (report(), report("b", Readiness.NO), report("c", Readiness.NO)),
            (report(), report("b"), report("c", Readiness.NO)),
            1,
            StatusChange.DETAILS,
            id="one more backend is ready, but not all",
        ),
        pytest.param(READY, (report(replicas=2),), 1, StatusChange.DETAILS, id="a counter"),
        pytest.param(
            NOT_READY,
            (report(ready=Readiness.NO, message="y"),),
            1,
            StatusChange.DETAILS,
            id="a message",
        ),
    ],
)
def test_status_change(
    before: tuple[BackendReport, ...],
    after: tuple[BackendReport, ...],
    generation: int,
    want: StatusChange,
) -> None:
    obj = booster(deployed(before), generation)
    assert status_change(obj, status_of(obj, deployed(after), LATER, model("m"))) is want


def test_conditions_of_kthena_are_replaced() -> None:
    obj = booster()
    obj["status"] = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Failed",
                "status": "True",
                "reason": "ModelAbnormal",
                "message": "x",
                "lastTransitionTime": NOW,
            }
        ],
        "backendStatuses": [{"name": "m-a", "replicas": 1}],
    }
    status = status_of(obj, deployed(READY), LATER, model("m"))
    assert status_change(obj, status) is StatusChange.STATE
    assert ("Failed", "False", "NoFailure") in said(status)
    assert [b["name"] for b in status["backendStatuses"]] == ["a"]


def test_an_invalid_spec_keeps_the_status_of_its_backends() -> None:
    obj = booster(deployed(READY), generation=2)
    status = status_of(obj, failing("ValidationFailed", str(InvalidSpec([]))), LATER)
    assert status["backendStatuses"] == obj["status"]["backendStatuses"]


@pytest.mark.parametrize(
    ("spec", "want"),
    [({"name": "qwen"}, "qwen"), ({}, "m"), ({"name": 3}, "m"), (None, "m"), ([], "m")],
    ids=repr,
)
def test_an_invalid_spec_still_reports_the_model_name(spec: Any, want: str) -> None:
    obj = {**booster(), "spec": spec}
    assert status_of(obj, failing("ValidationFailed", "x"), NOW)["modelName"] == want
