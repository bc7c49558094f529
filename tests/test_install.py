"""``make install`` installs the locked versions, even if the package index has newer ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.checkout import copy_project, locked
from tests.package_index import NEWER, NewerIndex, used_by_pip

ROOT = Path(__file__).parents[1]
LOCK = "requirements-dev.txt"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def index() -> Iterator[NewerIndex]:
    with NewerIndex() as served:
        yield served


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, so that its environment stays unchanged."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    return copy_project(folder, "Makefile", LOCK)


def run(*command: str | Path, where: Path) -> str:
    done = subprocess.run(command, cwd=where, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(python: Path, where: Path) -> dict[str, str]:
    listed = json.loads(run(python, "-m", "pip", "list", "--format=json", where=where))
    found: dict[str, str] = {canonicalize_name(each["name"]): each["version"] for each in listed}
    for ours in ("pip", "model-booster"):
        del found[ours]
    return found


@pytest.mark.parametrize(
    "pip",
    [
        pytest.param("pip==23.0.1", id="the oldest pip, of Debian 12"),
        # Whichever that is today: it is what a user gets who upgrades.
        pytest.param("pip", id="the newest pip"),
    ],
)
def test_newer_releases_do_not_change_the_installation(
    index: NewerIndex, checkout: Path, pip: str
) -> None:
    python = checkout / "venv/bin/python"
    run(sys.executable, "-m", "venv", "venv", where=checkout)
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", pip, where=checkout)
    with used_by_pip(index):
        # The index does offer something newer, of every kind of requirement.
        for wanted in ("orjson", "httpx[socks]"):
            offer = ("install", "--dry-run", "--no-deps", "--ignore-installed", wanted)
            told = run(python, "-m", "pip", *offer, where=checkout)
            assert f"{wanted.partition('[')[0]}-{NEWER}" in told

        run("make", "install", "VENV=venv", where=checkout)

    assert installed(python, checkout) == locked(LOCK)
    assert set(locked(LOCK)) <= index.asked
