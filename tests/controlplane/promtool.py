"""Prometheus and its promtool, built from pinned Go modules and kept in our cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.controlplane import cache
from tests.controlplane.binaries import go_environment
from tests.controlplane.packages import Unobtainable

RECIPE = Path(__file__).parent / "promtool"
PACKAGE = "github.com/prometheus/prometheus/cmd"
FLAGS = ("-trimpath", "-ldflags=-s -w", "-tags=remove_all_sd")
"""Without service discovery, whose clients of every cloud are most of the program."""


def promtool() -> Path:
    """Returns the path of promtool; builds it if it is missing.

    Raises:
        Unobtainable: there is no network or no Go; the text has the end of the output.
    """
    return _program("promtool")


def prometheus() -> Path:
    """Returns the path of the server, as ``promtool``. No test needs it, only the picture does.

    Raises:
        Unobtainable: as for promtool.
    """
    return _program("prometheus")


def _program(name: str) -> Path:
    recipe = [RECIPE / "go.mod", RECIPE / "go.sum"]
    parts = [*(path.read_bytes() for path in recipe), "\n".join(FLAGS).encode()]
    return cache.entry(f"{name}-{cache.digest(parts)}", lambda to: _build(to, name)) / name


def _build(folder: Path, name: str) -> None:
    cache.say(f"building {name} from source: some 2 minutes on two cores, only this once")
    done = subprocess.run(
        ["go", "build", *FLAGS, "-o", str(folder / name), f"{PACKAGE}/{name}"],
        cwd=RECIPE,
        env={**go_environment(RECIPE / "go.mod"), "GOWORK": "off", "CGO_ENABLED": "0"},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Unobtainable(f"building {name} failed:\n{done.stderr[-2000:]}")
