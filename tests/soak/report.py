"""The report of a soak, as Markdown."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.soak.growth import Slope
from tests.soak.samples import HELD, judged

BEGIN, END = "<!-- soak: written by make soak -->", "<!-- soak: end -->"


@dataclass
class Report:
    """The results of a soak.

    Args:
        seed: seed of all random choices.
        minutes: how long faults were injected.
    """

    seed: int
    minutes: float
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    happened: Counter[tuple[str, str]] = field(default_factory=Counter)
    churn: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    slopes: dict[tuple[str, str], Slope | None] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    boosters: int = 0
    children: int = 0
    settled_seconds: float = 0
    quiet_seconds: float = 0
    wrong: list[str] = field(default_factory=list)
    """The problems that remained at the end."""

    @property
    def faults(self) -> list[str]:
        """The reasons of the failure; empty if the soak passed."""
        growth = [
            f"{role}: {HELD[name]} grows by {found.value:.2f} per minute"
            for (role, name), found in self.slopes.items()
            if found is not None and judged(name, found) == "GROWS"
        ]
        return [*self.wrong, *growth]

    def lines(self) -> list[str]:
        """Returns the report, line by line."""
        verdict = "failed" if self.faults else "passed"
        return [
            f"{self.minutes:g} min of faults, seed {self.seed}, {self.at:%Y-%m-%d %H:%M} UTC,"
            f" {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}:"
            f" **{verdict}**.",
            "",
            f"* {sum(self.happened.values())} incidents; {sum(self.churn.values())} changes by"
            f" users, hands and the serving controller; processes were started again"
            f" {sum(self.lives.values())} times"
            f" ({', '.join(f'{name} {n}' for name, n in self.lives.items())}).",
            f"* {self.settled_seconds:.0f} s after the last fault {self.boosters} ModelBoosters and"
            f" {self.children} children were as the pure conversion says, and all Active.",
            f"* Nothing was written in the {self.quiet_seconds:.0f} s after that.",
            *(f"* **WRONG**: {fault}" for fault in self.faults[:20]),
            "",
            "| held by | what | mean | growth per minute (95 % interval) | over min | growth |",
            "|---|---|---|---|---|---|",
            *(_row(role, name, found) for (role, name), found in self.slopes.items()),
            "",
            "| row | fault | times |",
            "|---|---|---|",
            *(f"| {row} | {name} | {n} |" for (row, name), n in sorted(self.happened.items())),
            "",
            f"Changes: {_listed(self.churn)}.",
            "",
            f"The controllers' writes by answer: {_listed(self.codes)}.",
        ]

    def write(self, path: Path) -> None:
        """Writes the report between its marks in a file, or to a new file."""
        text = "\n".join([BEGIN, "", *self.lines(), "", END])
        old = path.read_text() if path.exists() else ""
        before, begin, rest = old.partition(BEGIN)
        if begin:
            text = before + text + rest.partition(END)[2]
        else:
            text = "\n".join(["## Soak", "", text, ""])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _row(role: str, name: str, found: Slope | None) -> str:
    if found is None:
        return f"| {role} | {HELD[name]} | | | | {judged(name, found)} |"
    return (
        f"| {role} | {HELD[name]} | {found.level:,.1f} | {found.value:+.3f}"
        f" ({found.low:+.3f} to {found.high:+.3f}) | {found.minutes:.1f} | {judged(name, found)} |"
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())
