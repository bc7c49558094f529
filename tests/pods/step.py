"""One step of the run, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.pods.stage import Stage


class NotGiven(Exception):
    """A step needs something that only the user can give; the message says what."""


@dataclass(frozen=True)
class Step:
    """One step.

    Args:
        name: for the table.
        run: does it and checks what came of it; raises if anything is not as it must be.
        under_load: whether admissions are sent meanwhile. Those of neighbouring steps go on.
        may_lose_seconds: admissions that were open in so many seconds from ``Stage.disturbed`` on
            may be lost.
        may_lose_in_hand: whether those may be lost that a killed process had in hand, or that the
            API server sent on its connections before it noticed their end.
    """

    name: str
    run: Callable[[Stage], None]
    under_load: bool = True
    may_lose_seconds: float = 0
    may_lose_in_hand: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a step.

    Args:
        name: the step's.
        seconds: how long it took.
        cpu_seconds: what all processes of the cluster and this program used meanwhile.
        admissions: how many were sent in it; None if it had no load.
        lost: how many of them were lost.
        outcome: ``ok``, with the time in which it may lose some if it did; ``not given``;
            ``not run``; or what went wrong in one word.
    """

    name: str
    seconds: float = 0
    cpu_seconds: float = 0
    admissions: int | None = None
    lost: int = 0
    outcome: str = "not run"

    @property
    def is_good(self) -> bool:
        """Whether the run may count as passed with it."""
        return self.outcome.startswith("ok") or self.outcome == "not given"


def table(results: list[Result]) -> str:
    """Returns the closing table: step, seconds, CPU, admissions, lost, and what came of it."""
    rows = [("step", "seconds", "CPU s", "admissions", "lost", "")]
    for each in results:
        counts = ("", "") if each.admissions is None else (str(each.admissions), str(each.lost))
        was_run = each.outcome not in ("not run", "not given")
        times = (f"{each.seconds:.1f}", f"{each.cpu_seconds:.1f}") if was_run else ("", "")
        rows.append((each.name, *times, *counts, each.outcome))
    sent = sum(each.admissions or 0 for each in results)
    lost = sum(each.lost for each in results)
    seconds = sum(each.seconds for each in results)
    cpu = sum(each.cpu_seconds for each in results)
    rows.append(("all", f"{seconds:.1f}", f"{cpu:.1f}", str(sent), str(lost), ""))
    width = max(len(row[0]) for row in rows)
    return "\n".join(
        f"{row[0]:<{width}}  {row[1]:>7}  {row[2]:>6}  {row[3]:>10}  {row[4]:>4}  {row[5]}".rstrip()
        for row in rows
    )
