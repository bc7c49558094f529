"""The CRD on a real API server: what it takes, what it refuses and in which words."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from app.apis.crd import model_booster_crd
from app.apis.kinds import MODEL_BOOSTER
from app.validation import Context, validate
from app.values.meta import Object, Resource
from tests.builders import backend, booster_object, disaggregated, lora, policy, worker
from tests.conftest import Kubectl
from tests.controlplane import crds
from tests.controlplane.api import Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.verdicts import without_value
from tests.world import PATIENCE_SECONDS, Admin

EXAMPLES = sorted((Path(__file__).parents[1] / "crds" / "examples").glob("*/*.yaml"))
REFUSED_EXAMPLES = {
    # 28 and 33 characters, together too long for the names of the pods' Services.
    # Its second argument is not spelled as a flag of vLLM.
    "v0.1.0/Deepseek-R1-Distill-llama-8B": [
        "spec.backends[0].workers[0].config.maxModelLen",
        "spec.backends[0].name",
    ],
    # From 1 to 2 replicas, and nothing that scales them.
    "v0.1.0/Qwen2.5-Coder-32B-Instruct": ["spec.backends[0]"],
    "v0.4.0/Qwen2.5-Coder-32B-Instruct": ["spec.backend"],
}
"""kthena's own examples that never worked: the CRD takes them, the webhook does not. Why not."""


def title(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def example_object(path: Path, namespace: str) -> Object:
    obj: Object = yaml.safe_load(path.read_text())
    obj["metadata"]["namespace"] = namespace
    return obj


def elsewhere(namespace: str) -> Resource:
    """Returns where a test may put a CRD of its own: a group named after its namespace.

    Its names differ from ours: kubectl, asked for a modelbooster, takes any group that has one.
    """
    group = f"{namespace}.example.org"
    return replace(MODEL_BOOSTER, group=group, plural="boostercopies", kind="BoosterCopy")


def moved(resource: Resource) -> Object:
    """Returns our CRD as one of another group and name, so that a test may change it."""
    definition = copy.deepcopy(model_booster_crd())
    definition["metadata"]["name"] = str(resource)
    definition["spec"]["group"] = resource.group
    definition["spec"]["names"] = {
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
    }
    return definition


def lenient(resource: Resource) -> Object:
    """Returns the CRD of a ModelBooster that may be anything."""
    definition = moved(resource)
    [version] = definition["spec"]["versions"]
    version["schema"] = {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    }
    return definition


def refusal(api: Api, path: str, obj: Object) -> set[tuple[str, str]]:
    """Returns the faults, path and words, with which the server refuses to create an object."""
    with pytest.raises(Refused) as refused:
        api.request("POST", path, obj, params={"dryRun": "All"})
    return {
        (cause["field"], without_value(cause["message"]))
        for cause in refused.value.causes
        if cause["field"] != "<nil>"
    }


# The CRD itself.


def test_client_side_apply_is_idempotent(kubectl: Kubectl, namespace: str) -> None:
    resource = elsewhere(namespace)
    text = json.dumps(moved(resource))
    name = f"customresourcedefinition.apiextensions.k8s.io/{resource}"
    try:
        said = [kubectl("apply", "-f", "-", stdin=text) for _ in range(2)]
        assert [ran.stdout for ran in said] == [f"{name} created\n", f"{name} unchanged\n"]
        applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
        assert applied.stdout == f"{name} serverside-applied\n"
    finally:
        kubectl("delete", "crd", str(resource), "--wait=false")


def test_server_stores_the_object_unchanged(plane: ControlPlane) -> None:
    spec = plane.api.request("GET", crds.CRD.path(None, str(MODEL_BOOSTER)))["spec"]
    del spec["conversion"]  # the server's own
    assert spec == model_booster_crd()["spec"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("", "Serves a model: where it comes from"),
        (".spec.backends", "at most 16"),
        (".spec.backends.modelURI", "hf://owner/repository"),
        (".spec.backends.workers.config", "--max-model-len 32768"),
        (".spec.backends.workers.config", "trust-remote-code"),
    ],
)
def test_explain_describes_the_fields(
    explain: Callable[[str], str], field: str, words: str
) -> None:
    assert words in " ".join(explain(field).split())  # kubectl wraps lines


CONDITIONS = [
    {"type": "Initialized", "status": "True", "reason": "ModelCreating"},
    {"type": "Active", "status": "False", "reason": "ModelProcessing"},
    {"type": "Failed", "status": "False", "reason": "NoFailure"},
]


def test_get_prints_the_columns(admin: Admin, kubectl: Kubectl) -> None:
    admin.create(MODEL_BOOSTER, booster_object("demo"))
    fresh = kubectl("get", "mb").stdout.splitlines()
    rest = {"message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"modelName": "chat", "conditions": [{**c, **rest} for c in CONDITIONS]}
    admin.patch(MODEL_BOOSTER, "demo", {"status": status}, subresource="status")
    [head, row] = kubectl("get", "mb").stdout.splitlines()
    [wide_head, wide_row] = kubectl("get", "mb", "-o", "wide").stdout.splitlines()
    assert (
        head.split() == fresh[0].split() == ["NAME", "ACTIVE", "REASON", "FAILED", "TRAFFIC", "AGE"]
    )
    assert row.split()[:4] == ["demo", "False", "ModelProcessing", "False"]
    assert wide_head.split() == [
        *("NAME", "ACTIVE", "REASON", "FAILED", "TRAFFIC", "INITIALIZED", "SETUP", "MODEL", "AGE")
    ]
    assert wide_row.split()[4:7] == ["True", "ModelCreating", "chat"]
    assert kubectl("get", "kthena", "-o", "name").stdout.splitlines() == [
        "modelbooster.workload.serving.volcano.sh/demo"
    ]


# What it takes.


@pytest.mark.parametrize("path", EXAMPLES, ids=title)
def test_examples_are_stored_unchanged(admin: Admin, path: Path) -> None:
    obj = example_object(path, admin.namespace)
    stored = admin.create(MODEL_BOOSTER, obj)
    assert stored["spec"] == obj["spec"]
    assert stored["status"] == {"observedGeneration": -1, "modelName": ""}


@pytest.mark.parametrize("path", EXAMPLES, ids=title)
def test_applying_an_example_again_changes_nothing(
    admin: Admin, kubectl: Kubectl, path: Path
) -> None:
    obj = example_object(path, admin.namespace)
    text, name = json.dumps(obj), obj["metadata"]["name"]
    word = f"modelbooster.workload.serving.volcano.sh/{name}"

    def version() -> str:
        stored = admin.get(MODEL_BOOSTER, name)
        assert stored is not None
        found: str = stored["metadata"]["resourceVersion"]
        return found

    said = [kubectl("apply", "-f", "-", stdin=text).stdout for _ in range(2)]
    assert said == [f"{word} created\n", f"{word} unchanged\n"]
    # Server-side, kubectl never says "unchanged"; the version tells.
    server_side = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    kubectl(*server_side, stdin=text)
    before = version()
    assert kubectl(*server_side, stdin=text).stdout == f"{word} serverside-applied\n"
    assert version() == before
    assert kubectl("diff", "-f", "-", stdin=text).code == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=title)
def test_only_examples_that_never_worked_are_refused(path: Path) -> None:
    faults = validate(example_object(path, "default"), Context()).faults
    assert [str(fault.path) for fault in faults] == REFUSED_EXAMPLES.get(title(path), [])


def test_status_is_dropped_on_create(admin: Admin) -> None:
    obj = {**booster_object("demo"), "status": {"modelName": "x", "observedGeneration": 7}}
    assert admin.create(MODEL_BOOSTER, obj)["status"] == {"observedGeneration": -1, "modelName": ""}
    admin.patch(MODEL_BOOSTER, "demo", {"status": None}, subresource="status")
    wiped = admin.get(MODEL_BOOSTER, "demo")
    assert wiped is not None
    assert wiped["status"] == {"observedGeneration": -1, "modelName": ""}


# What it refuses.

BEHAVIOR = (
    "behavior is not supported by ModelBooster; create AutoscalingPolicy and "
    "AutoscalingPolicyBinding directly"
)
GRACE = "spec.backends[0].scaleToZeroGracePeriod"


def scaled(behavior: Object) -> Object:
    bounds = {"minReplicas": 1, "maxReplicas": 2}
    return booster_object("demo", backend(**bounds), autoscalingPolicy=policy(behavior=behavior))


@pytest.mark.parametrize(
    ("obj", "path", "words"),
    [
        pytest.param(
            {**booster_object("demo"), "spec": None},
            "spec",
            "Required value: a ModelBooster needs a spec",
            id="R12",
        ),
        pytest.param(
            booster_object("demo", backend(), backend=backend(), backends=[backend()]),
            "spec",
            "Invalid value: exactly one of spec.backends and spec.backend must be set",
            id="R0, both",
        ),
        pytest.param(
            {**booster_object("demo"), "spec": {}},
            "spec",
            "Invalid value: exactly one of spec.backends and spec.backend must be set",
            id="R0, none",
        ),
        pytest.param(
            booster_object("demo", backend=backend(replicas=1, minReplicas=1, maxReplicas=1)),
            "spec.backend",
            "Invalid value: either replicas, or both minReplicas and maxReplicas, must be set",
            id="R1, both",
        ),
        pytest.param(
            booster_object("demo", backend(minReplicas=1)),
            "spec.backends[0]",
            "Invalid value: either replicas, or both minReplicas and maxReplicas, must be set",
            id="R1, half",
        ),
        pytest.param(
            booster_object("demo", backend(minReplicas=3, maxReplicas=2)),
            "spec.backends[0].minReplicas",
            "Invalid value: minReplicas cannot be greater than maxReplicas",
            id="R2",
        ),
        pytest.param(
            booster_object("demo", backend(scaleToZeroGracePeriod="-1s")),
            GRACE,
            "Invalid value: scaleToZeroGracePeriod cannot be negative",
            id="R3",
        ),
        pytest.param(
            booster_object("demo", backend(scaleToZeroGracePeriod="31m")),
            GRACE,
            "Invalid value: scaleToZeroGracePeriod cannot exceed 1800 seconds",
            id="R4",
        ),
        pytest.param(
            booster_object("demo", backend(scaleToZeroGracePeriod="1d")),
            GRACE,
            "Invalid value: must be a duration such as 30s or 1m30s",
            id="R11",
        ),
        pytest.param(
            booster_object("demo", backend(workers=[worker("prefill")])),
            "spec.backends[0].workers",
            "Invalid value: backend types vLLM, SGLang and MindIE require exactly one worker, of "
            "type 'server'",
            id="R5",
        ),
        pytest.param(
            booster_object(
                "demo",
                disaggregated(workers=[worker("prefill"), worker("prefill"), worker("decode")]),
            ),
            "spec.backends[0].workers",
            "Invalid value: backend type vLLMDisaggregated requires exactly one 'prefill' and "
            "exactly one 'decode' worker and no other worker type",
            id="R6",
        ),
        pytest.param(
            booster_object("demo", backend(type="MindIEDisaggregated", workers=[worker("server")])),
            "spec.backends[0].workers",
            "Invalid value: backend type MindIEDisaggregated does not accept a worker of type "
            "'server'",
            id="R7",
        ),
        pytest.param(
            booster_object("demo", backend(loraAdapters=[lora("a"), lora("b"), lora("a")])),
            "spec.backends[0].loraAdapters",
            "Invalid value: lora name must be unique within the backend",
            id="R8",
        ),
        pytest.param(
            scaled({"scaleUp": {"panicPolicy": {}}, "scaleDown": {}}),
            "spec.autoscalingPolicy.behavior.scaleUp.panicPolicy",
            "Forbidden: panicPolicy is not supported by ModelBooster",
            id="R9",
        ),
        pytest.param(
            scaled({"scaleDown": {}}),
            "spec.autoscalingPolicy.behavior",
            f"Forbidden: {BEHAVIOR}",
            id="R10",
        ),
        pytest.param(
            booster_object("demo", backend(), backend()),
            "spec.backends[1]",
            'Duplicate value: {"name":"b1"}',
            id="a name twice",
        ),
        pytest.param(
            booster_object("demo", backend(modelURI="https://x")),
            "spec.backends[0].modelURI",
            "Invalid value: spec.backends[0].modelURI in body should match "
            "'^(hf://|s3://|obs://|pvc://|ms://).+'",
            id="pattern",
        ),
        pytest.param(
            booster_object("qwen2.5"),
            "metadata.name",
            "Invalid value: metadata.name in body should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'",
            id="name with a dot",
        ),
        pytest.param(
            booster_object("demo", backend(scalingCost=2**31)),
            "spec.backends[0].scalingCost",
            "Invalid value: spec.backends[0].scalingCost in body should be less than or equal to "
            "2147483647",
            id="more than 32 bits",
        ),
    ],
)
def test_invalid_objects_are_rejected(
    plane: ControlPlane, obj: Object, path: str, words: str
) -> None:
    found = refusal(plane.api, MODEL_BOOSTER.path("default"), obj)
    # Kubernetes 1.30 prints a duplicate as Go does.
    found = {(where, text.replace("map[string]interface {}", "")) for where, text in found}
    assert found == {(path, words)}


def test_empty_behavior_is_accepted(admin: Admin) -> None:
    admin.create(MODEL_BOOSTER, scaled({}))


def test_generated_name_is_valid(admin: Admin) -> None:
    obj = booster_object("", metadata={"name": None, "generateName": "demo-"})
    assert admin.create(MODEL_BOOSTER, obj)["metadata"]["name"].startswith("demo-")


# Objects that are older than a rule.


@dataclass(frozen=True)
class Older:
    """Objects that were stored before our CRD was: one without spec, two that break a rule."""

    admin: Admin
    resource: Resource

    def edit(self, name: str, change: Object) -> None:
        self.admin.patch(self.resource, name, change)


@pytest.fixture
def older(plane: ControlPlane, admin: Admin) -> Iterator[Older]:
    resource = elsewhere(admin.namespace)
    version = {"apiVersion": resource.api_version, "kind": resource.kind}
    crds.install(plane.api, [lenient(resource)])
    behavior = policy(behavior={"scaleDown": {}})
    for obj in (
        {"metadata": {"name": "empty"}},
        booster_object("broken", backend(), autoscalingPolicy=behavior),
        booster_object("two.words"),
    ):
        admin.create(resource, {**obj, **version})
    crds.install(plane.api, [moved(resource)])
    # The server takes a moment to use the new schema.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _is_taken(plane.api, resource.path(admin.namespace), {**version, **_NO_SPEC}):
        assert time.monotonic() < deadline, "the server still uses the lenient schema"
    yield Older(admin, resource)
    plane.api.request("DELETE", crds.CRD.path(None, str(resource)))


_NO_SPEC = {"metadata": {"name": "probe"}}


def _is_taken(api: Api, path: str, obj: Object) -> bool:
    try:
        api.request("POST", path, obj, params={"dryRun": "All"})
    except Refused:
        return False
    return True


@pytest.mark.parametrize("name", ["empty", "broken", "two.words"])
def test_older_object_can_be_labelled_finalized_and_deleted(older: Older, name: str) -> None:
    older.edit(name, {"metadata": {"labels": {"a": "b"}}})
    older.edit(name, {"metadata": {"finalizers": ["example.org/hold"]}})
    older.admin.delete(older.resource, name, propagation="Foreground")
    held = older.admin.get(older.resource, name)
    assert held is not None
    assert "deletionTimestamp" in held["metadata"]
    # What the garbage collector does with its finalizer, when it has seen the new kind.
    older.edit(name, {"metadata": {"finalizers": None}})
    older.admin.until_gone(older.resource, name)


def test_unrelated_edit_of_an_older_object_is_accepted(older: Older) -> None:
    older.edit("broken", {"spec": {"owner": "me"}})
    with pytest.raises(Refused, match="behavior is not supported"):
        older.edit("broken", {"spec": {"autoscalingPolicy": {"behavior": {"scaleUp": {}}}}})


def test_spec_can_be_added_later_but_not_removed(older: Older) -> None:
    older.edit("empty", {"spec": booster_object("x")["spec"]})
    with pytest.raises(Refused, match="a ModelBooster needs a spec"):
        older.edit("empty", {"spec": None})
