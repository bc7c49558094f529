"""The wheel has one package, so it fits into a project that has a package ``app`` of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.checkout import PACKAGES, bare_environment, copy_project

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/one-backend.yaml"
VALID = "is valid\n"

PIPX, UV = "pipx==1.18.4", "uv==0.13.8"
SDIST = "from setuptools.build_meta import build_sdist; build_sdist('dist')"

pytestmark = [pytest.mark.usefixtures("package_index"), pytest.mark.timeout(600), pytest.mark.slow]


def run(*command: str | Path, where: Path, **environment: str) -> str:
    usual = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=where,
        env={**usual, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, into: Path, where: Path) -> Path:
    """Returns the wheel that pip builds of a folder or sdist, without fetching anything."""
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", into)
    run(sys.executable, "-m", "pip", "wheel", *options, source, where=where)
    [wheel] = into.glob("*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, int]:
    """Returns the files of a wheel and their checksums, without the list of them."""
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.CRC for info in archive.infolist()}
    return {name: crc for name, crc in files.items() if not name.endswith("RECORD")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without what earlier builds left in it."""
    return copy_project(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built(checkout, checkout / "wheel", checkout)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with packages of the same names as ours, which say so."""
    for name in ("app", "webhook", "controller", "certs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = 'the {name} of the project'\n")
    return tmp_path


def test_the_wheel_has_one_package_with_all_that_the_checkout_has(wheel: Path) -> None:
    files = contents(wheel)
    assert {name.partition("/")[0] for name in files if ".dist-info/" not in name} == {
        "modelbooster"
    }
    packed = {
        name.removeprefix("modelbooster/_bundled/") for name in files if ".dist-info/" not in name
    }
    tracked = run("git", "ls-files", "--", *PACKAGES, where=ROOT).splitlines()
    assert packed == {name for name in tracked if (ROOT / name).is_file()}


def test_a_wheel_of_the_sdist_is_the_same(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", SDIST, where=checkout)
    [sdist] = (checkout / "dist").glob("*.tar.gz")
    assert contents(built(sdist, tmp_path, tmp_path)) == contents(wheel)


@pytest.fixture
def installed(wheel: Path, project: Path) -> Path:
    """The folder with the programs of a new environment in the project."""
    pip = bare_environment(project / "venv")
    programs = project / "venv/bin"
    [packages] = (project / "venv/lib").glob("python*/site-packages")
    # The dependencies of the tests, without the checkout.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall")
    run(*pip, "install", *options, wheel, where=project)
    return programs


def test_the_program_and_the_project_keep_their_own_packages(
    installed: Path, project: Path
) -> None:
    python = installed / "python"
    own = "import app, certs, controller, webhook; print(app.MINE, certs.MINE)"
    assert (
        run(python, "-c", own, where=project) == "the app of the project the certs of the project\n"
    )
    both = "import modelbooster, app; print(app.MINE)"
    assert run(python, "-c", both, where=project) == "the app of the project\n"

    for program in ([installed / "model-booster"], [python, "-m", "modelbooster"]):
        assert run(*program, "validate", EXAMPLE, where=project).endswith(VALID)
        # With the path that tests of the project run with.
        told = run(*program, "validate", EXAMPLE, where=project, PYTHONPATH=str(project))
        assert told.endswith(VALID)
        assert run(*program, "engine", "vllm/vllm-openai:v0.16.0", where=project)
        assert "kind: ModelServing" in run(*program, "render", EXAMPLE, where=project)
    assert run(python, "-c", own, where=project).startswith("the app of the project")


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with pipx and uvx, from the index."""
    folder = tmp_path_factory.mktemp("runners")
    run(*bare_environment(folder), "install", "--quiet", PIPX, UV, where=folder)
    return folder / "bin"


def test_pipx_and_uvx_run_the_wheel_in_such_a_project(
    runners: Path, wheel: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    arguments = ("model-booster", "validate", EXAMPLE)
    pipx = (runners / "pipx", "run", "--spec", wheel)
    assert run(*pipx, *arguments, where=project, PIPX_HOME=str(home / "pipx")).endswith(VALID)
    uvx = (runners / "uvx", "--from", wheel, "--python", sys.executable)
    assert run(*uvx, *arguments, where=project, UV_CACHE_DIR=str(home / "uv")).endswith(VALID)
