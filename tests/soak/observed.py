"""Runs the unchanged program and records regularly what it holds.

The program itself reports memory and open files. Only a soak needs the numbers of tasks and timers,
so they are counted here, in a callback of the event loop. In another thread, gc.get_objects also
returns tuples that are still being built, and then CPython 3.11 fails with a SystemError.

The entries of the work queue come from the program's own metrics. The recorded number is the
entries beyond one per ModelBooster.

    python -m tests.soak.observed FILE SECONDS controller --kubeconfig ...
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from modelbooster.cli.main import main
from tests.controlplane.ports import LOOPBACK

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024

LOOPS: list[uvloop.Loop] = []
"""The event loops of the program."""


def remembered_loop() -> uvloop.Loop:
    """Returns a new event loop of the kind that the program uses."""
    loop = uvloop.new_event_loop()
    LOOPS.append(loop)
    return loop


def held() -> dict[str, float]:
    """Returns what this process holds, by name, and the time."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    tasks, timers = counted()
    return {
        "at": time.monotonic(),
        "resident_kib": pages * PAGE_KIB,
        "open_files": len(os.listdir("/proc/self/fd")),
        "tasks": tasks,
        "timers": timers,
        "spare_entries": spare_entries(),
    }


def counted() -> tuple[int, int]:
    """Returns the numbers of tasks and timers; zeros before the event loop runs and after it."""
    if not LOOPS:
        return 0, 0
    loop, found = LOOPS[-1], Future[tuple[int, int]]()

    def count() -> None:
        timers = sum(type(obj).__name__ == "TimerHandle" for obj in gc.get_objects())
        found.set_result((len(asyncio.all_tasks(loop)), timers))

    with suppress(RuntimeError, TimeoutError):  # it is closed, or does not run
        loop.call_soon_threadsafe(count)
        return found.result(timeout=5)
    return 0, 0


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


def note(path: Path) -> None:
    """Writes the samples to a file atomically."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(held()))
    new.replace(path)


def note_every(path: Path, seconds: float) -> None:
    """Records until the process ends."""
    while True:
        note(path)
        time.sleep(seconds)


if __name__ == "__main__":
    place, pause = Path(sys.argv.pop(1)), float(sys.argv.pop(1))
    Thread(target=note_every, args=(place, pause), name="observer", daemon=True).start()
    uvloop.run = partial(uvloop.run, loop_factory=remembered_loop)
    main()
