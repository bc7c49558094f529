"""Builds actionlint, the linter of GitHub workflows, from pinned Go modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.controlplane import cache
from tests.controlplane.binaries import go_environment
from tests.controlplane.packages import Unobtainable

_MODULE = Path(__file__).parent / "actionlint"
_PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"


def actionlint() -> Path:
    """Returns the path of the program; builds it once, in half a minute.

    Raises:
        Unobtainable: there is no Go, or no network; the text says what failed.
    """
    recipe = cache.digest((_MODULE / file).read_bytes() for file in ("go.mod", "go.sum"))
    return cache.entry(f"actionlint-{recipe}", _build) / "actionlint"


def _build(folder: Path) -> None:
    cache.say("building actionlint: half a minute, only this once")
    done = subprocess.run(
        ["go", "build", "-trimpath", "-o", folder, _PACKAGE],
        cwd=_MODULE,
        env={**go_environment(), "CGO_ENABLED": "0", "GOWORK": "off"},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Unobtainable(f"building actionlint failed:\n{done.stderr[-2000:]}")
