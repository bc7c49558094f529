"""Runs the steps inside the cluster's namespaces, and prints the closing table."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from contextlib import suppress
from pathlib import Path

from tests.admissions import lost, summary
from tests.pods.evidence import LogKeeper, collect
from tests.pods.stage import Stage
from tests.pods.step import NotGiven, Result, Step, table
from tests.pods.steps.table import STEPS

NOTICE_SECONDS = 0.5
"""How long the API server may send requests on connections whose end it has not noticed."""


def run(folder: Path, evidence: Path) -> int:
    """Runs all steps; returns the exit code.

    Args:
        folder: the cluster's files.
        evidence: where logs and Events go if something fails.
    """
    shutil.rmtree(evidence, ignore_errors=True)
    stage, keeper = Stage(folder), LogKeeper()
    results: list[Result] = []
    keeper.start()
    try:
        stage.open()
        for step in STEPS:
            has_failed = any(result.outcome == "failed" for result in results)
            results.append(Result(step.name) if has_failed else _run(step, stage))
            _say(results[-1])
        stage.end_load()
        is_good = all(result.is_good for result in results)
        if not is_good:
            keeper.look()
            print(collect(stage, evidence))
        print(f"\n{table(results)}")
        if not is_good:
            print(f"\nNot passed. All logs and Events are in {evidence}", flush=True)
        return 0 if is_good else 1
    finally:
        keeper.stop()
        stage.close()


def _run(step: Step, stage: Stage) -> Result:
    """Runs one step."""
    if step.under_load:
        stage.begin_load()
    else:
        stage.end_load()
    started, cpu_before = time.monotonic(), cpu_seconds()
    stage.disturbed = stage.gone = started
    outcome = "ok"
    try:
        step.run(stage)
        stage.check_played()
    except NotGiven as exc:
        print(f"{step.name}: {exc}")
        outcome = "not given"
    except Exception:  # whatever it is, the table and the logs are worth more after it
        print(f"{step.name} failed:\n{traceback.format_exc()}", flush=True)
        outcome = "failed"
    seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_before
    if stage.load is None:
        return Result(step.name, seconds, cpu, outcome=outcome)
    sent = stage.load.since(started)
    losses = lost(sent)
    if losses:
        print(f"{step.name}: {summary(losses, stage.disturbed)}", flush=True)
    if losses and outcome == "ok":
        begin = stage.disturbed
        end = stage.gone + NOTICE_SECONDS if step.may_lose_in_hand else begin
        end = max(end, begin + step.may_lose_seconds)
        allowed = end > begin and all(each.is_within(begin, end) for each in losses)
        outcome = f"ok, within {end - begin:.1f} s" if allowed else "lost"
    return Result(step.name, seconds, cpu, len(sent), len(losses), outcome)


def cpu_seconds() -> float:
    """Returns the CPU time of all processes of this PID namespace, also of those that ended."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # After the name: the times in user and kernel mode, its own and its ended children's.
            ticks += sum(map(int, path.read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _say(result: Result) -> None:
    counts = "" if result.admissions is None else f", {result.admissions} admissions"
    print(f"{result.name}: {result.outcome}, {result.seconds:.1f} s{counts}", flush=True)
