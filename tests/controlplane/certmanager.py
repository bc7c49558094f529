"""cert-manager, the real one, built from pinned Go modules and kept in our cache.

Its own programs are no Go modules that a registry has, so ``cert-manager/main.go`` starts its
controllers. Building takes 5 minutes of CPU: only ``make test-cert-manager`` does it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from app.values.meta import Object
from tests.controlplane import cache, crds, processes
from tests.controlplane.binaries import go_environment
from tests.controlplane.packages import Unobtainable
from tests.controlplane.plane import ControlPlane

RECIPE = Path(__file__).parent / "cert-manager"
MODULE = "github.com/cert-manager/cert-manager"
FLAGS = ("-trimpath", "-ldflags=-s -w")


def folder() -> Path:
    """Returns the folder with the program and its CustomResourceDefinitions; builds it if missing.

    Raises:
        Unobtainable: there is no network or no Go; the text has the end of the output.
    """
    recipe = [RECIPE / name for name in ("go.mod", "go.sum", "main.go")]
    return cache.entry(f"cert-manager-{cache.digest(p.read_bytes() for p in recipe)}", _build)


@contextmanager
def running(plane: ControlPlane, log: Path) -> Iterator[None]:
    """Runs it on a control plane, with its CustomResourceDefinitions.

    Raises:
        Unobtainable: it cannot be built.
    """
    crds.install(plane.api, _definitions())
    process = processes.launch([folder() / "cert-manager", plane.kubeconfig], log)
    try:
        yield
    finally:
        processes.end(process)


def _definitions() -> list[Object]:
    paths = sorted((folder() / "crds").glob("cert-manager.io_*.yaml"))
    return [yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in paths]


def _build(new: Path) -> None:
    cache.say("building cert-manager from source: some 4 minutes on two cores, only this once")
    environment = {**go_environment(RECIPE / "go.mod"), "GOWORK": "off", "CGO_ENABLED": "0"}
    _go(environment, "build", *FLAGS, "-o", str(new / "cert-manager"), ".")
    module = _go(environment, "list", "-m", "-f", "{{.Dir}}", MODULE).strip()
    shutil.copytree(Path(module) / "deploy" / "crds", new / "crds", copy_function=shutil.copyfile)


def _go(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["go", *arguments],
        cwd=RECIPE,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Unobtainable(f"go {arguments[0]} of cert-manager failed:\n{done.stderr[-2000:]}")
    return done.stdout
