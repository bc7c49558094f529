"""What a person needs to find out why a step failed: logs, Events, and how things are."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from tests.pods.stage import SYSTEM, Stage, StepFailed

LOGS = Path("/var/log/pods")
KEPT = Path("/var/log/kept")
"""In the same file system as the logs, which the kubelet deletes with their pods."""

LOOK_SECONDS = 0.5
SHOWN_LINES = 25
QUESTIONS = {
    "pods": ("get", "pods", "--all-namespaces", "-o", "wide"),
    "events": ("get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"),
    "endpoints": ("get", "endpointslices", "-n", SYSTEM, "-o", "yaml"),
    "models": ("get", "modelboosters", "--all-namespaces", "-o", "yaml"),
    "pods described": ("describe", "pods", "-n", SYSTEM),
}


class LogKeeper(threading.Thread):
    """Keeps the logs of all containers of the operator, also of those that are gone."""

    def __init__(self) -> None:
        super().__init__(name="logs", daemon=True)
        self._ended = threading.Event()
        KEPT.mkdir(exist_ok=True)

    def stop(self) -> None:
        """Keeps nothing more."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Looks for new logs again and again."""
        while not self._ended.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Links each log; a link survives the deletion of the log."""
        for path in LOGS.glob(f"{SYSTEM}_*/*/*.log"):
            pod = path.parents[1].name.split("_")[1]
            with suppress(FileExistsError, FileNotFoundError):
                os.link(path, KEPT / f"{pod}-{path.stem}.log")


def collect(stage: Stage, folder: Path) -> str:
    """Writes everything into a folder; returns what to print of it.

    Args:
        stage: the cluster.
        folder: where to write; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, question in QUESTIONS.items():
        try:
            text = stage.kubectl(*question)
        except StepFailed as exc:
            text = str(exc)
        (folder / f"{name.replace(' ', '-')}.txt").write_text(text)
    logs = sorted([*KEPT.glob("*.log"), *stage.folder.glob("*.log")])
    for path in logs:
        (folder / path.name).write_bytes(path.read_bytes())
    shown = [folder / "pods.txt", folder / "events.txt", *(folder / path.name for path in logs)]
    parts = []
    for path in shown:
        lines = path.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        parts.append(f"--- the end of {path}\n" + "\n".join(line[:400] for line in lines))
    return "\n".join(parts)
