"""Runs the unchanged program and records regularly what it holds.

The program itself reports memory and open files. Only a soak needs the numbers of tasks and timers,
so they are counted here. The event loop is asked for them: gc.get_objects in a second thread also
returns a tuple that is still being built, and then CPython 3.11 fails with a SystemError.

The entries of the work queue come from the program's own metrics. The recorded number is the
entries beyond one per ModelBooster.

    python -m tests.soak.observed FILE SECONDS controller --kubeconfig ...
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from modelbooster.cli.main import main
from tests.controlplane.ports import LOOPBACK

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Loops(asyncio.DefaultEventLoopPolicy):
    """Remembers the event loops of the program."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[asyncio.AbstractEventLoop] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Returns a new event loop."""
        loop = super().new_event_loop()
        self.made.append(loop)
        return loop


def held(loops: list[asyncio.AbstractEventLoop]) -> dict[str, float]:
    """Returns what this process holds, by name, and the time."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "at": time.monotonic(),
        "resident_kib": pages * PAGE_KIB,
        "open_files": len(os.listdir("/proc/self/fd")),
        "tasks": sum(len(asyncio.all_tasks(loop)) for loop in loops),
        "timers": sum(len(vars(loop)["_scheduled"]) for loop in loops),
        "spare_entries": spare_entries(),
    }


def spare_entries() -> float:
    """Returns how many entries the work queue holds beyond one for each ModelBooster."""
    text = ""
    with suppress(OSError, HTTPException):  # the probe server starts later and stops earlier
        url = f"http://{LOOPBACK}:{os.environ['MODELBOOSTER_PROBE_PORT']}/metrics"
        with urlopen(url, timeout=2) as answer:
            text = answer.read().decode()
    return spare_entries_in(text)


def spare_entries_in(text: str) -> float:
    """Returns the same from the text of ``/metrics``.

    A ModelBooster without conditions has not had a complete pass yet, and so has no entry.
    """
    entries = boosters = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "modelbooster_workqueue_delayed":
                entries += sample.value
            if sample.name == "modelbooster_objects" and sample.labels["condition"] == "Active":
                boosters += sample.value
    return max(0.0, entries - boosters)


def note(path: Path, loops: list[asyncio.AbstractEventLoop]) -> None:
    """Writes the samples to a file atomically."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(held(loops)))
    new.replace(path)


def note_every(path: Path, seconds: float, loops: list[asyncio.AbstractEventLoop]) -> None:
    """Records until the process ends."""
    while True:
        note(path, loops)
        time.sleep(seconds)


if __name__ == "__main__":
    place, pause = Path(sys.argv.pop(1)), float(sys.argv.pop(1))
    policy = Loops()
    asyncio.set_event_loop_policy(policy)
    about = (place, pause, policy.made)
    Thread(target=note_every, args=about, name="observer", daemon=True).start()
    main()
