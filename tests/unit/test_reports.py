"""The reports for CI: GitHub's annotations, SARIF, JUnit; with the line of the field at fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from modelbooster.cli.main import main

Run = Callable[..., tuple[int, str, str]]

FAULTY = """\
# Two objects; the second in a List.
apiVersion: workload.serving.volcano.sh/v1alpha1
kind: ModelBooster
metadata: {name: fine}
spec: &spec
  backends:
    - name: b
      type: vLLM
      modelURI: hf://Qwen/Qwen3-8B
      minReplicas: 1
      maxReplicas: 1
      workers: [{image: "vllm/vllm-openai:v0.9.2"}]
---
kind: List
apiVersion: v1
items:
  - apiVersion: workload.serving.volcano.sh/v1alpha1
    kind: ModelBooster
    metadata: {name: faulty}
    spec:
      name: faulty
      colour: red
      backends:
        - name: b
          type: vLLM
          modelURI: hf://Qwen/Qwen3-8B
          minReplicas: 5
          maxReplicas: 3
          autoscalingPolicy: {metrics: [{metricName: x, targetValue: 1}]}
          workers:
            - image: vllm/vllm-openai:v0.9.2
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs validate in a folder of its own, the root of the repository."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)

    def call(output: str, **files: str) -> tuple[int, str, str]:
        for name, text in files.items():
            Path(f"{name}.yaml").write_text(text)
        with pytest.raises(SystemExit) as ended:
            main(["validate", "-o", output, *(f"{name}.yaml" for name in files)])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return call


FIELD = "spec.backends[0].minReplicas"
SAID = f"{FIELD}: Invalid value: 5: minReplicas cannot be greater than maxReplicas"
UNKNOWN = 'unknown field "spec.colour"'


def test_github_annotates_the_line_of_the_field(run: Run) -> None:
    code, out, err = run("github", models=FAULTY)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f'::error file=models.yaml,line=27,col=11,title=ModelBooster "faulty"::{SAID}',
        f'::warning file=models.yaml,line=22,col=7,title=ModelBooster "faulty"::{UNKNOWN}',
    ]


def test_paths_start_at_the_root_of_the_repository(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path.parent))
    assert f"file={tmp_path.name}/models.yaml," in run("github", models=FAULTY)[1]


def test_no_object_can_write_a_command_of_github(run: Run) -> None:
    other = (
        '{"apiVersion": "v1", "kind": "A\\n::error::kind", "metadata": {"name": "x\\n::error::y"}}'
    )
    evil = FAULTY.replace("name: faulty}", r'name: "a%0A,b:\r\n::stop-commands::x"}')
    code, out, err = run("github", other=other, evil=evil)
    assert code == 1
    assert all(line.startswith(("::error file=", "::warning file=")) for line in out.splitlines())
    assert 'title=ModelBooster "a%250A%2Cb%3A%0D%0A%3A%3Astop-commands%3A%3Ax"::' in out
    assert [line for line in err.splitlines() if line.startswith("::")] == []

    code, out, err = run("github", twice='{a: 1, "x\\n::error::y": 1, "x\\n::error::y": 2}\n')
    assert code == 2
    assert len(out.splitlines()) == len(err.splitlines()) == 1


@pytest.mark.parametrize("output", ["github", "sarif", "junit"])
def test_input_that_cannot_be_read_is_reported_with_its_line(run: Run, output: str) -> None:
    code, out, err = run(output, broken="kind: A\nb: 1\nb: 2\n")
    assert (code, err) == (2, 'Error: broken.yaml:3:1: the key "b" is here twice\n')
    said = 'the key "b" is here twice'
    if output == "github":
        assert (
            out == f"::error file=broken.yaml,line=3,col=1,title=model-booster validate::{said}\n"
        )
    elif output == "sarif":
        [result] = json.loads(out)["runs"][0]["results"]
        assert (result["ruleId"], result["message"]["text"]) == ("UnreadableInput", said)
    else:
        [case] = ElementTree.fromstring(out).iter("testcase")  # noqa: S314 - our own
        assert case.find("failure") is not None


def test_sarif_has_a_result_for_each_finding(run: Run) -> None:
    code, out, _ = run("sarif", models=FAULTY)
    assert code == 1
    [log] = json.loads(out)["runs"]
    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert rules == ["FieldValueInvalid", "Warning"]
    fault, warning = log["results"]
    place = fault["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "models.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 27, "startColumn": 11},
    }
    assert (fault["level"], fault["message"]["text"]) == ("error", SAID)
    assert (warning["level"], rules[warning["ruleIndex"]]) == ("warning", "Warning")


def test_junit_has_a_case_for_each_document(run: Run) -> None:
    code, out, _ = run("junit", models=FAULTY)
    assert code == 1
    suites = ElementTree.fromstring(out)  # noqa: S314 - our own
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    fine, faulty = suites.iter("testcase")
    assert (fine.get("name"), [*fine]) == ("default/fine (models.yaml:2)", [])
    failure = faulty.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("FieldValueInvalid", SAID)
    assert faulty.findtext("system-out") == f"models.yaml:22: warning: {UNKNOWN}"


def test_junit_is_xml_whatever_a_name_contains(run: Run) -> None:
    evil = FAULTY.replace("{name: faulty}", r'{name: "<&\"]]>\x01\uFFFE"}')
    ElementTree.fromstring(run("junit", models=evil)[1])  # noqa: S314 - our own


def test_a_field_that_is_not_written_points_to_the_next_one_above(run: Run) -> None:
    missing = FAULTY.replace("      type: vLLM\n", "", 1)
    _, out, _ = run("github", models=missing)
    assert 'line=7,col=7,title=ModelBooster "fine"::spec.backends[0].type: Required' in out


def test_json_has_lines_as_well(run: Run) -> None:
    text = '{\n"apiVersion": "workload.serving.volcano.sh/v1alpha1", "kind": "ModelBooster",\n'
    text += '"metadata": {"name": "m"},\n"spec": {\n"backends": []}}\n'
    assert "file=m.yaml,line=5," in run("github", m=text)[1]


def test_mixed_files_may_be_anything_if_they_have_no_model_booster(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: x\n")
    template = chart / "templates/m.yaml"
    template.write_text("{{ if x }}\nkind: ModelBooster\n")
    (tmp_path / "values.yaml").write_text("a: {{ b\n")
    (tmp_path / "models.yaml").write_text(f"just: values\n---\n{FAULTY}")
    files = [str(tmp_path / "values.yaml"), str(template), str(tmp_path / "models.yaml")]

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["validate", *arguments, *files])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    code, out, err = run("--mixed")
    assert (code, out.count("is valid"), out.count("is invalid")) == (1, 1, 1)
    left_out = "a template of a Helm chart: left out; check what helm template prints"
    assert err == f"{template}: {left_out}\n"
    assert run()[0] == 2
