"""What kubectl prints for each rule, word for word: real kubectl, real server, our own webhook.

The cases of the rules stand in ``tests/answers``, beside what ``docs/validation.md`` says of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apis.children import DEFAULT_RELEASE, MODEL_BOOSTER, MODEL_ROUTE
from app.apis.meta import Object
from certs.objects import VALIDATING
from tests.answers.cases import AnswerCase, cases
from tests.builders import backend, booster_object, disaggregated, worker
from tests.conftest import Kubectl, Ran
from tests.controlplane import crds
from tests.controlplane.api import JSON_PATCH, Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import RELEASE, eventually
from tests.world import Admin

KINDS = {resource.kind: resource for resource in (MODEL_BOOSTER, MODEL_ROUTE)}
EXAMPLES = Path(__file__).parents[2] / "examples"
PROTECTION = "workload.serving.volcano.sh/deletion-protection"
NAMESPACE = "NAMESPACE"
"""Stands for the test's own in what is expected."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kubectl keeps what it has learnt of the server; asking anew takes longer."""
    return tmp_path_factory.mktemp("kubectl")


@pytest.fixture
def kubectl(kubectl: Kubectl, cache: Path) -> Kubectl:
    def run(*args: str, stdin: str | None = None) -> Ran:
        return kubectl("--cache-dir", str(cache), *args, stdin=stdin)

    return run


def apply(kubectl: Kubectl, obj: Object, *flags: str) -> Ran:
    return kubectl("apply", *flags, "-f", "-", stdin=yaml.safe_dump(obj))


def put_beside(case: AnswerCase, admin: Admin) -> None:
    for obj in case.others:
        namespace = obj["metadata"].get("namespace", admin.namespace)
        if namespace != admin.namespace:
            ensure_namespace(admin.api, namespace)
        Admin(admin.api, namespace).put(KINDS[obj["kind"]], obj)


def ensure_namespace(api: Api, name: str) -> None:
    try:
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    except Refused as exc:
        assert exc.reason == "AlreadyExists"  # noqa: PT017  # the status is what counts


def asked(list_name: str) -> list[Any]:
    """Returns the cases that can be shown here."""
    return [pytest.param(case, id=case.rule) for case in cases(list_name) if case.kubectl]


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
def test_what_is_refused(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    put_beside(here, admin)
    if here.beside:  # the webhook compares with what its informers have seen
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").code == 1)

    said = apply(kubectl, here.object)

    assert (said.stderr, said.stdout, said.code) == (here.kubectl, "", 1)


@pytest.mark.parametrize("case", asked("advice"))
def test_what_is_warned_of(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    put_beside(here, admin)
    if here.beside:
        eventually(lambda: apply(kubectl, here.object, "--dry-run=server").stderr)

    said = apply(kubectl, here.object)

    name = here.object["metadata"]["name"]
    created = f"modelbooster.workload.serving.volcano.sh/{name} created\n"
    assert (said.stderr, said.stdout, said.code) == (here.kubectl, created, 0)


@pytest.mark.parametrize("case", asked("changes"))
def test_what_an_edit_is_warned_of(kubectl: Kubectl, admin: Admin, here: AnswerCase) -> None:
    old = here.old
    assert old is not None
    admin.create(MODEL_BOOSTER, old)

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
        '"vLLMDisaggregated", "SGLang", "MindIE", "MindIEDisaggregated"\n' + UNCHECKED,
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
def test_what_the_definition_refuses(kubectl: Kubectl, obj: Object, text: str) -> None:
    said = apply(kubectl, obj)
    name = obj["metadata"]["name"]
    assert said.stderr == f'The ModelBooster "{name}" is invalid: {text}'
    assert (said.stdout, said.code) == ("", 1)


def test_without_the_webhook_the_controller_says_the_same(
    plane: ControlPlane, admin: Admin
) -> None:
    ours = [case for case in cases("rules") if not is_by_definition(case) and not case.beside]
    renamed = [
        replace(case, written=_renamed(case.written, f"c{position}"))
        for position, case in enumerate(ours)
    ]
    assert len(renamed) > 20
    with nobody_asked(plane):
        for case in renamed:
            eventually(lambda: is_taken(admin, case.object))  # noqa: B023  # asked at once
    for case in renamed:
        stored = admin.until(MODEL_BOOSTER, case.object["metadata"]["name"], is_failed)
        conditions = {entry["type"]: entry for entry in stored["status"]["conditions"]}
        assert conditions["Failed"]["reason"] == "ValidationFailed"
        assert conditions["Failed"]["message"] == case.said()[0], case.rule


def is_by_definition(case: AnswerCase) -> bool:
    return case.rule.startswith("shape.")


def is_failed(obj: Object) -> bool:
    return any(
        (entry["type"], entry["status"]) == ("Failed", "True")
        for entry in obj["status"]["conditions"]
    )


def test_every_rule_is_asked_here() -> None:
    """But for what needs another release of kthena, or a webhook that has only just started."""
    missing = [
        case.rule
        for name in ("rules", "advice", "changes")
        for case in cases(name)
        if not case.kubectl and not case.reading and case.release == DEFAULT_RELEASE
    ]
    assert missing == []


def broken(*more: Object) -> Object:
    """An object that breaks a rule of the webhook's alone: minReplicas differs from maxReplicas."""
    return booster_object("demo", backend("b", minReplicas=1, maxReplicas=3), *more)


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
def test_all_faults_come_at_once(kubectl: Kubectl, obj: Object, lines: str) -> None:
    said = apply(kubectl, obj)
    head, *rest = said.stderr.splitlines(keepends=True)
    assert head == 'The ModelBooster "demo" is invalid: \n'
    assert sorted(rest) == sorted(lines.splitlines(keepends=True))
    assert said.code == 1


@contextmanager
def nobody_asked(plane: ControlPlane) -> Iterator[None]:
    """As before our webhook was installed."""
    path = VALIDATING.path(None, f"{RELEASE}-webhook")
    hooks = plane.api.request("GET", path)["webhooks"]

    def select(selectors: list[Object]) -> None:
        patch = [
            {"op": "add", "path": f"/webhooks/{position}/namespaceSelector", "value": selector}
            for position, selector in enumerate(selectors)
        ]
        plane.api.request("PATCH", path, patch, content_type=JSON_PATCH)

    select([{"matchLabels": {"tests.example.com/no-namespace": "has-this"}}] * len(hooks))
    try:
        yield
    finally:
        select([hook.get("namespaceSelector", {}) for hook in hooks])


@contextmanager
def no_spec_demanded(plane: ControlPlane) -> Iterator[None]:
    """As before our definition was installed: those of kthena demand no spec."""
    path = crds.CRD.path(None, f"{MODEL_BOOSTER}")
    at = "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"
    schema = plane.api.request("GET", path)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    remove = [{"op": "remove", "path": at}]
    plane.api.request("PATCH", path, remove, content_type=JSON_PATCH)
    try:
        yield
    finally:
        add = [{"op": "add", "path": at, "value": schema["x-kubernetes-validations"]}]
        plane.api.request("PATCH", path, add, content_type=JSON_PATCH)


def store_as_of_old(plane: ControlPlane, admin: Admin, obj: Object) -> None:
    """Stores an object that is older than our webhook and our definition."""
    with nobody_asked(plane), no_spec_demanded(plane):
        eventually(lambda: is_taken(admin, obj))
    probe = {**broken(), "metadata": {"name": "probe"}}
    without = {key: value for key, value in probe.items() if key != "spec"}
    eventually(lambda: not is_taken(admin, probe, dryRun="All"))
    eventually(lambda: not is_taken(admin, without, dryRun="All"))


def is_taken(admin: Admin, obj: Object, **params: str) -> bool:
    try:
        admin.api.request("POST", admin.path(MODEL_BOOSTER), obj, params=params)
    except Refused as exc:
        if exc.status != 422:
            raise
        return False
    return True


def test_old_faults_block_no_edit_and_new_ones_do(
    kubectl: Kubectl, plane: ControlPlane, admin: Admin
) -> None:
    store_as_of_old(plane, admin, broken())
    for command in (
        ("label", "mb/demo", "team=x"),
        ("annotate", "mb/demo", "note=y"),
        ("patch", "mb/demo", "--type=merge", '-p={"metadata":{"finalizers":["example.com/x"]}}'),
        ("patch", "mb/demo", "--type=merge", '-p={"spec":{"owner":"me"}}'),
        ("patch", "mb/demo", "--type=merge", '-p={"metadata":{"finalizers":null}}'),
    ):
        done = kubectl(*command)
        assert (done.stderr, done.code) == ("", 0), command
    # A backend before it moves it, and it is still the same fault.
    moved = booster_object("demo", backend("a"), *broken()["spec"]["backends"])
    spec = json.dumps({"spec": moved["spec"]})
    assert kubectl("patch", "mb/demo", "--type=merge", f"-p={spec}").code == 0

    moved["spec"]["backends"][1]["workers"][0]["image"] = "a b"
    spec = json.dumps({"spec": moved["spec"]})
    said = kubectl("patch", "mb/demo", "--type=merge", f"-p={spec}")

    text = IMAGE.removeprefix("* ")
    assert (said.stderr, said.code) == (f'The ModelBooster "demo" is invalid: {text}', 1)
    assert kubectl("delete", "mb/demo").code == 0


def test_what_is_being_deleted_is_asked_nothing(
    kubectl: Kubectl, plane: ControlPlane, admin: Admin
) -> None:
    kept = broken()
    kept["metadata"]["finalizers"] = ["example.com/x"]
    store_as_of_old(plane, admin, kept)
    assert kubectl("delete", "mb/demo", "--wait=false").code == 0

    worse = json.dumps({"spec": broken(backend("c", workers=[worker(image="a b")]))["spec"]})
    assert kubectl("patch", "mb/demo", "--type=merge", f"-p={worse}").code == 0
    done = kubectl("patch", "mb/demo", "--type=merge", '-p={"metadata":{"finalizers":null}}')
    assert done.code == 0
    admin.until_gone(MODEL_BOOSTER, "demo")


def test_what_has_no_spec_can_be_labelled_finalized_and_deleted(
    kubectl: Kubectl, plane: ControlPlane, admin: Admin
) -> None:
    bare = booster_object("demo")
    del bare["spec"]
    store_as_of_old(plane, admin, bare)
    said = kubectl("label", "mb/demo", "team=x")
    assert (said.stderr, said.stdout) == (
        "",
        "modelbooster.workload.serving.volcano.sh/demo labeled\n",
    )
    add, remove = (
        '{"metadata":{"finalizers":["example.com/x"]}}',
        '{"metadata":{"finalizers":null}}',
    )
    assert kubectl("patch", "mb/demo", "--type=merge", f"-p={add}").code == 0
    assert kubectl("delete", "mb/demo", "--wait=false").code == 0
    assert kubectl("patch", "mb/demo", "--type=merge", f"-p={remove}").code == 0
    admin.until_gone(MODEL_BOOSTER, "demo")


FORBIDDEN = (
    'Error from server (Forbidden): admission webhook "protect-modelbooster.workload.serving.'
    'volcano.sh" denied the request: modelboosters.workload.serving.volcano.sh "demo" is '
    f"forbidden: deletion protection is enabled; remove the annotation {PROTECTION} first\n"
)


def test_protection_holds_against_every_way_to_delete_but_its_namespaces(
    kubectl: Kubectl, admin: Admin
) -> None:
    admin = Admin(admin.api, f"{admin.namespace}-protected")
    ensure_namespace(admin.api, admin.namespace)
    mark = {"annotations": {PROTECTION: "true"}}
    admin.create(MODEL_BOOSTER, booster_object("demo", metadata=mark))
    collection = admin.path(MODEL_BOOSTER)
    for command in (
        ("delete", "mb/demo"),
        ("delete", "mb", "--all"),
        ("delete", "mb/demo", "--dry-run=server"),
        ("delete", "mb/demo", "--force", "--grace-period=0"),
        ("delete", "--raw", collection),
        ("delete", "--raw", f"{collection}/demo"),
    ):
        said = kubectl("-n", admin.namespace, *command)
        assert said.code == 1, command
        assert said.stderr.splitlines(keepends=True)[-1] == FORBIDDEN, command
    assert admin.get(MODEL_BOOSTER, "demo") is not None

    assert kubectl("delete", "namespace", admin.namespace, "--timeout=60s").code == 0
    assert admin.get(MODEL_BOOSTER, "demo") is None


@pytest.mark.parametrize("mode", ["client-side", "server-side"])
def test_examples_applied_again_change_nothing(kubectl: Kubectl, admin: Admin, mode: str) -> None:
    """Else every run of a GitOps tool would write, and show a difference for ever."""
    flags = (f"--server-side={mode == 'server-side'}".lower(), "-f", str(EXAMPLES))
    assert kubectl("apply", *flags).code == 0
    names = [obj["metadata"]["name"] for obj in admin.list(MODEL_BOOSTER)]
    assert len(names) == len(list(EXAMPLES.glob("*.yaml")))
    # Then the controller has written all that it will write.
    before = [admin.until(MODEL_BOOSTER, name, is_reported) for name in names]

    said = kubectl("apply", *flags)

    done = "unchanged" if mode == "client-side" else "serverside-applied"
    assert said.code == 0
    assert {line.rpartition(" ")[2] for line in said.stdout.splitlines()} == {done}
    assert [admin.get(MODEL_BOOSTER, name) for name in names] == before
    diff = kubectl("diff", *flags)
    assert (diff.stdout, diff.code) == ("", 0)


@pytest.mark.parametrize("mode", ["client-side", "server-side"])
def test_the_stored_default_makes_no_difference(
    kubectl: Kubectl, admin: Admin, tmp_path: Path, mode: str
) -> None:
    text = (EXAMPLES / "autoscaled-by-cost.yaml").read_text()
    file = tmp_path / "without-rate.yaml"
    file.write_text(re.sub(r"(?m)^ *costExpansionRatePercent:.*\n", "", text))
    flags = (f"--server-side={mode == 'server-side'}".lower(), "-f", str(file))
    assert kubectl("diff", *flags).code == 1
    assert kubectl("apply", *flags).code == 0
    (stored,) = admin.list(MODEL_BOOSTER)
    name = stored["metadata"]["name"]
    before = admin.until(MODEL_BOOSTER, name, is_reported)
    assert before["spec"]["costExpansionRatePercent"] == 200

    assert kubectl("apply", *flags).code == 0

    assert admin.get(MODEL_BOOSTER, name) == before
    diff = kubectl("diff", *flags)
    assert (diff.stdout, diff.code) == ("", 0)


def is_reported(obj: Object) -> bool:
    conditions = {entry["type"]: entry["status"] for entry in obj["status"]["conditions"]}
    return bool(
        conditions["Initialized"] == "True"
        and obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
    )
