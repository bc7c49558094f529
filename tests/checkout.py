"""For tests that install or build: the files of the project, its locked versions, environments."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
PACKAGES = ("app", "webhook", "controller", "certs", "modelbooster", "downloader")


def copy_project(folder: Path, *more: str) -> Path:
    """Copies the project without what earlier builds left in it; returns the folder.

    Args:
        folder: an empty folder.
        more: further files at the top of the project.
    """
    for file in (*SOURCES, *more):
        shutil.copy(ROOT / file, folder)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


def bare_environment(folder: Path) -> tuple[str, ...]:
    """Makes a virtual environment; returns the command that runs pip on it.

    It has no pip of its own, which takes four seconds of CPU to install and to compile.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return sys.executable, "-m", "pip", "--python", str(folder / "bin/python")


def locked(file: str) -> dict[str, str]:
    """Returns the version of each package that a lock file names for this Python and machine."""
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                [version] = requirement.specifier
                found[canonicalize_name(requirement.name)] = version.version
    return found
