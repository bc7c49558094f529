"""What a user does with kubectl, and what kubectl prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import JOB, MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, NODE
from app.values.meta import Object
from tests.builders import booster_object
from tests.conftest import Kubectl
from tests.e2e.installation import eventually
from tests.world import Admin

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = str(EXAMPLES / "one-backend.yaml")
CHILDREN = ((MODEL_SERVING, "qwen-cpu"), (MODEL_SERVER, "qwen-cpu"), (MODEL_ROUTE, "qwen"))


def _aged(text: str) -> str:
    """Returns a table of kubectl with every age the same, and single blanks between columns."""
    return re.sub(r" +", " ", re.sub(r"\b(\d+m)?\d+s\b", "AGE", text))


def test_model_booster_from_apply_to_delete(kubectl: Kubectl, admin: Admin) -> None:
    said = kubectl("apply", "-f", GOOD)
    assert (said.stdout, said.stderr, said.code) == (
        "modelbooster.workload.serving.volcano.sh/qwen created\n",
        "",
        0,
    )

    said = kubectl("wait", "mb/qwen", "--for=condition=Initialized", "--timeout=30s")
    assert said.stdout == "modelbooster.workload.serving.volcano.sh/qwen condition met\n"
    for resource, name in CHILDREN:
        assert admin.get(resource, name), resource
    assert _aged(kubectl("get", "modelboosters").stdout) == (
        "NAME ACTIVE REASON FAILED TRAFFIC AGE\nqwen False ModelProcessing False AGE\n"
    )

    admin.serve(MODEL_SERVING, "qwen-cpu")
    said = kubectl("wait", "mb/qwen", "--for=condition=Ready", "--timeout=30s")
    assert said.stdout == "modelbooster.workload.serving.volcano.sh/qwen condition met\n"
    assert _aged(kubectl("get", "mb", "-o", "wide").stdout) == (
        "NAME ACTIVE REASON FAILED TRAFFIC INITIALIZED SETUP MODEL AGE\n"
        "qwen True ModelAvailable False True ModelCreating qwen AGE\n"
    )
    described = kubectl("describe", "mb", "qwen").stdout
    assert re.search(r"Normal +ChildrenCreated .* model-booster-controller +created ", described)
    assert re.search(r"Normal +ModelAvailable ", described)

    assert kubectl("apply", "-f", GOOD).stdout == (
        "modelbooster.workload.serving.volcano.sh/qwen unchanged\n"
    )
    assert kubectl("diff", "-f", GOOD).code == 0

    edited = Path(GOOD).read_text().replace("max-model-len: 8192", "max-model-len: 4096")
    assert kubectl("apply", "-f", "-", stdin=edited).stdout == (
        "modelbooster.workload.serving.volcano.sh/qwen configured\n"
    )
    serving = admin.until(MODEL_SERVING, "qwen-cpu", lambda obj: "4096" in _command(obj))
    assert "8192" not in _command(serving)
    admin.until(MODEL_BOOSTER, "qwen", lambda obj: _condition(obj, "Active")["status"] == "False")
    admin.serve(MODEL_SERVING, "qwen-cpu")
    assert kubectl("wait", "mb/qwen", "--for=condition=Active", "--timeout=30s").code == 0

    said = kubectl("delete", "mb", "qwen")
    assert said.stdout.startswith('modelbooster.workload.serving.volcano.sh "qwen" deleted')
    for resource, name in CHILDREN:
        admin.until_gone(resource, name)


def test_cache_is_warmed_up_with_the_rights_of_the_chart(kubectl: Kubectl, admin: Admin) -> None:
    """The pods of the Job are played; without its Job the ModelServing is not created."""
    node, pool = f"{admin.namespace}-node", {"pool": admin.namespace}
    written = yaml.safe_load((EXAMPLES / "warm-cache.yaml").read_text())
    warmup = {"nodeSelector": pool, "tolerations": [{"operator": "Exists"}]}
    written["spec"]["backends"][0]["cacheWarmup"] = warmup
    admin.put(
        NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": pool}}
    )
    try:
        said = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(written))
        assert (said.stderr.count("cacheWarmup"), said.code) == (0, 0)
        (job,) = admin.until_listed(JOB, lambda jobs: len(jobs) == 1)
        told = admin.until(
            MODEL_BOOSTER,
            "mistral-warm",
            lambda obj: _condition(obj, "Initialized")["reason"] == "WaitingForCache",
        )
        assert f"downloading to {node}" in _condition(told, "Initialized")["message"]
        assert admin.get(MODEL_SERVING, "mistral-warm-gpu") is None

        name = job["metadata"]["name"]
        assert kubectl("delete", "job", name).code == 0
        uid = job["metadata"]["uid"]
        admin.until(JOB, name, lambda again: again["metadata"]["uid"] != uid)
        written["spec"]["backends"][0]["cacheWarmup"]["policy"] = "Background"
        assert kubectl("apply", "-f", "-", stdin=yaml.safe_dump(written)).code == 0
        admin.until(MODEL_SERVING, "mistral-warm-gpu")
        del written["spec"]["backends"][0]["cacheWarmup"]
        assert kubectl("apply", "-f", "-", stdin=yaml.safe_dump(written)).code == 0
        admin.until_gone(JOB, name)
    finally:
        admin.delete(NODE, node)


def _command(serving: Object) -> list[str]:
    (role,) = serving["spec"]["template"]["roles"]
    containers = {c["name"]: c for c in role["entryTemplate"]["spec"]["containers"]}
    command: list[str] = containers["engine"]["command"]
    return command


def _condition(booster: Object, kind: str) -> Object:
    conditions: dict[str, Object] = {c["type"]: c for c in booster["status"]["conditions"]}
    return conditions[kind]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        pytest.param(
            "panic-policy.yaml",
            'The ModelBooster "panicking" is invalid: '
            "spec.backends[0].autoscalingPolicy.behavior.scaleUp.panicPolicy: "
            "Forbidden: panicPolicy is not supported by ModelBooster\n",
            id="panicPolicy",
        ),
        pytest.param(
            "name-too-long.yaml",
            'The ModelBooster "deepseek-r1-distill-llama-8b" is invalid: spec.backends[0].name: '
            'Invalid value: "deepseek-r1-distill-llama-8b-vllm": generated name '
            '"deepseek-r1-distill-llama-8b-deepseek-r1-distill-llama-8b-vllm" has 62 characters, '
            'at most 50 are allowed for this backend (role "leader", up to 1 replicas)\n',
            id="names too long",
        ),
        pytest.param(
            "route-taken.yaml",
            'The ModelBooster "another" is invalid: spec.name: Duplicate value: "qwen": '
            'modelName is already routed by ModelRoute "NAMESPACE/qwen"\n',
            id="two claims to a route",
        ),
        pytest.param(
            "min-above-max.yaml",
            'The ModelBooster "upside-down" is invalid: spec.backends[0].minReplicas: '
            'Invalid value: "object": minReplicas cannot be greater than maxReplicas\n',
            id="min above max",
        ),
    ],
)
def test_refusals_are_printed(kubectl: Kubectl, admin: Admin, file: str, said: str) -> None:
    assert kubectl("apply", "-f", GOOD).code == 0
    path = str(EXAMPLES / "refused" / file)
    # The webhook compares names by what its informers have seen, so it may take a moment.
    eventually(lambda: kubectl("apply", "--dry-run=server", "-f", path).code == 1)

    refused = kubectl("apply", "-f", path)

    assert (refused.stdout, refused.stderr, refused.code) == (
        "",
        said.replace("NAMESPACE", admin.namespace),
        1,
    )


def test_all_faults_are_reported_at_once(kubectl: Kubectl) -> None:
    obj = booster_object("m")
    backend = obj["spec"]["backends"][0]
    backend.update(routeWeight=0, scalingCost=1)
    backend["workers"][0]["image"] = "a b"

    refused = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(obj))

    lines = refused.stderr.splitlines()
    assert lines[0] == 'The ModelBooster "m" is invalid: '
    assert {line.split(": ")[0] for line in lines[1:]} == {
        "* spec.backends",
        "* spec.backends[0].scalingCost",
        "* spec.backends[0].workers[0].image",
    }


def test_warning_is_printed_and_the_object_stored(kubectl: Kubectl) -> None:
    obj = booster_object("m")
    obj["spec"]["backends"][0]["type"] = "MindIE"

    said = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(obj))

    assert said.stderr.startswith("Warning: ")
    assert "MindIE" in said.stderr
    assert said.stdout == "modelbooster.workload.serving.volcano.sh/m created\n"
    assert kubectl("wait", "mb/m", "--for=condition=Failed", "--timeout=30s").code == 0
    assert _aged(kubectl("get", "mb", "m").stdout) == (
        "NAME ACTIVE REASON FAILED TRAFFIC AGE\nm False UnsupportedBackendType True AGE\n"
    )


def test_unknown_field_is_rejected_by_the_server(kubectl: Kubectl) -> None:
    obj = booster_object("m", rateLimit=3)
    said = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(obj))
    assert 'unknown field "spec.rateLimit"' in said.stderr
    assert said.code == 1


def test_protected_model_booster_is_not_deleted(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", GOOD).code == 0
    mark = "workload.serving.volcano.sh/deletion-protection"
    assert kubectl("annotate", "mb/qwen", f"{mark}=true").code == 0

    said = kubectl("delete", "mb/qwen")
    assert said.code == 1
    assert said.stderr == (
        "Error from server (Forbidden): admission webhook "
        '"protect-modelbooster.workload.serving.volcano.sh" denied the request: '
        'modelboosters.workload.serving.volcano.sh "qwen" is forbidden: deletion protection is '
        f"enabled; remove the annotation {mark} first\n"
    )

    assert kubectl("annotate", "mb/qwen", f"{mark}-").code == 0
    assert kubectl("delete", "mb/qwen").code == 0


def test_stored_default_changes_nothing_later(kubectl: Kubectl) -> None:
    path = EXAMPLES / "autoscaled-by-cost.yaml"
    text = path.read_text().replace("  costExpansionRatePercent: 150\n", "")
    assert "costExpansionRatePercent" not in text

    assert kubectl("apply", "-f", "-", stdin=text).stdout.endswith(" created\n")

    rate = kubectl("get", "mb/assistant", "-o", "jsonpath={.spec.costExpansionRatePercent}")
    assert rate.stdout == "200"
    assert kubectl("apply", "-f", "-", stdin=text).stdout.endswith(" unchanged\n")


def test_explain_describes_a_field(explain: Callable[[str], str]) -> None:
    assert "hf://owner/repository" in explain(".spec.backends.modelURI")
