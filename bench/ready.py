"""Measures how long the webhook and the controller take from their start until they are ready.

Each runs as in a pod of the chart: with the service account's token, on a real API server where
the chart's CRD and webhook configurations are installed. Each start creates the certificate
authority anew. Printed are the seconds and the CPU time from the start of the process to the first
``ok`` of ``/readyz``, as median (least-most), and the size of the environment.

Each environment is a folder with ``bin/model-booster``, for instance one that
``tools/image/environment.sh`` made. With several, their starts alternate, and the ratio of the last
to the first is printed too. Without any, the one that this benchmark runs in is measured.

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
from bench._processes import cpu_seconds, free_port, is_ready
from bench.memory import ACCOUNT, OWN_ROOT, RUN, can_be_a_pod
from tests import chart
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane, User

US = User("us", ("system:masters",), "bench-ready-token")
AS_POD = "BENCH_READY_AS_POD"
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.005
COMPONENTS = ("webhook", "controller")


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


def started(
    plane: ControlPlane, home: Path, component: str, unknown: set[str]
) -> tuple[float, float]:
    """Returns the seconds and the CPU seconds of one start.

    Args:
        plane: the API server.
        home: the environment.
        component: the process to start.
        unknown: variables that the program in the environment does not know, for the chart may be
            newer. What it refuses is added.
    """
    forget(plane)
    port = free_port()
    variables = environment(plane, component, port)
    for name in unknown:
        variables.pop(name, None)
    with (plane.folder / "process.log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [home / "bin/model-booster", component],
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
                return started(plane, home, component, unknown)
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        cpu = cpu_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
    return seconds, cpu


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


def measure(homes: list[Path], runs: int) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Returns seconds and CPU seconds of each start, by component and environment."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        component: {str(home): [] for home in homes} for component in COMPONENTS
    }
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
            for component in COMPONENTS:
                for home in homes:
                    figures = started(plane, home, component, unknown[home])
                    if turn:  # the first one fills the caches of the machine
                        found[component][str(home)].append(figures)
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
    print(f"{'':<12}{'MB':>7}{'ready after s':>24}{'CPU s':>24}  environment")
    medians: dict[str, list[list[float]]] = {}
    for component, by_home in found.items():
        for home, starts in by_home.items():
            columns = list(zip(*starts, strict=True))
            medians.setdefault(component, []).append([statistics.median(c) for c in columns])
            cells = "".join(
                f"{statistics.median(c):>12.2f} ({min(c):.2f}-{max(c):.2f})" for c in columns
            )
            print(f"{component:<12}{size(Path(home)) / 1e6:>7.1f}{cells}  {home}")
    for component, rows in medians.items() if len(homes) > 1 else ():
        ratios = [last / first for first, last in zip(rows[0], rows[-1], strict=True)]
        print(f"{component}: the last to the first: seconds {ratios[0]:.2f}, CPU {ratios[1]:.2f}")
    return concluded({"starts": found}, [], given.json)


if __name__ == "__main__":
    sys.exit(main())
