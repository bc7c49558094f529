"""What the image contains of Python: the SBOM, and the licences in it, by the real programs."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checkout import locked

ROOT = Path(__file__).parents[2]
LOCKS = {"operator": "requirements.txt", "downloader": "requirements-downloader.txt"}
"""The lock file of each image."""

# The first test installs two environments.
pytestmark = [pytest.mark.usefixtures("package_index"), pytest.mark.slow, pytest.mark.timeout(600)]


def make(target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--silent", target], cwd=ROOT, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def sboms() -> dict[str, dict[str, Any]]:
    """The SBOM of each image."""
    done = make("sbom")
    assert done.returncode == 0, done.stderr
    return {name: json.loads((ROOT / f"build/{name}.cdx.json").read_text()) for name in LOCKS}


def licenses(components: list[dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "sbom.json"
    file.write_text(json.dumps({"components": components}))
    return subprocess.run(
        [ROOT / "build/supply/bin/python", "-m", "tools.supply.licenses", file],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("image", LOCKS)
def test_the_sbom_has_every_locked_package_and_no_other(
    sboms: dict[str, dict[str, Any]], image: str
) -> None:
    sbom = sboms[image]
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    root = sbom["metadata"]["component"]
    assert (root["name"], root["version"]) == (project["name"], project["version"])

    listed = {canonicalize_name(each["name"]): each["version"] for each in sbom["components"]}
    assert listed == locked(LOCKS[image])
    assert all(each["purl"].startswith("pkg:pypi/") for each in sbom["components"])


@pytest.mark.parametrize("image", LOCKS)
def test_the_sbom_says_what_the_program_depends_on(
    sboms: dict[str, dict[str, Any]], image: str
) -> None:
    sbom = sboms[image]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    # The program names what an extra asks for too, where it is installed.
    wanted = {canonicalize_name(Requirement(line).name) for line in lines} & set(
        locked(LOCKS[image])
    )
    names = {each["bom-ref"]: canonicalize_name(each["name"]) for each in sbom["components"]}
    root = sbom["metadata"]["component"]["bom-ref"]
    (of_root,) = (each for each in sbom["dependencies"] if each["ref"] == root)
    assert {names[ref] for ref in of_root["dependsOn"]} == wanted


@pytest.mark.usefixtures("sboms")
def test_the_licence_of_every_package_is_listed_and_allowed() -> None:
    done = make("licenses")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    listed = {canonicalize_name(name): version for name, version, _ in rows}
    assert listed == {**locked(LOCKS["operator"]), **locked(LOCKS["downloader"])}
    assert all(licence for _, _, licence in rows)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        pytest.param([], "declares no licence", id="none"),
        pytest.param(
            [{"license": {"name": "Our own licence"}}],
            'declares "Our own licence", which is not an SPDX licence',
            id="free text",
        ),
        pytest.param(
            [{"license": {"name": "License :: OSI Approved :: BSD License"}}],
            'declares "License :: OSI Approved :: BSD License", which is not an SPDX licence',
            id="a classifier that stands for several licences",
        ),
        pytest.param(
            [{"license": {"id": "GPL-3.0-only"}}],
            "has the licence GPL-3.0-only, which is not allowed",
            id="copyleft",
        ),
        pytest.param(
            [{"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}}],
            "has the licence GPL-3.0-only, which is not allowed",
            id="one of two",
        ),
        pytest.param(
            [{"expression": "MIT AND (GPL-2.0-only OR LGPL-2.1-only)"}],
            "has the licence MIT AND (GPL-2.0-only OR LGPL-2.1-only), which is not allowed",
            id="an expression",
        ),
        pytest.param(
            [{"expression": "Apache-2.0 WITH LLVM-exception"}],
            "has the licence Apache-2.0 WITH LLVM-exception, which is not allowed",
            id="an exception that nobody has read",
        ),
        pytest.param([{"expression": "Apache-2.0 OR GPL-2.0-only"}], None, id="a choice"),
    ],
)
@pytest.mark.usefixtures("sboms")  # makes the environment that it runs in
def test_a_licence_that_nobody_has_allowed_fails_with_the_name_of_the_package(
    declared: list[dict[str, Any]], fault: str | None, tmp_path: Path
) -> None:
    known = {"name": "known", "version": "1.0", "licenses": [{"license": {"id": "MIT"}}]}
    done = licenses([known, {"name": "odd", "version": "2.0", "licenses": declared}], tmp_path)
    if fault is None:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1
    first, *_ = done.stderr.splitlines()
    assert first == f"odd 2.0 {fault}"
    assert "known 1.0" not in done.stderr
