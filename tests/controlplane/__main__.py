"""The control plane of the tests, for people: ``python -m tests.controlplane COMMAND``.

prepare              find or build the programs, helm and kubectl (`make control-plane`)
start [FOLDER]       start one and leave it running; FOLDER (build/controlplane) holds its files
env [FOLDER]         print the KUBECONFIG and the PATH to set, with kubectl and helm
kubectl ARGS...      run kubectl against the one in build/controlplane
stop [FOLDER]        stop it
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.controlplane import binaries, clients, crds
from tests.controlplane.packages import Unobtainable
from tests.controlplane.plane import ControlPlane
from tests.controlplane.promtool import promtool

FOLDER = Path("build/controlplane")
WAIT_SECONDS = 90


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    command, *rest = arguments or [""]
    folder = Path(rest[0] if rest and command != "kubectl" else FOLDER).resolve()
    try:
        match command:
            case "prepare":
                binaries.find()
                clients.helm()
                clients.helm(3)
                promtool()
            case "start":
                return _start(folder)
            case "run":  # written by "start"
                return _run(folder)
            case "env":
                print(f"export KUBECONFIG={folder / 'kubeconfig'}")
                print(f'export PATH="{clients.kubectl().parent}:$PATH"')
            case "kubectl":
                environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
                os.execve(clients.kubectl(), ["kubectl", *rest], environment)  # noqa: S606
            case "stop":
                return _stop(folder)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Unobtainable as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def _start(folder: Path) -> int:
    if (folder / "pid").exists():
        print(f"{folder} is in use; stop it first", file=sys.stderr)
        return 1
    binaries.find()  # here, so that its progress is visible
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.controlplane", "run", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + WAIT_SECONDS
    while not (folder / "pid").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            print((folder / "run.log").read_text(), file=sys.stderr)
            return 1
        time.sleep(0.05)
    print(f"export KUBECONFIG={folder / 'kubeconfig'}")
    return 0


def _run(folder: Path) -> int:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with ControlPlane(folder) as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        plane.start_controllers()
        (folder / "pid").write_text(str(os.getpid()))
        signal.sigwait(signals)
    (folder / "pid").unlink()
    return 0


def _stop(folder: Path) -> int:
    try:
        pid = int((folder / "pid").read_text())
    except FileNotFoundError:
        print(f"nothing runs in {folder}", file=sys.stderr)
        return 1
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:  # it and its servers were killed
        (folder / "pid").unlink()
    deadline = time.monotonic() + WAIT_SECONDS
    while (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
