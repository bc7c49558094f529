"""Measures how long the webhook and the controller take from their start until they are ready.

Each runs as in a pod of the chart: with the service account's token, on a real API server where
the chart's CRD and webhook configurations are installed. The webhook is started with its parent
(``--supervised``), as its chart starts it, if it has that option, and without it too. Each start
creates the certificate authority anew. Printed are the seconds and the CPU time from the start of
the process to the first ``ok`` of ``/readyz`` and the resident memory at that moment, as median
(least-most), and the size of the environment. CPU time is that of parent and child; memory is that
of the child and what the parent does not share with it.

Each environment is a folder with ``bin/model-booster``, for instance one that
``tools/image/environment.sh`` made. With several, their starts alternate, and the ratios of the
last to the others are printed too. Without any, the one that this benchmark runs in is measured.

    python -m bench.ready [ENVIRONMENT...] [--runs 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from bench._conclusion import concluded
from bench._pods import ACCOUNT, OWN_ROOT, RUN, can_be_a_pod
from bench._processes import (
    children,
    cpu_seconds,
    free_port,
    is_ready,
    private_bytes,
    resident_bytes,
)
from tests import chart
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane, User

US = User("us", ("system:masters",), "bench-ready-token")
AS_POD = "BENCH_READY_AS_POD"
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.005
ROWS = ("webhook --supervised", "webhook", "controller")

Figures = tuple[float, float, float]
"""Seconds and CPU seconds until ready, and MB of memory then."""


def environment(plane: ControlPlane, component: str, probe_port: int) -> dict[str, str]:
    """Returns the environment of a process: what the chart sets, with other ports."""
    deployment = chart.one(chart.rendered(), "Deployment", f"{chart.FULLNAME}-{component}")
    server = urlsplit(plane.url)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": "/tmp",  # noqa: S108 - as in the image
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
        variables[entry["name"]] = entry.get("value", chart.NAMESPACE)
    variables["MODELBOOSTER_PROBE_PORT"] = str(probe_port)
    variables["MODELBOOSTER_PROBE_HOST"] = variables["MODELBOOSTER_WEBHOOK_HOST"] = "127.0.0.1"
    variables["MODELBOOSTER_WEBHOOK_PORT"] = str(free_port())
    if component == "controller":
        del variables["MODELBOOSTER_WEBHOOK_HOST"], variables["MODELBOOSTER_WEBHOOK_PORT"]
    return variables


def forget(plane: ControlPlane) -> None:
    """Removes what an earlier start left, so that each start is the first one."""
    paths = (
        f"/api/v1/namespaces/{chart.NAMESPACE}/secrets",
        f"/apis/coordination.k8s.io/v1/namespaces/{chart.NAMESPACE}/leases",
    )
    for path in paths:
        with suppress(Refused):
            plane.api.request("DELETE", path)


def command(home: Path, row: str) -> list[str | Path]:
    """Returns the command of a row: of an environment without ``--supervised`` the plain one."""
    component, *options = row.split()
    program: list[str | Path] = [home / "bin/model-booster", component]
    help_text = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
    return [*program, *(option for option in options if option in help_text.stdout)]


def started(plane: ControlPlane, command: list[str | Path], unknown: set[str]) -> Figures:
    """Returns the figures of one start.

    Args:
        plane: the API server.
        command: what starts it.
        unknown: variables that the program of the command does not know, for the chart may be
            newer. What it refuses is added.
    """
    forget(plane)
    port = free_port()
    variables = environment(plane, str(command[1]), port)
    for name in unknown:
        variables.pop(name, None)
    with (plane.folder / "process.log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd="/",
            env=variables,
            stdout=log,
            stderr=log,
        )
    try:
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > began + PATIENCE_SECONDS:
                said = (plane.folder / "process.log").read_text()
                refused = {name for name in variables if f"{name} is no setting" in said} - unknown
                if not refused:
                    raise SystemExit(said[-2000:])
                unknown |= refused
                return started(plane, command, unknown)
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        family = [process.pid, *children(process.pid)]
        cpu = sum(map(cpu_seconds, family))
        memory = resident_bytes(family[-1]) + sum(map(private_bytes, family[:-1]))
    finally:
        process.kill()
        process.wait()
    return seconds, cpu, memory / 1e6


def install(plane: ControlPlane) -> None:
    """Installs what a start needs of the chart."""
    plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": chart.NAMESPACE}})
    crds.install(plane.api, [crds.model_booster(), *crds.children("C")])
    for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        kind = {"v": "ValidatingWebhookConfiguration", "m": "MutatingWebhookConfiguration"}
        for obj in chart.of_kind(chart.rendered(), kind[plural[0]]):
            plane.api.request("POST", f"/apis/admissionregistration.k8s.io/v1/{plural}", obj)


def size(home: Path) -> int:
    """Returns the bytes of all files of an environment."""
    return sum(path.lstat().st_size for path in home.rglob("*") if path.is_file())


def measure(homes: list[Path], runs: int) -> dict[str, dict[str, list[Figures]]]:
    """Returns the figures of each start, by row and environment."""
    found: dict[str, dict[str, list[Figures]]] = {
        row: {str(home): [] for home in homes} for row in ROWS
    }
    commands = {(row, home): command(home, row) for row in ROWS for home in homes}
    unknown: dict[Path, set[str]] = {home: set() for home in homes}
    plane = ControlPlane(users=[US])
    account = Path(ACCOUNT)
    account.mkdir(parents=True)
    (account / "ca.crt").write_bytes(Path(plane.ca_file).read_bytes())
    (account / "token").write_text(US.token)
    (account / "namespace").write_text(chart.NAMESPACE)
    plane.start()
    try:
        install(plane)
        for turn in range(runs + 1):
            for (row, home), started_by in commands.items():
                figures = started(plane, started_by, unknown[home])
                if turn:  # the first one fills the caches of the machine
                    found[row][str(home)].append(figures)
    finally:
        plane.stop()
    return found


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environments", nargs="*", type=Path, default=[Path(sys.prefix)])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    if AS_POD not in os.environ:
        if not can_be_a_pod():
            raise SystemExit("this machine lets no process have its own /var/run (unshare, mount)")
        again = [sys.executable, "-m", "bench.ready", *sys.argv[1:]]
        script = f'mount -t tmpfs none {RUN} && exec "$@"'
        command = [*OWN_ROOT, "sh", "-ec", script, "sh", *again]
        return subprocess.run(command, env={**os.environ, AS_POD: "1"}, check=False).returncode
    homes = [home.absolute() for home in given.environments]
    found = measure(homes, given.runs)
    heads = ("ready after s", "CPU s", "resident MB")
    print(f"{'':<22}{'MB':>6}{''.join(f'{head:>24}' for head in heads)}  environment")
    medians: dict[str, list[list[float]]] = {}
    for row, by_home in found.items():
        for home, starts in by_home.items():
            columns = list(zip(*starts, strict=True))
            medians.setdefault(row, []).append([statistics.median(c) for c in columns])
            cells = "".join(
                f"{f'{statistics.median(c):.2f} ({min(c):.2f}-{max(c):.2f})':>24}" for c in columns
            )
            print(f"{row:<22}{size(Path(home)) / 1e6:>6.1f}{cells}  {home}")
    for row, rows in medians.items() if len(homes) > 1 else ():
        for home, first in zip(homes[:-1], rows[:-1], strict=True):
            ratios = [last / before for before, last in zip(first, rows[-1], strict=True)]
            texts = "seconds {:.2f}, CPU {:.2f}, memory {:.2f}".format(*ratios)
            print(f"{row}: the last to {home}: {texts}")
    return concluded({"starts": found}, [], given.json)


if __name__ == "__main__":
    sys.exit(main())
