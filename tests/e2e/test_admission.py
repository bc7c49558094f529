"""Edits, deletions and repeated applies, with our webhook registered as the chart does it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from tests.builders import backend, booster_object, worker
from tests.conftest import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.e2e.admission import broken, ensure_namespace, store_as_of_old
from tests.world import Admin

EXAMPLES = Path(__file__).parents[2] / "examples"
PROTECTION = "workload.serving.volcano.sh/deletion-protection"


@pytest.mark.slow
def test_old_faults_do_not_block_edits_and_new_ones_do(
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

    assert (said.stderr, said.code) == (
        'The ModelBooster "demo" is invalid: spec.backends[1].workers[0].image: Invalid value: '
        '"a b": invalid container image reference: image cannot contain whitespace\n',
        1,
    )
    assert kubectl("delete", "mb/demo").code == 0


@pytest.mark.slow
def test_terminating_object_is_not_validated(
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


def test_object_without_spec_can_be_labelled_finalized_and_deleted(
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


def test_protection_blocks_every_deletion_except_of_the_namespace(
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
def test_stored_default_changes_nothing(
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
