"""The workflows of GitHub Actions, checked by actionlint and zizmor, and what they may do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.binaries import DEFAULT_MINOR
from tests.supply.linters import actionlint

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FILES = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.stem)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["jobs"]
    return found


def used(file: Path) -> Iterator[str]:
    for line in file.read_text().splitlines():
        if match := re.match(r"\s*(?:- )?uses: (.+)", line):
            yield match[1]


@FILES
def test_actionlint_finds_nothing(file: Path) -> None:
    # Without shellcheck: a machine that has it would report other faults than one that has not.
    done = run(actionlint(), "-no-color", "-shellcheck=", "-pyflakes=", file)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_actionlint_finds_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    text = (ROOT / ".github/workflows/release.yml").read_text()
    broken.write_text(text.replace("steps.images.outputs.", "steps.imaegs.outputs."))
    done = run(actionlint(), "-no-color", "-shellcheck=", "-pyflakes=", broken)
    assert done.returncode == 1
    assert 'property "imaegs" is not defined' in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_zizmor_finds_nothing() -> None:
    made = run("make", "--silent", "build/supply/installed")
    assert made.returncode == 0, made.stderr
    zizmor = ROOT / "build/supply/bin/zizmor"
    done = run(zizmor, "--offline", "--no-progress", "--strict-collection", ".github", "action.yml")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / "docs/ci.md"], ids=lambda path: path.stem)
def test_every_action_is_pinned_by_commit(file: Path) -> None:
    found = [action for action in used(file) if action != "OWNER/model-booster@COMMIT"]
    assert found
    for action in found:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for file in (*WORKFLOWS, ROOT / "docs/ci.md"):
        for action in used(file):
            name, _, pin = action.partition("@")
            pins.setdefault(name, set()).add(pin)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_only_the_job_that_publishes_may_sign() -> None:
    file = ROOT / ".github/workflows/release.yml"
    assert yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["permissions"] == {}
    rights = {name: job["permissions"] for name, job in jobs(file).items()}
    assert rights == {
        "check": {"contents": "read"},
        "image": {"contents": "read", "packages": "write"},
        "publish": {
            "contents": "write",
            "packages": "write",
            "id-token": "write",
            "attestations": "write",
        },
    }


def test_nothing_is_published_before_a_maintainer_turns_it_on() -> None:
    """Every step that has a token for the registry waits for the variable."""
    switch = "vars.PUBLISH == 'true'"
    described = jobs(ROOT / ".github/workflows/release.yml")
    assert described["publish"]["if"] == switch
    for name in ("check", "image"):
        for step in described[name]["steps"]:
            if "github.token" in str(step):
                assert step["if"] == switch
    (build,) = (step for step in described["image"]["steps"] if step.get("id") == "build")
    assert build["with"]["outputs"].endswith(f",push=${{{{ {switch} }}}}")
    assert build["with"]["outputs"].startswith("type=image,name=${{ env.IMAGE }},")
    outputs = [f"needs.check.outputs.{name}" for name in ("downloader", "image")]
    named = "${{ matrix.image == 'downloader' && " + " || ".join(outputs) + " }}"
    assert described["image"]["env"] == {"IMAGE": named}
    assert build["with"]["build-args"] == "BASE=${{ needs.check.outputs.base }}"


def test_a_release_is_tested_on_every_kubernetes_that_the_pages_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (others,) = re.findall(r"^KUBERNETES_VERSIONS \?= (.+)$", makefile, re.MULTILINE)
    steps = jobs(ROOT / ".github/workflows/release.yml")["check"]["steps"]
    assert [s["run"] for s in steps if "test-kubernetes" in s.get("run", "")] == [
        "make test-kubernetes"
    ]
    for page in ("README.md", "charts/model-booster/Chart.yaml", ".ci/run", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text()
        assert all(version in text for version in (*others.split(), DEFAULT_MINOR)), page
    oldest = min(others.split(), key=lambda version: [*map(int, version.split("."))])
    chart = yaml.safe_load((ROOT / "charts/model-booster/Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={oldest}.0-0"


def test_the_early_build_needs_the_standard_library_only() -> None:
    """``.ci/run`` starts it before anything is installed."""
    assert 'python3)" -m tests.controlplane.early &' in (ROOT / ".ci/run").read_text()
    done = run(sys.executable, "-S", "-c", "import tests.controlplane.early")
    assert (done.returncode, done.stderr) == (0, "")


def test_both_images_are_built_signed_and_described() -> None:
    """Of the Dockerfile's targets, for each architecture; with SBOM and provenance."""
    described = jobs(ROOT / ".github/workflows/release.yml")
    matrix = described["image"]["strategy"]["matrix"]
    stages = re.findall(r"(?m)^FROM \$\{BASE\} ?(?:AS (\S+))?", (ROOT / "Dockerfile").read_text())
    targets = {each["image"]: each["target"] for each in matrix["include"] if "image" in each}
    assert sorted(targets) == sorted(matrix["image"]) == ["downloader", "operator"]
    assert (targets["operator"], stages[-1]) == ("", "")
    assert targets["downloader"] in stages

    digests = {f"{image}-{arch}" for image in targets for arch in matrix["architecture"]}
    assert set(described["image"]["outputs"]) == digests
    (build,) = (step for step in described["image"]["steps"] if step.get("id") == "build")
    assert build["with"]["target"] == "${{ matrix.target }}"
    assert (build["with"]["sbom"], build["with"]["provenance"]) == (True, "mode=max")

    steps = described["publish"]["steps"]
    (joined,) = (step for step in steps if step.get("id") == "images")
    for digest in digests:
        assert f"needs.image.outputs.{digest}" in str(joined["env"])
    attested = [step["with"] for step in steps if "attest-build" in step.get("uses", "")]
    for image in targets:
        assert re.search(rf"(?m)^ *join {image} ", joined["run"])
        digest = f"${{{{ steps.images.outputs.{image} }}}}"
        assert digest in [each["subject-digest"] for each in attested]
        assert f"build/{image}.cdx.json" in str(described["check"])
