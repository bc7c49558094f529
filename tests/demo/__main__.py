"""The life of a ModelBooster on a real API server: ``make demo``.

With ``KEEP=1`` the cluster keeps running; ``python -m tests.demo stop`` stops it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.controlplane import binaries, clients
from tests.controlplane.api import Api
from tests.controlplane.packages import Unobtainable
from tests.demo.play import play
from tests.demo.room import NotReady, close_room, open_room
from tests.demo.stage import NotAsExpected, Stage
from tests.e2e.installation import ROOT
from tests.world import Admin

KEPT = ROOT / "build" / "demo"
STOP_SECONDS = 30


def main(arguments: list[str]) -> int:
    """Runs the demo or stops a kept cluster; returns the exit code."""
    if arguments == ["stop"]:
        _stop_kept()
        return 0
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        binaries.find()
        programs = {"kubectl": clients.kubectl(), "helm": clients.helm()}
    except Unobtainable as exc:
        print(exc, file=sys.stderr)
        return 1
    programs["model-booster"] = Path(sys.executable).with_name("model-booster")
    if keep:
        _stop_kept()
        shutil.rmtree(KEPT, ignore_errors=True)
        folder = KEPT
    else:
        folder = Path(tempfile.mkdtemp(prefix="demo."))
    environment = {
        "KUBECONFIG": str(folder / "kubeconfig"),
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
    }
    stage = Stage(programs, environment, ROOT)
    try:
        return _show(stage, folder, keep=keep)
    except KeyboardInterrupt:
        print("\n   interrupted; all processes and files were removed", file=sys.stderr)
        return 128 + signal.SIGINT
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _show(stage: Stage, folder: Path, *, keep: bool) -> int:
    stage.title("ModelBooster on a real API server")
    stage.chapter(
        "Start a cluster: etcd, kube-apiserver, kube-controller-manager and kthena's CRDs"
    )
    try:
        room = open_room(folder, keep=keep)
    except NotReady as exc:
        print(f"\nThe cluster did not start:\n{exc}", file=sys.stderr)
        return 1
    kept = False
    try:
        play(stage, _admin(folder), folder)
        kept = keep
    except NotAsExpected as exc:
        print(f"\n   ✗ {exc}", file=sys.stderr)
        _show_logs(folder)
        return 1
    finally:
        if not kept:
            close_room(room)
    if kept:
        print(
            f"\nThe cluster keeps running. To use it:\n\n"
            f"   export KUBECONFIG={folder / 'kubeconfig'}\n"
            f'   export PATH="{clients.kubectl().parent}:$PATH"\n'
            f"   kubectl apply -f examples/canary.yaml\n\n"
            f"To stop it:\n\n   {Path(sys.executable)} -m tests.demo stop"
        )
    return 0


def _admin(folder: Path) -> Admin:
    config = yaml.safe_load((folder / "kubeconfig").read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    api = Api(cluster["server"], Path(cluster["certificate-authority"]), user["token"])
    return Admin(api, "default")


def _show_logs(folder: Path) -> None:
    for path in sorted((folder / "pods").glob("*.log")):
        print(f"\n--- {path.stem}\n{path.read_text()[-3000:]}", file=sys.stderr)


def _stop_kept() -> None:
    try:
        process = int((KEPT / "pid").read_text())
        os.kill(process, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return
    deadline = time.monotonic() + STOP_SECONDS
    while (KEPT / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
