"""Who changes our writes back, and when we may write again.

A child that another controller changes back several times in a row is *contested*. Each write of
ours to a ModelServing would then restart pods for nothing. So we stop, name the other field
manager, and look from time to time whether it is still there. That look is a *probe*: a write of
the child's revision label alone, which restarts no pod. kthena's controller compares that label and
sets it back at once. If the label stays, the child is written as a whole again, *on trial*.

Nothing here is stored in the cluster: after a restart the fight is counted from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from app.apis.kinds import REVISION
from app.errors import ConflictingController
from app.values.meta import Object, labels_of

Path = tuple[str, ...]
"""Field names from the root of an object to a value."""

STATUS = "status"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often we look whether another controller is gone.

    Args:
        probe_seconds: pause between two probes.
        quiet_seconds: a probe that is left alone for so long has found nobody.
        longest_seconds: longest pause between two whole writes that are both changed back.
    """

    probe_seconds: float = 300
    quiet_seconds: float = 10
    longest_seconds: float = 3600


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Rival:
    """A field manager other than ours, as ``metadata.managedFields`` has it.

    Args:
        manager: its name.
        operation: ``Update`` or ``Apply``.
        time: when it last wrote, RFC 3339.
    """

    manager: str
    operation: str
    time: str

    def __str__(self) -> str:
        return f'field manager "{self.manager}" ({self.operation} at {self.time})'


class Phase(Enum):
    """How far a contest has come."""

    SUSPECTED = auto()
    """Changed back often; who does it is not known yet."""
    HELD = auto()
    """We do not write."""
    PROBED = auto()
    """The revision label is written; will it stay?"""
    TRIAL = auto()
    """It stayed, so the whole child was written again."""


@dataclass(slots=True)
class Contest:
    """What is remembered of a contested child, or of a contested status.

    Args:
        digest: what we want to write; another one ends the contest.
        phase: how far it has come.
        until: when the phase ends, in seconds of the clock.
        lost: how many whole writes were changed back since the contest began.
        error: what the status says about it.
    """

    digest: str
    phase: Phase = Phase.SUSPECTED
    until: float = 0
    lost: int = 0
    error: ConflictingController | None = None

    def hold(self, now: float, patience: Patience) -> None:
        """Stops writing; for longer each time that a whole write was changed back."""
        pause = patience.probe_seconds * 2.0 ** min(self.lost, 10)
        self.phase = Phase.HELD
        self.until = now + min(pause, max(patience.longest_seconds, patience.probe_seconds))

    def probe(self, now: float, patience: Patience) -> None:
        """Begins to wait whether the label that was just written stays."""
        self.phase, self.until = Phase.PROBED, now + patience.quiet_seconds

    def try_again(self, now: float, patience: Patience) -> None:
        """Lets the whole child be written; changed back soon, it is contested again at once."""
        self.phase, self.until = Phase.TRIAL, now + patience.probe_seconds

    def is_over(self, digest: str, now: float, patience: Patience) -> bool:
        """Whether nothing needs to be remembered: something else is wanted, or it was quiet."""
        if self.digest != digest:
            return True
        if self.phase is Phase.SUSPECTED:
            return False
        if self.phase is Phase.TRIAL:
            return now > self.until
        return now > self.until + patience.probe_seconds + patience.quiet_seconds


def has_our_revision(live: Object | None, wanted: Object) -> bool:
    """Whether the revision label is the one that we would write."""
    return live is not None and labels_of(live).get(REVISION) == labels_of(wanted).get(REVISION)


def rival_of_child(live: Object, wanted: Object, ours: str) -> Rival | None:
    """Returns who holds the fields of a child that are not as we want them.

    If nobody holds one of them (a removed field has no holder), the last other writer is returned.

    Args:
        live: the child as the server has it, with its managedFields.
        wanted: the child as we would write it.
        ours: our own field manager.
    """
    others = [e for e in _others(live, ours) if e.get("subresource") != STATUS]
    paths = [*_differing(wanted.get("spec"), live.get("spec"), ("f:spec",))]
    labels = wanted["metadata"].get("labels") or {}
    paths += _differing(labels, labels_of(live), ("f:metadata", "f:labels"))
    holders = [e for e in others if any(_holds(e.get("fieldsV1"), path) for path in paths)]
    return _latest(holders or others)


def rival_of_status(live: Object, ours: str) -> Rival | None:
    """Returns who else wrote the status of an object last; None if nobody else did."""
    return _latest([e for e in _others(live, ours) if e.get("subresource") == STATUS])


def _others(live: Object, ours: str) -> list[Object]:
    entries = live["metadata"].get("managedFields") or []
    return [entry for entry in entries if entry.get("manager") != ours]


def _latest(entries: list[Object]) -> Rival | None:
    if not entries:
        return None
    entry = max(entries, key=lambda entry: str(entry.get("time", "")))
    return Rival(*(str(entry.get(key, "")) for key in ("manager", "operation", "time")))


def _differing(wanted: Any, live: Any, path: Path) -> Iterator[Path]:
    """Yields the path of every wanted value that the live one lacks; lists count as one value."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _differing(value, live.get(key), (*path, f"f:{key}"))
    elif wanted != live:
        yield path


def _holds(fields: Any, path: Path) -> bool:
    """Whether a set of managed fields has a path, or a value that the path leads into."""
    for name in path:
        if not isinstance(fields, dict) or name not in fields:
            return False
        fields = fields[name]
        if not fields:
            return True  # held as one value, with all that is in it
    return True
