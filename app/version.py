"""The version of the program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "model-booster"


def program_version() -> str:
    """Returns the version of the installed package; ``"0"`` in a checkout not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
