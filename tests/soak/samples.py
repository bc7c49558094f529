"""Samples of what the processes hold."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from math import isinf
from pathlib import Path

from tests.soak.churn import Trouble
from tests.soak.growth import Point, Slope, lowest, slope
from tests.soak.room import Replica, Room

HELD = {
    "resident_kib": "memory, KiB",
    "open_files": "open files",
    "tasks": "tasks",
    "timers": "timers",
    "spare_entries": "queue entries beyond one per ModelBooster",
}
ROLES = ("leader", "other", "webhook")

BLOCK_SECONDS = 30.0
"""The lowest sample of each period counts; length of a period in seconds."""

WARM_SHARE = 0.4
"""The part of a life in which memory may still grow: caches and arenas fill more and more slowly,
and a straight line through that curve looks like a leak. A leak goes on in the rest."""

RESOLUTION = {"resident_kib": 2048.0, "open_files": 10.0, "timers": 20.0}
"""The smallest rise of a value that counts, by name. Python takes memory in arenas of 1 MiB, so the
resident memory of a process rises in steps. A leak makes at least two steps in one stretch. A
process has up to 10 files more while all its watches are open than while the server is away, and 20
timers more while many ModelBoosters wait for a retry."""

LEAST_MINUTES = 5.0
"""Shorter stretches say nothing about growth."""


class Samples:
    """Collects the records of every process.

    Args:
        room: the environment of the soak.
        every_seconds: interval.
        warm_seconds: how long a process may take to fill its caches after each change of role.
    """

    def __init__(self, room: Room, every_seconds: float, warm_seconds: float) -> None:
        self._room = room
        self._every_seconds = every_seconds
        self._warm_seconds = warm_seconds
        self._points: dict[tuple[str, str, int], dict[str, list[Point]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._roles: dict[str, tuple[str, int]] = {}
        self._seen: dict[str, float] = {}

    async def run(self) -> None:
        """Samples until cancelled."""
        holder = ""
        while True:
            with suppress(*Trouble):
                holder = await self._room.holder()
            for replica in self._room.replicas:
                role = "leader" if replica.name == holder else "other"
                self._take(replica, "webhook" if replica.command == "webhook" else role)
            await asyncio.sleep(self._every_seconds)

    def _take(self, replica: Replica, role: str) -> None:
        """Collects what a process has recorded since the last call."""
        if not replica.notes.exists():
            return
        noted = json.loads(replica.notes.read_text())
        before, stretch = self._roles.get(replica.name, ("", 0))
        life = f"{replica.name} {len(replica.ended)} {role}"
        if before != life:
            stretch += 1
            self._roles[replica.name] = (life, stretch)
        if self._seen.get(replica.name) != noted["at"]:
            self._seen[replica.name] = noted["at"]
            held = self._points[role, replica.name, stretch]
            for name in HELD:
                held[name].append((noted["at"], noted[name]))

    def write(self, path: Path) -> None:
        """Writes all samples to a file, for a closer look."""
        named = {" ".join(map(str, whose)): held for whose, held in self._points.items()}
        path.write_text(json.dumps(named))

    def last(self, role: str, name: str) -> float:
        """Returns the newest sample of a role; 0 if there is none."""
        points = [
            point
            for (whose, *_), held in self._points.items()
            if whose == role
            for point in held[name]
        ]
        return max(points, default=(0.0, 0.0))[1]

    def slopes(self) -> dict[tuple[str, str], Slope | None]:
        """Returns the growth by role and by what is held; None if there are too few samples."""
        return {(role, name): self._slope(role, name) for role in ROLES for name in HELD}

    def _slope(self, role: str, name: str) -> Slope | None:
        stretches = []
        for (whose, *_), held in self._points.items():
            points = held[name]
            if whose == role and points:
                first, last = points[0][0], points[-1][0]
                warm = first + max(self._warm_seconds, WARM_SHARE * (last - first))
                warmed = [point for point in points if point[0] >= warm]
                if last - warm >= 60 * LEAST_MINUTES:
                    stretches.append(lowest(warmed, BLOCK_SECONDS))
        return slope(stretches, questions=len(ROLES) * len(HELD))


def judged(name: str, found: Slope | None) -> str:
    """Returns what the slope of a value says about growth, in a few words."""
    if found is None or found.minutes < LEAST_MINUTES:
        return "too short to tell"
    if isinf(found.low):
        return "too uneven to tell"
    if not found.grows:
        return "none"
    small = found.value * found.longest < RESOLUTION.get(name, 0)
    return "too little to tell" if small else "GROWS"
