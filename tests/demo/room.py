"""The demo's cluster, in its own process: ``python -m tests.demo.room FOLDER``.

It holds the control plane and runs the pods. Both can outlive the demo if the user wants to keep
them. SIGTERM stops it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.apis.kinds import MODEL_BOOSTER
from tests.controlplane import crds, processes
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import NAMESPACE
from tests.e2e.kubelet import Kubelet

PROFILE = "B"
START_SECONDS = 90
END_SECONDS = 20


class NotReady(Exception):
    """The cluster did not start; the message holds the end of its log."""


def open_room(folder: Path, *, keep: bool) -> subprocess.Popen[bytes]:
    """Starts the demo's cluster; returns its process when the cluster is ready.

    Args:
        folder: holds its files; ``kubeconfig`` is the administrator's.
        keep: whether it outlives this process.

    Raises:
        NotReady: it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.demo.room", str(folder)]
    log = folder / "room.log"
    if keep:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    else:
        process = processes.launch(command, log, os.environ)
    deadline = time.monotonic() + START_SECONDS
    try:
        while not (folder / "pid").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotReady(log.read_text()[-3000:])
            time.sleep(0.05)
    except BaseException:
        close_room(process)
        raise
    return process


def close_room(process: subprocess.Popen[bytes]) -> None:
    """Stops the cluster and everything in it."""
    processes.end(process, grace_seconds=END_SECONDS)


def _run(folder: Path) -> None:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with ControlPlane(folder) as plane:
        crds.install(plane.api, crds.children(PROFILE))
        plane.start_controllers()
        kubelet = Kubelet(plane.api, plane.kubeconfig_for, NAMESPACE, folder / "pods")
        kubelet.start()
        try:
            (folder / "pid").write_text(str(os.getpid()))
            while not signal.sigtimedwait(signals, 0.1):
                if _is_served(plane):
                    # The garbage collector discovers kinds at its start, then twice a minute.
                    plane.restart_controllers()
                    signal.sigwait(signals)
                    break
        finally:
            kubelet.stop()
    (folder / "pid").unlink()


def _is_served(plane: ControlPlane) -> bool:
    try:
        plane.api.request("GET", MODEL_BOOSTER.path("default"))
    except Refused:
        return False
    return True


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
