"""The version of the program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Returns the version of the installed package, ``0`` in a checkout that is not installed."""
    try:
        return version("model-booster")
    except PackageNotFoundError:
        return "0"
