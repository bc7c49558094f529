"""Files that are made from others are what those others say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.catalog import files, index
from tests.answers.__main__ import page
from tools.catalog.page import page as catalog_page
from tools.cli_reference import page as cli_page

ROOT = Path(__file__).parents[1]
VALIDATION = ROOT / "docs/validation.md"
CATALOG = ROOT / "docs/catalogue.md"
CLI_PAGE = ROOT / "docs/cli.md"
CHART_CRD = ROOT / "charts/model-booster/templates/crds.yaml"


def printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "modelbooster", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout


def test_chart_crd_matches_the_types() -> None:
    assert CHART_CRD.read_text() == printed("crd", "--chart"), 'run "make generate"'


def test_refusals_page_matches_the_rules() -> None:
    assert VALIDATION.read_text() == "".join(page()), 'run "make generate"'


def test_index_of_the_catalogue_matches_its_files() -> None:
    assert index.PATH.read_text() == files.index_of(files.read_models()), 'run "make generate"'


def test_page_of_the_catalogue_matches_it() -> None:
    assert CATALOG.read_text() == "\n".join(catalog_page()) + "\n", 'run "make generate"'


def test_cli_page_matches_the_commands() -> None:
    text = CLI_PAGE.read_text()
    assert text == cli_page(text), 'run "make generate"'


def declared(*extras: str) -> list[Requirement]:
    """Returns the dependencies that pyproject.toml declares, with those of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][e] for e in extras)]
    return [Requirement(line) for some in lists for line in some]


def pinned(file: str) -> dict[str, str]:
    """Returns name and version of every pin of a requirements file."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(), re.M)
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize(
    ("file", "extras"), [("requirements.txt", []), ("requirements-dev.txt", ["dev"])]
)
def test_every_dependency_is_pinned_as_declared(file: str, extras: list[str]) -> None:
    pins = pinned(file)
    wrong = [
        str(requirement)
        for requirement in declared(*extras)
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == [], 'run "make lock"'


def test_tests_run_with_the_versions_that_run_in_a_cluster() -> None:
    assert pinned("requirements.txt").items() <= pinned("requirements-dev.txt").items()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_pins_have_hashes_and_name_no_index(file: str) -> None:
    text = (ROOT / file).read_text()
    blocks = re.split(r"\n(?=\S)", text)
    assert [b for b in blocks if "==" in b and "--hash=sha256:" not in b] == []
    assert not re.search(r"^\s*--(?!hash)|://", text, re.M)
