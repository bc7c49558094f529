"""What kubectl prints for each rule, word for word: real kubectl, real server, our own webhook.

The cases of the rules are in ``tests/answers``, with what ``docs/validation.md`` says about them.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from app.apis.kinds import DEFAULT_RELEASE, MODEL_BOOSTER, MODEL_ROUTE
from app.validation.rules import ADMISSION_ONLY
from app.values.meta import Object
from tests.answers.cases import LISTS, TOO_LARGE, AnswerCase, cases, rule_names
from tests.builders import backend, booster_object, disaggregated, worker
from tests.conftest import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.e2e.admission import (
    also_asked,
    apply,
    broken,
    ensure_namespace,
    is_failed,
    is_initialized,
    is_taken,
    nobody_asked,
)
from tests.e2e.installation import eventually
from tests.world import Admin

KINDS = {resource.kind: resource for resource in (MODEL_BOOSTER, MODEL_ROUTE)}
NAMESPACE = "NAMESPACE"
"""Placeholder for the test's own namespace in the expected output."""


def put_beside(case: AnswerCase, admin: Admin) -> None:
    for obj in case.others:
        namespace = obj["metadata"].get("namespace", admin.namespace)
        if namespace != admin.namespace:
            ensure_namespace(admin.api, namespace)
        Admin(admin.api, namespace).put(KINDS[obj["kind"]], obj)


def asked(list_name: str) -> list[Any]:
    """Returns the cases of which the installed webhook speaks."""
    return [pytest.param(case, id=case.rule) for case in cases(list_name) if not is_rare(case)]


def is_rare(case: AnswerCase) -> bool:
    """Whether it takes another release or setting, or a webhook that has only just started."""
    return case.reading or case.release != DEFAULT_RELEASE or not case.cache_warmup


@pytest.fixture
def here(case: AnswerCase, admin: Admin) -> AnswerCase:
    """The case, with names that no other test's namespace has."""
    return replace(
        case,
        written=_renamed(case.written, admin.namespace),
        before=None if case.before is None else _renamed(case.before, admin.namespace),
        beside=tuple(_renamed(obj, admin.namespace) for obj in case.beside),
        kubectl=_own(case.kubectl, admin.namespace),
    )


def _renamed(part: Object, namespace: str) -> Object:
    named = {**part, "metadata": {"name": "demo", **part.get("metadata", {})}}
    renamed: Object = json.loads(_own(json.dumps(named), namespace))
    return renamed


def _own(text: str, namespace: str) -> str:
    return re.sub(r"\bdemo\b", namespace, text).replace(NAMESPACE, namespace)


@pytest.mark.parametrize("case", asked("rules"))
def test_invalid_objects_are_rejected(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    put_beside(here, admin)
    if here.beside:  # the webhook compares with what its informers have seen
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").code == 1)

    said = apply(kubectl, here.object)

    assert (said.stderr, said.stdout, said.code) == (here.kubectl, "", 1)


@pytest.mark.parametrize("case", asked("advice"))
def test_warnings_are_printed(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    put_beside(here, admin)
    if here.beside:
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").stderr)

    said = apply(kubectl, here.object)

    name = here.object["metadata"]["name"]
    created = f"modelbooster.workload.serving.volcano.sh/{name} created\n"
    assert (said.stderr, said.stdout, said.code) == (here.kubectl, created, 0)


def rare(*lists: str) -> list[Any]:
    """Returns the cases of which the installed webhook does not speak."""
    return [pytest.param(c, id=c.rule) for name in lists for c in cases(name) if is_rare(c)]


@pytest.mark.parametrize("case", rare("rules"))
def test_another_webhook_rejects_invalid_objects(
    kubectl: Kubectl, plane: ControlPlane, admin: Admin, here: AnswerCase
) -> None:
    """One for another release of kthena; the installed one may warn of the same object."""
    with also_asked(plane, admin.namespace, here.context()):
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").code == 1)

        said = apply(kubectl, here.object)

    assert said.code == 1
    assert said.stderr.endswith(here.kubectl)


@pytest.mark.parametrize("case", rare("advice", "changes"))
def test_warnings_of_another_webhook_are_printed(
    kubectl: Kubectl, plane: ControlPlane, admin: Admin, here: AnswerCase
) -> None:
    """One for another release of kthena, or one that has only just started."""
    with also_asked(plane, admin.namespace, here.context()):
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").stderr)

        said = apply(kubectl, here.object)

    name = here.object["metadata"]["name"]
    created = f"modelbooster.workload.serving.volcano.sh/{name} created\n"
    assert (said.stderr, said.stdout, said.code) == (here.kubectl, created, 0)


@pytest.mark.parametrize("case", asked("changes"))
def test_warnings_of_an_edit_are_printed(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    old = here.old
    assert old is not None
    name = admin.create(MODEL_BOOSTER, old)["metadata"]["name"]
    # kubectl replaces the version that it reads: the controller must have said its piece by then.
    admin.until(MODEL_BOOSTER, name, lambda o: "conditions" in o["status"])

    said = kubectl("replace", "-f", "-", stdin=yaml.safe_dump(here.object))

    replaced = f"modelbooster.workload.serving.volcano.sh/{admin.namespace} replaced\n"
    assert (said.stderr, said.stdout, said.code) == (here.kubectl, replaced, 0)


POLICY = {"metrics": [{"metricName": "m", "targetValue": 1}]}
ROOM: Object = {"minReplicas": 1, "maxReplicas": 3, "scalingCost": 1}
UNCHECKED = (
    "* <nil>: Invalid value: null: some validation rules were not checked because the object was "
    "invalid; correct the existing errors to complete validation\n"
)
DEFINED = [
    pytest.param(
        booster_object("qwen2.5"),
        'metadata.name: Invalid value: "qwen2.5": metadata.name in body should match '
        "'^[a-z]([-a-z0-9]*[a-z0-9])?$'\n",
        id="a dot in the name",
    ),
    pytest.param(
        booster_object("demo", backend(), backend()),
        'spec.backends[1]: Duplicate value: {"name":"b1"}\n',
        id="one name twice",
    ),
    pytest.param(
        booster_object("demo", backend(modelURI="https://x")),
        'spec.backends[0].modelURI: Invalid value: "https://x": spec.backends[0].modelURI in body '
        "should match '^(hf://|s3://|obs://|pvc://|ms://).+'\n",
        id="no source that is known",
    ),
    pytest.param(
        booster_object("demo", backend(type="TGI")),
        '\n* spec.backends[0].type: Unsupported value: "TGI": supported values: "vLLM", '
        '"vLLMDisaggregated", "SGLang", "SGLangDisaggregated", "MindIE", "MindIEDisaggregated"\n'
        + UNCHECKED,
        id="no type that is known",
    ),
    pytest.param(
        booster_object("demo", backend(routeWeight=101)),
        "spec.backends[0].routeWeight: Invalid value: 101: spec.backends[0].routeWeight in body "
        "should be less than or equal to 100\n",
        id="out of range",
    ),
    *(
        pytest.param(
            booster_object("demo", backend(**ROOM, **written), autoscalingPolicy=POLICY),
            f'spec.backends[0].{field}: Invalid value: "{kind}": {detail}\n',
            id=name,
        )
        for name, written, field, kind, detail in (
            (
                "negative time",
                {"scaleToZeroGracePeriod": "-1s"},
                "scaleToZeroGracePeriod",
                "string",
                "scaleToZeroGracePeriod cannot be negative",
            ),
            (
                "no time",
                {"scaleToZeroGracePeriod": "1d"},
                "scaleToZeroGracePeriod",
                "string",
                "must be a duration such as 30s or 1m30s",
            ),
            (
                "two workers",
                {"workers": [worker(), worker()]},
                "workers",
                "object",
                "backend types vLLM, SGLang and MindIE require exactly one worker, of type "
                "'server'",
            ),
            (
                "server among others",
                {"type": "MindIEDisaggregated"},
                "workers",
                "object",
                "backend type MindIEDisaggregated does not accept a worker of type 'server'",
            ),
        )
    ),
]


@pytest.mark.parametrize(("obj", "text"), DEFINED)
def test_crd_rejects_invalid_objects(kubectl: Kubectl, obj: Object, text: str) -> None:
    said = apply(kubectl, obj)
    name = obj["metadata"]["name"]
    assert said.stderr == f'The ModelBooster "{name}" is invalid: {text}'
    assert (said.stdout, said.code) == ("", 1)


def test_controller_reports_the_same_faults_without_webhook(
    plane: ControlPlane, admin: Admin
) -> None:
    """Except for those of rules that hold at admission only: it serves these objects."""
    ours = [case for case in cases("rules") if not case.is_by_definition and not case.beside]
    later = set(rule_names(ADMISSION_ONLY))
    renamed = [
        replace(case, written=_renamed(case.written, f"c{position}"))
        for position, case in enumerate(ours)
    ]
    assert len(renamed) > 20
    with nobody_asked(plane):
        for case in renamed:
            eventually(lambda: is_taken(admin, case.object))  # noqa: B023  # asked at once
    for case in renamed:
        name = case.object["metadata"]["name"]
        if case.rule in later:
            admin.until(MODEL_BOOSTER, name, is_initialized)
            continue
        stored = admin.until(MODEL_BOOSTER, name, is_failed)
        conditions = {entry["type"]: entry for entry in stored["status"]["conditions"]}
        assert conditions["Failed"]["reason"] == "ValidationFailed"
        assert conditions["Failed"]["message"] == case.said()[0], case.rule


@pytest.mark.parametrize("name", LISTS)
def test_every_rule_has_a_case_here(name: str) -> None:
    shown = [param.values[0] for param in (*asked(name), *rare(name))]
    told = {case.rule for case in shown if case.kubectl}
    assert [rule for rule in rule_names(LISTS[name]) if rule not in told] == []


def test_too_large_object_is_rejected(kubectl: Kubectl) -> None:
    """The conversion refuses this, not a rule: one variable is in several containers."""
    said = kubectl("create", "-f", "-", stdin=yaml.safe_dump(TOO_LARGE.object))
    assert (said.stderr, said.stdout, said.code) == (TOO_LARGE.kubectl, "", 1)


BOUNDS = (
    '* spec.backends[{}]: Invalid value: "minReplicas=1, maxReplicas=3": '
    "minReplicas and maxReplicas must be equal and > 0 when no autoscaling is set\n"
)
IMAGE = (
    '* spec.backends[1].workers[0].image: Invalid value: "a b": '
    "invalid container image reference: image cannot contain whitespace\n"
)
SEVERAL = [
    pytest.param(
        broken(backend("c", scalingCost=1, workers=[worker(image="a b")])),
        BOUNDS.format(0)
        + "* spec.backends[1].scalingCost: Forbidden: scalingCost must not be provided when "
        "model-level autoscaling is not set\n" + IMAGE,
        id="three of the webhook",
    ),
    pytest.param(
        booster_object(
            "demo",
            backend("b", replicas=1, minReplicas=1),
            disaggregated("c", workers=[worker("prefill")]),
        ),
        '* spec.backends[0]: Invalid value: "object": '
        "either replicas, or both minReplicas and maxReplicas, must be set\n"
        '* spec.backends[1].workers: Invalid value: "object": backend type vLLMDisaggregated '
        "requires exactly one 'prefill' and exactly one 'decode' worker and no other worker type\n",
        id="two of the definition, which hides the webhook",
    ),
]


@pytest.mark.parametrize(("obj", "lines"), SEVERAL)
def test_all_faults_are_reported_at_once(kubectl: Kubectl, obj: Object, lines: str) -> None:
    said = apply(kubectl, obj)
    head, *rest = said.stderr.splitlines(keepends=True)
    assert head == 'The ModelBooster "demo" is invalid: \n'
    assert sorted(rest) == sorted(lines.splitlines(keepends=True))
    assert said.code == 1
