"""The commands on the catalogue without a cluster, with the texts of kthena's command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from app.catalog.templates import templates
from tests.commands import run_in_process

Ran = tuple[int | str | None, str, str]
Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command where there is no cluster; returns exit code, stdout and stderr."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    return partial(run_in_process, capsys)


def test_templates_are_listed_with_vendor_and_description(run: Run) -> None:
    code, out, err = run("get", "templates")

    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert re.fullmatch(r"NAME {3,}DESCRIPTION", header)
    names = [row.split()[0] for row in rows]
    assert names == sorted(names, key=str.encode)
    assert "Qwen/Qwen3-32B" in names
    # Columns are padded to the widest cell plus three blanks.
    assert header.index("DESCRIPTION") == max(map(len, names)) + 3


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_lists_have_the_keys_of_kthena(run: Run, output: str) -> None:
    code, out, _ = run("get", "templates", "-o", output)

    assert code == 0
    rows = yaml.safe_load(out)
    assert len(rows) == len(list(templates()))
    assert all(list(row) == ["Description", "FilePath", "Name"] for row in rows)
    assert {row["Name"]: row["FilePath"] for row in rows}["Qwen/Qwen3-32B"] == "Qwen/Qwen3-32B.yaml"


def test_names_are_printed_as_kubectl_prints_them(run: Run) -> None:
    assert "template/Qwen/Qwen3-32B\n" in run("get", "templates", "-o", "name")[1]


def test_wide_tells_engines_and_profiles(run: Run) -> None:
    _, out, _ = run("get", "templates", "-o", "wide")
    header, *rows = out.splitlines()
    assert header.split() == ["NAME", "DESCRIPTION", "ENGINES", "GATED", "PROFILES"]
    (row,) = (row for row in rows if row.startswith("Qwen/Qwen3-32B "))
    assert re.search(r"vllm,sglang +no +h100-80gb-x2", row)


@pytest.mark.parametrize("output", [(), ("-o", "yaml")])
@pytest.mark.parametrize("name", ["Qwen/Qwen3-32B", "Qwen3-32B"])
def test_a_template_is_printed_as_its_file(run: Run, name: str, output: tuple[str, ...]) -> None:
    code, out, _ = run("get", "template", name, *output)

    assert code == 0
    assert yaml.safe_load(out)["repository"] == "Qwen/Qwen3-32B"


def test_a_template_is_one_row_in_other_formats(run: Run) -> None:
    _, out, _ = run("get", "template", "Qwen3-32B", "-o", "table")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "Qwen/Qwen3-32B"]
    facts = json.loads(run("get", "template", "Qwen3-32B", "-o", "json")[1])
    assert facts["name"] == "Qwen/Qwen3-32B"


def test_a_missing_template_has_the_text_of_kthena(run: Run) -> None:
    for args in (
        ("get", "template", "Qwen3-33B"),
        ("describe", "template", "Qwen3-33B"),
        ("create", "manifest", "-t", "Qwen3-33B", "--dry-run"),
        ("create", "Qwen3-33B"),
    ):
        code, out, err = run(*args)
        assert (code, out) == (2, "")
        assert err.startswith("Error: template 'Qwen3-33B' not found; did you mean Qwen/Qwen3-32B")


def test_a_description_ends_with_the_template(run: Run) -> None:
    code, out, _ = run("describe", "template", "Qwen/Qwen3-32B")

    assert code == 0
    facts, _, content = out.partition(f"{'=' * 17}\nTemplate Content:\n{'=' * 17}\n")
    assert yaml.safe_load(content)["name"] == "Qwen/Qwen3-32B"
    assert "h100-80gb-x2" in facts
    assert "maxModelLen" in facts


def test_a_manifest_goes_to_stdout_and_the_rest_to_stderr(run: Run, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("maxModelLen: 8192\nowner: team\n")

    code, out, err = run(
        *("create", "manifest", "--template", "Qwen/Qwen3-32B", "--values-file", str(values)),
        *("--set", "minReplicas=1,maxReplicas=2", "--set", "owner=other", "--name", "chat"),
        *("-n", "team", "--dry-run"),
    )

    assert code == 0
    booster = yaml.safe_load(out)
    assert booster["metadata"] == {"name": "chat", "namespace": "team"}
    assert booster["spec"]["owner"] == "other"
    backend = booster["spec"]["backends"][0]
    assert (backend["minReplicas"], backend["maxReplicas"]) == (1, 2)
    assert backend["workers"][0]["config"]["max-model-len"] == 8192
    rule = "=" * 16
    assert err.endswith(f"Generated YAML:\n{rule}\n{rule}\nDry run mode: not applying to cluster\n")


def test_what_the_webhook_would_refuse_is_not_printed(run: Run) -> None:
    code, out, err = run("create", "Qwen3-32B", "--gpu", "h100", "--set", "backendName=Not_A_Name")
    assert (code, out) == (1, "")
    assert '\nThe ModelBooster "qwen3-32b" is invalid: spec.backends[0].name: Invalid' in err


def test_the_namespace_is_always_in_a_manifest(run: Run) -> None:
    _, out, _ = run("create", "manifest", "-t", "Qwen3-32B", "--dry-run", "-o", "json")
    assert json.loads(out)["metadata"]["namespace"] == "default"


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_applied(
    run: Run, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    code, out, err = run("create", "manifest", "-t", "Qwen3-32B")

    assert (code, out) == (0, "")
    assert err.startswith(f"Generated YAML:\n{'=' * 16}\napiVersion: ")
    question = "Do you want to apply these resources to the cluster? [y/N]: "
    assert err.endswith(f"{'=' * 16}\n{question}Aborted.\n")


@pytest.mark.parametrize(
    ("args", "code", "want"),
    [
        (("-f", "none.yaml"), 2, "failed to load template values: failed to read values file: "),
        (("-f", "BROKEN"), 2, "failed to parse values file: "),
        (("--set", "gpuLimt=2"), 2, 'unknown value "gpuLimt"; did you mean gpuLimit?'),
        (("--set", "minReplicas=3,maxReplicas=1"), 2, "failed to render template: minReplicas: 3"),
        (("--yes",), 1, "failed to apply ModelBooster qwen3-32b: no cluster is configured"),
    ],
)
def test_faults_of_a_manifest_have_the_texts_of_kthena(
    run: Run, tmp_path: Path, args: tuple[str, ...], code: int, want: str
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [\n")
    args = tuple(str(broken) if arg == "BROKEN" else arg for arg in args)

    ended, _, err = run("create", "manifest", "-t", "Qwen3-32B", *args)

    assert (ended, want in err) == (code, True), err
    assert "Traceback" not in err


def test_a_profile_is_chosen_by_the_device_and_the_reason_told(run: Run) -> None:
    code, out, err = run("create", "Qwen3-32B", "--gpu", "h200")

    assert code == 0
    (worker,) = yaml.safe_load(out)["spec"]["backends"][0]["workers"]
    assert worker["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert err.startswith("Qwen/Qwen3-32B on 1 x NVIDIA H200 with vLLM: ")
    assert re.search(r"^  weights +61\.0 GiB", err, re.MULTILINE)


def test_a_device_may_be_named_by_its_resource(run: Run) -> None:
    code, out, _ = run("create", "Qwen3-32B-NPU", "--gpu", "huawei.com/ascend-1980")
    assert code == 0
    (worker,) = yaml.safe_load(out)["spec"]["backends"][0]["workers"]
    assert list(worker["resources"]["limits"]) == ["huawei.com/ascend-1980"]

    code, _, err = run("create", "Qwen3-32B", "--gpu", "habana.ai/gaudi")
    assert code == 2
    assert '--gpu "habana.ai/gaudi": no profile for this resource' in err


def test_what_is_lacking_is_told(run: Run) -> None:
    code, out, err = run("create", "DeepSeek-R1", "--gpu", "l4:8")
    assert (code, out) == (1, "")
    assert "DeepSeek-R1 does not fit: 8 x NVIDIA L4: " in err


def test_without_a_cluster_the_template_decides(run: Run) -> None:
    code, out, err = run("create", "Qwen3-32B", "-o", "name")
    assert (code, out) == (0, "modelbooster.workload.serving.volcano.sh/qwen3-32b\n")
    assert "no cluster is configured" in err
    assert "the first profile of the template is taken, --gpu chooses another one" in err


def test_a_profile_may_be_named(run: Run) -> None:
    code, out, err = run("create", "Qwen3-32B", "--set", "profile=l40s-48gb-x4,maxModelLen=16384")
    assert code == 0
    config = yaml.safe_load(out)["spec"]["backends"][0]["workers"][0]["config"]
    assert (config["tensor-parallel-size"], config["max-model-len"]) == (4, 16384)
    assert "the profile that --set names" in err

    code, _, err = run("create", "Qwen3-32B", "--set", "profile=x")
    assert code == 2
    assert 'profile: "x" is none of h100-80gb-x2, ' in err


def test_kthena_decides_the_form_of_the_object(run: Run) -> None:
    _, out, _ = run("create", "Qwen3-32B", "--gpu", "h100", "--kthena", "v1.0.0")
    assert yaml.safe_load(out)["spec"]["backend"]["replicas"] == 1


def test_a_gated_model_tells_how_to_make_its_secret(run: Run) -> None:
    _, _, err = run("create", "Llama-3.2-1B-Instruct", "--gpu", "l4", "-n", "team")
    assert (
        "kubectl create secret generic hugging-face --namespace=team "
        '--from-literal=HF_AUTH_TOKEN="$HF_TOKEN"'
    ) in err


def test_applying_without_a_cluster_is_a_failure_with_a_sentence(run: Run) -> None:
    code, out, err = run("create", "Qwen3-32B", "--gpu", "h100", "--apply")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("Error: no cluster is configured")
