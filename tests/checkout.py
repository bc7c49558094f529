"""The files of the project that an installation or a build reads."""

from __future__ import annotations

import shutil
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
