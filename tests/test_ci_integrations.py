"""The integrations with CI systems, tried on a sample repository with the real tools."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
import yaml

from tests.chart import helm
from tests.checkout import bare_environment
from tests.controlplane import clients

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests/sample-repository"
PRE_COMMIT, CHECKER = "pre-commit==4.7.0", "check-jsonschema==0.39.0"
# The npm package that holds the schema of SARIF 2.1.0 as OASIS published it.
SARIF_SCHEMA = ("@microsoft/jest-sarif@1.0.0-beta.0", "package/lib/schemas/sarif-2.1.0-rtm.5.json")
FAULT = "minReplicas cannot be greater than maxReplicas"
ANNOTATION = "::error file=models/faulty.yaml,line=10,col=7,"

pytestmark = [pytest.mark.usefixtures("package_index"), pytest.mark.timeout(600)]


def run(
    *command: str | Path, where: Path, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def git(*arguments: str, where: Path) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run("git", *who, *arguments, where=where)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with the sample in it."""
    folder = tmp_path / "repository"
    shutil.copytree(SAMPLE, folder)
    git("init", "--quiet", where=folder)
    git("add", "--all", where=folder)
    git("commit", "--quiet", "--message", "Sample", where=folder)
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with pre-commit and check-jsonschema, from the index."""
    folder = tmp_path_factory.mktemp("tools")
    run(*bare_environment(folder), "install", "--quiet", PRE_COMMIT, CHECKER, where=folder)
    return folder / "bin"


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH with the real kubectl and helm in front."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(clients.kubectl())
    (folder / "helm").symlink_to(clients.helm())
    return f"{folder}:{os.environ['PATH']}"


def test_the_rendered_files_of_the_sample_are_what_the_tools_print() -> None:
    built = run(clients.kubectl(), "kustomize", "kustomize/production", where=SAMPLE).stdout
    assert (SAMPLE / "rendered/kustomize.yaml").read_text() == built
    printed = helm("template", "models", str(SAMPLE / "helm"))
    assert (SAMPLE / "rendered/helm.yaml").read_text() == printed.stdout, printed.stderr


@pytest.mark.slow
def test_the_sarif_report_keeps_to_its_schema(tmp_path: Path) -> None:
    package, schema = SARIF_SCHEMA
    name = run("npm", "pack", "--silent", package, where=tmp_path).stdout.strip()
    with tarfile.open(tmp_path / name) as archive:
        file = archive.extractfile(schema)
        assert file is not None
        published = json.load(file)
    # Its pattern of languages has a bracket too many, which this validator refuses; we write none.
    for name in ("run", "toolComponent"):
        del published["definitions"][name]["properties"]["language"]["pattern"]
    validator = jsonschema_rs.validator_for(published)
    command = (sys.executable, "-m", "modelbooster", "validate", "-o", "sarif", "--mixed")
    files = [str(path) for path in sorted(ROOT.glob("examples/**/*.yaml"))]
    sample = [str(SAMPLE / "models/faulty.yaml"), str(SAMPLE / "rendered/helm.yaml")]
    outside = tmp_path / "with blank.yaml"
    outside.write_text("kind: ModelBooster\nkind: x\n")
    for code, names in ((1, [*files, *sample]), (0, sample[1:]), (2, [str(outside)])):
        log = json.loads(run(*command, *names, where=ROOT, code=code).stdout)
        assert [str(error) for error in validator.iter_errors(log)] == []
        assert bool(log["runs"][0]["results"]) == (code != 0)
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate({**log, "version": "1"})


@pytest.mark.slow
def test_pre_commit_runs_the_hook_in_an_environment_of_its_own(
    tools: Path, repository: Path, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks"
    run("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", hooks, where=tmp_path)
    # What is not committed yet counts too.
    for name in run("git", "ls-files", "-mo", "--exclude-standard", where=ROOT).stdout.split():
        (hooks / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, hooks / name)
    git("add", "--all", where=hooks)
    git("commit", "--quiet", "--allow-empty", "--message", "Work", where=hooks)
    run(tools / "pre-commit", "validate-manifest", hooks / ".pre-commit-hooks.yaml", where=hooks)
    revision = run("git", "rev-parse", "HEAD", where=hooks).stdout.strip()
    hook = {"repo": str(hooks), "rev": revision, "hooks": [{"id": "model-booster-validate"}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [hook]}))
    git("add", "--all", where=repository)

    check = (tools / "pre-commit", "run", "--all-files", "--color=never")
    home = str(tmp_path / "home")
    told = run(*check, where=repository, code=1, PRE_COMMIT_HOME=home).stdout
    assert 'models/faulty.yaml:1: The ModelBooster "upside-down" is invalid: ' in told
    assert told.count(FAULT) == 1
    assert 'rendered/helm.yaml:3: ModelBooster "large" is valid' in told
    git("rm", "--quiet", "models/faulty.yaml", where=repository)
    assert "Passed" in run(*check, where=repository, PRE_COMMIT_HOME=home).stdout


@pytest.mark.slow
def test_the_action_and_the_gitlab_job_keep_to_their_schemas(tools: Path, tmp_path: Path) -> None:
    check = tools / "check-jsonschema"
    run(check, "--builtin-schema", "vendor.github-actions", ROOT / "action.yml", where=ROOT)
    job = yaml.safe_load((ROOT / "ci/gitlab/model-booster.yml").read_text())
    job["validate"] = {"extends": ".model-booster-validate"}
    (tmp_path / "gitlab.yml").write_text(yaml.safe_dump(job))
    run(check, "--builtin-schema", "vendor.gitlab-ci", tmp_path / "gitlab.yml", where=ROOT)


class Runner:
    """Runs the steps of a composite action as GitHub's runner does, with bash and an environment.

    Args:
        workspace: the repository to check.
        temporary: the runner's folder for files of the job.
        path: where the runner's programs are.
    """

    def __init__(self, workspace: Path, temporary: Path, path: str) -> None:
        self._action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
        self._workspace, self._temporary = workspace, temporary
        self._environment = {
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(temporary),
            "PATH": path,
        }

    def run(self, step: str, inputs: dict[str, str], *, code: int = 0) -> str:
        """Runs one step with these inputs, and returns its output."""
        given = {name: each["default"] for name, each in self._action["inputs"].items()} | inputs
        values = {f"inputs.{name}": text for name, text in given.items()}
        values["github.action_path"] = str(ROOT)
        [found] = [each for each in self._action["runs"]["steps"] if each["name"] == step]
        assert "${{" not in found["run"], "an input in the text of a script could be a command"
        environment = {
            name: re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda match: values[match[1]], text)
            for name, text in found["env"].items()
        }
        script = self._temporary / "step.sh"
        script.write_text(found["run"])
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
        environment |= self._environment
        return run(*shell, where=self._workspace, code=code, **environment).stdout


@pytest.mark.slow
def test_the_action_annotates_the_files_of_a_repository(
    repository: Path, tmp_path: Path, programs: str
) -> None:
    temporary = tmp_path / "with a blank"
    temporary.mkdir()
    runner = Runner(repository, temporary, programs)
    runner.run("Install model-booster", {"python": sys.executable})

    told = runner.run("Validate", {"sarif-file": "report.sarif"}, code=1).splitlines()
    assert [line for line in told if line.startswith("::error")] == [
        line for line in told if line.startswith(ANNOTATION)
    ]
    assert len(told) == 1
    [result] = json.loads((repository / "report.sarif").read_text())["runs"][0]["results"]
    assert FAULT in result["message"]["text"]

    fine = runner.run("Validate", {"files": "rendered\nmodels/chat.yaml", "kthena": "v0.4.0"})
    assert fine == ""
    built = {"kustomizations": "kustomize/production\n", "charts": "helm"}
    built["files"] = "models/chat.yaml"
    assert runner.run("Validate", built) == ""
    values = repository / "helm/values.yaml"
    values.write_text(values.read_text().replace("replicas: 2", "replicas: -1"))
    assert "::error " in runner.run("Validate", built, code=1)
    assert "no YAML or JSON file" in runner.run("Validate", {"files": "nothing"})
    evil = "$(touch evil); `touch evil`\n'; touch evil #"
    runner.run("Validate", {"files": evil, "strict": "true"})
    assert not (repository / "evil").exists()


@pytest.mark.slow
def test_the_gitlab_job_writes_a_junit_report(repository: Path, tmp_path: Path) -> None:
    job = yaml.safe_load((ROOT / "ci/gitlab/model-booster.yml").read_text())
    job = job[".model-booster-validate"]
    lines = [line.replace("/tmp/", f"{tmp_path}/") for line in job["script"]]
    script = tmp_path / "script.sh"
    script.write_text("\n".join(lines))
    variables = {**job["variables"], "MODEL_BOOSTER_PACKAGE": str(ROOT)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = ("bash", "-eo", "pipefail", script)
    # GitLab's runner sets it to the repository.
    variables |= {"PATH": path, "CI_PROJECT_DIR": str(repository)}
    told = run(*shell, where=repository, code=1, **variables).stdout
    assert "./models/faulty.yaml:1: The ModelBooster" in told
    report = (repository / "model-booster.xml").read_text()
    suites = ElementTree.fromstring(report)  # noqa: S314 - our own
    assert suites.get("failures") == "1"
    [failed] = [case for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failed.get("file") == "models/faulty.yaml"
