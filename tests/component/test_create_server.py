"""``model-booster create`` on a real API server: what it applies, and the nodes that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from tests.commands import run_in_process
from tests.conftest import Kubectl
from tests.controlplane.api import MERGE_PATCH
from tests.controlplane.plane import ControlPlane
from tests.world import Admin

Ran = tuple[int | str | None, str, str]
Run = Callable[..., Ran]
NAME = "modelbooster.workload.serving.volcano.sh/qwen3-32b"


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kubeconfig: Path
) -> Run:
    """Runs a command as the administrator; returns exit code, stdout and stderr."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    return partial(run_in_process, capsys)


@pytest.fixture
def add_node(plane: ControlPlane) -> Iterator[Callable[..., None]]:
    """Adds nodes with labels and allocatable resources; they are gone after the test.

    There are no others: tests of other files share the API server, and one that failed may have
    left a node.
    """
    names: list[str] = []
    plane.api.request("DELETE", "/api/v1/nodes")

    def add(name: str, resources: Object, labels: Object | None = None, **spec: object) -> None:
        node = {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}
        plane.api.request("POST", "/api/v1/nodes", node)
        names.append(name)
        amounts = {"capacity": resources, "allocatable": resources}
        plane.api.request(
            *("PATCH", f"/api/v1/nodes/{name}/status", {"status": amounts}),
            content_type=MERGE_PATCH,
        )

    yield add
    for name in names:
        plane.api.request("DELETE", f"/api/v1/nodes/{name}")


def test_apply_says_what_it_did_as_kubectl_does(run: Run, admin: Admin) -> None:
    create = ("create", "Qwen3-32B", "--gpu", "h100", "--apply")

    assert run(*create)[:2] == (0, f"{NAME} created\n")
    assert run(*create)[:2] == (0, f"{NAME} unchanged\n")
    assert run(*create, "--set", "maxModelLen=8192")[:2] == (0, f"{NAME} configured\n")

    stored = admin.get(MODEL_BOOSTER, "qwen3-32b")
    assert stored is not None
    assert {entry["manager"] for entry in stored["metadata"]["managedFields"]} == {
        "model-booster-create"
    }
    (worker,) = stored["spec"]["backends"][0]["workers"]
    assert worker["config"]["max-model-len"] == 8192


def test_a_field_that_is_left_out_later_is_removed(run: Run, admin: Admin) -> None:
    run("create", "Qwen3-32B", "--gpu", "h100", "--apply", "--set", "owner=me")
    run("create", "Qwen3-32B", "--gpu", "h100", "--apply")
    stored = admin.get(MODEL_BOOSTER, "qwen3-32b")
    assert stored is not None
    assert "owner" not in stored["spec"]


def test_a_dry_run_of_the_server_stores_nothing(run: Run, admin: Admin) -> None:
    code, out, _ = run("create", "Qwen3-32B", "--gpu", "h100", "--dry-run", "server")
    assert (code, out) == (0, f"{NAME} created (server dry run)\n")
    assert admin.get(MODEL_BOOSTER, "qwen3-32b") is None

    code, out, _ = run("create", "Qwen3-32B", "--gpu", "h100", "--apply", "--dry-run", "client")
    assert code == 0
    assert yaml.safe_load(out)["kind"] == "ModelBooster"
    assert admin.get(MODEL_BOOSTER, "qwen3-32b") is None


def test_the_stored_object_is_printed_on_request(run: Run, admin: Admin) -> None:
    code, out, _ = run("create", "Qwen3-32B", "--gpu", "h100", "--apply", "-o", "yaml")
    printed = yaml.safe_load(out)
    assert code == 0
    assert printed["metadata"]["namespace"] == admin.namespace
    assert printed["metadata"]["uid"]
    assert "managedFields" not in printed["metadata"]


def test_fields_of_another_client_are_not_taken_without_force(run: Run, kubectl: Kubectl) -> None:
    create = ("create", "Qwen3-32B", "--gpu", "h100")
    edited = run(*create)[1].replace("max-model-len: 32768", "max-model-len: 1024")
    assert kubectl("apply", "-f", "-", stdin=edited).code == 0

    code, out, err = run(*create, "--apply")
    assert (code, out) == (1, "")
    assert "conflict" in err
    assert err.rstrip().endswith("or take the fields over with --force-conflicts")
    code, out, _ = run(*create, "--apply", "--force-conflicts")
    assert (code, out) == (0, f"{NAME} configured\n")


def test_an_object_that_the_schema_refuses_is_refused_in_its_words(run: Run) -> None:
    code, out, err = run(
        *("create", "Qwen3-32B", "--gpu", "h100", "--apply", "--set", "backendName=Not_A_Name")
    )
    assert (code, out) == (1, "")
    assert 'spec.backends[0].name: Invalid value: "Not_A_Name"' in err


def test_a_command_is_applied_too(run: Run, admin: Admin) -> None:
    code, out, _ = run("create", "--from", "vllm serve Qwen/Qwen3-8B --seed 1", "--apply")
    assert (code, out) == (0, f"{NAME.replace('32b', '8b')} created\n")
    stored = admin.get(MODEL_BOOSTER, "qwen3-8b")
    assert stored is not None
    assert stored["spec"]["name"] == "Qwen/Qwen3-8B"


def test_a_namespace_that_is_missing_is_told(run: Run) -> None:
    code, _, err = run("create", "Qwen3-32B", "--gpu", "h100", "--apply", "-n", "nowhere")
    assert code == 1
    assert 'namespaces "nowhere" not found' in err


def test_nodes_decide_the_profile(run: Run, add_node: Callable[..., None]) -> None:
    product = "nvidia.com/gpu.product"
    add_node("small", {"nvidia.com/gpu": "1"}, {product: "Tesla-T4"})
    add_node("cordoned", {"nvidia.com/gpu": "8"}, {product: "NVIDIA-H200"}, unschedulable=True)

    code, out, err = run("create", "Qwen3-32B")
    assert (code, out) == (1, "")
    assert "Qwen/Qwen3-32B does not fit: 1 x NVIDIA T4" in err

    add_node("large", {"nvidia.com/gpu": "8"}, {product: "NVIDIA-L40S"})
    code, out, err = run("create", "Qwen3-32B")
    assert code == 0
    (worker,) = yaml.safe_load(out)["spec"]["backends"][0]["workers"]
    assert worker["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert "on 4 x NVIDIA L40S with vLLM: profile of the template" in err


@pytest.mark.parametrize(
    ("major", "memory", "want"),
    [("8", "24576", "counts as NVIDIA "), ("7", "24576", "counts as NVIDIA T4"), ("8", "900", "")],
)
def test_the_memory_of_an_unknown_product_counts(
    run: Run, add_node: Callable[..., None], major: str, memory: str, want: str
) -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090",
        "nvidia.com/gpu.memory": memory,
        "nvidia.com/gpu.compute.major": major,
    }
    add_node("desk", {"nvidia.com/gpu": "4"}, labels)

    code, _, err = run("create", "Qwen/Qwen3-8B")

    told = "NVIDIA-GeForce-RTX-3090 is not known; by its memory it " + want
    assert (told in err) == bool(want), err
    # Devices without bfloat16 serve nothing here.
    assert code == (1 if major == "7" else 0), err


@pytest.mark.parametrize(
    ("resource", "labels", "template", "device"),
    [
        (
            "amd.com/gpu",
            {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"},
            "gpt-oss-20b",
            "AMD Instinct MI300X",
        ),
        ("huawei.com/ascend-1980", {}, "Qwen3-32B-NPU", "Huawei Ascend 910B"),
    ],
)
def test_nodes_of_other_vendors_are_known(
    run: Run,
    add_node: Callable[..., None],
    resource: str,
    labels: Object,
    template: str,
    device: str,
) -> None:
    add_node("other", {resource: "8"}, labels)

    code, out, err = run("create", template)

    assert code == 0, err
    (worker,) = yaml.safe_load(out)["spec"]["backends"][0]["workers"]
    assert list(worker["resources"]["limits"]) == [resource]
    assert device in err


@pytest.mark.parametrize(
    ("resource", "want"),
    [
        (None, "the cluster has no nodes"),
        ("nvidia.com/gpu", "nodes offer nvidia.com/gpu, but their labels nvidia.com/gpu.product"),
        ("habana.ai/gaudi", "nodes offer habana.ai/gaudi, which tells no device"),
        ("cpu", "no node offers an accelerator"),
    ],
)
def test_nodes_that_tell_nothing_leave_it_to_the_template(
    run: Run, add_node: Callable[..., None], resource: str | None, want: str
) -> None:
    if resource:
        add_node("unknown", {resource: "8"})

    code, out, err = run("create", "Qwen3-32B")

    assert code == 0
    assert yaml.safe_load(out)["metadata"]["name"] == "qwen3-32b"
    assert want in err
    assert "the first profile of the template is taken" in err


def test_who_may_not_list_nodes_gets_the_template(run: Run, kubectl: Kubectl, admin: Admin) -> None:
    assert kubectl("create", "serviceaccount", "dev").code == 0
    user = f"system:serviceaccount:{admin.namespace}:dev"

    code, out, err = run("create", "Qwen3-32B", "--as", user)

    assert (code, out != "") == (0, True), err
    assert "you may not list the nodes of the cluster" in err


def test_a_manifest_is_applied_with_the_lines_of_kthena(run: Run, admin: Admin) -> None:
    create = ("create", "manifest", "-t", "Qwen3-32B", "--yes")
    where = f"ModelBooster: qwen3-32b in namespace {admin.namespace}\n"

    code, out, err = run(*create)

    assert code == 0
    assert err.startswith(f"Generated YAML:\n{'=' * 16}\napiVersion: ")
    assert out == (
        f"Applying ModelBooster/v1alpha1: qwen3-32b in namespace {admin.namespace}\n"
        f"  Creating {where}  \N{CHECK MARK} Applied successfully\n"
        "All resources applied successfully!\n"
    )
    assert f"  Updating {where}" in run(*create, "--set", "maxModelLen=8192")[1]


def test_the_namespace_of_a_manifest_is_that_of_the_context(run: Run, admin: Admin) -> None:
    create = ("create", "manifest", "-t", "Qwen3-32B", "--dry-run")
    assert yaml.safe_load(run(*create)[1])["metadata"]["namespace"] == admin.namespace
    assert yaml.safe_load(run(*create, "-n", "x")[1])["metadata"]["namespace"] == "x"


def test_a_manifest_that_is_refused_has_the_text_of_kthena(run: Run, admin: Admin) -> None:
    code, _, err = run(
        *("create", "manifest", "-t", "Qwen3-32B", "--yes", "-n", admin.namespace),
        *("--set", "backendName=Not_A_Name"),
    )
    assert code == 1
    assert "Error: failed to apply ModelBooster qwen3-32b: " in err
