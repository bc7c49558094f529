"""Conflicts with another controller: who it is, and when we may write again.

If another controller reverts several writes of a child in a row, the child is *in conflict*. More
writes of a ModelServing would only restart its pods. So we stop writing, report the other field
manager, and check from time to time whether it is still there. The check is a *probe*: a write of
the child's revision label alone, which restarts no pod. kthena's controller compares that label
and reverts it at once. If the label stays, the whole child is written again, as a *trial*.

Nothing of this is stored in the cluster: after a restart, repairs are counted from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from app.apis.kinds import REVISION
from app.errors import ConflictingController
from app.values.meta import Object, labels_of
from app.values.value import hashable_value, keyword_value

FieldPath = tuple[str, ...]
"""Keys of ``fieldsV1`` from the root of an object to a value, such as ``("f:spec", "f:roles")``."""

STATUS_SUBRESOURCE = "status"


@keyword_value
class ConflictTiming:
    """How often we check whether the other controller is gone. All values are seconds.

    Args:
        probe_seconds: pause between two probes.
        quiet_seconds: how long a probe must stay unreverted to pass.
        max_pause_seconds: longest pause between two trials that are both reverted.
    """

    probe_seconds: float = 300
    quiet_seconds: float = 10
    max_pause_seconds: float = 3600


CONFLICT_TIMING = ConflictTiming()


@hashable_value
class FieldManager:
    """Another field manager, from an entry of ``metadata.managedFields``.

    Args:
        name: its name.
        operation: ``Update`` or ``Apply``.
        time: when it last wrote, RFC 3339.
    """

    name: str
    operation: str
    time: str

    def __str__(self) -> str:
        return f'field manager "{self.name}" ({self.operation} at {self.time})'


class Phase(Enum):
    """Phase of a conflict."""

    DETECTED = auto()
    """Our writes are reverted; the other field manager is not known yet."""
    PAUSED = auto()
    """We do not write."""
    PROBING = auto()
    """The revision label was written, and we wait whether it stays."""
    TRIAL = auto()
    """The label stayed, so the whole child was written again."""


@dataclass(slots=True)
class ConflictState:
    """State of a conflict over a child or over a status.

    Args:
        digest: hash of what we want to write; another one ends the conflict.
        phase: the phase.
        until: when the phase ends, in seconds of the clock.
        reverted: how many trials were reverted since the conflict began.
        error: the error for the conditions; None until the other manager was looked up.
    """

    digest: str
    phase: Phase = Phase.DETECTED
    until: float = 0
    reverted: int = 0
    error: ConflictingController | None = None

    def pause(self, now: float, timing: ConflictTiming) -> None:
        """Stops writing; the pause doubles with each trial that was reverted."""
        seconds = timing.probe_seconds * 2.0 ** min(self.reverted, 10)
        self.phase = Phase.PAUSED
        self.until = now + min(seconds, max(timing.max_pause_seconds, timing.probe_seconds))

    def start_probe(self, now: float, timing: ConflictTiming) -> None:
        """Starts to wait whether the revision label that was just written stays."""
        self.phase, self.until = Phase.PROBING, now + timing.quiet_seconds

    def start_trial(self, now: float, timing: ConflictTiming) -> None:
        """Lets the whole child be written; if it is reverted soon, the conflict goes on."""
        self.phase, self.until = Phase.TRIAL, now + timing.probe_seconds

    def is_over(self, digest: str, now: float, timing: ConflictTiming) -> bool:
        """Whether the conflict has ended: by an edit, or because nothing was reverted for long."""
        if self.digest != digest:
            return True
        if self.phase is Phase.DETECTED:
            return False
        if self.phase is Phase.TRIAL:
            return now > self.until
        return now > self.until + timing.probe_seconds + timing.quiet_seconds


def has_desired_revision(live: Object | None, desired: Object) -> bool:
    """Whether a live child has the revision label that we would write."""
    return live is not None and labels_of(live).get(REVISION) == labels_of(desired).get(REVISION)


def other_manager_of_child(live: Object, desired: Object, ours: str) -> FieldManager | None:
    """Returns the other field manager that owns fields of a child that differ from ours.

    If no manager owns such a field (a removed field has no owner), the last other writer is
    returned; None if there is none.

    Args:
        live: the live child with its managedFields.
        desired: the child as we would write it.
        ours: our own field manager.
    """
    others = [e for e in _others(live, ours) if e.get("subresource") != STATUS_SUBRESOURCE]
    paths = [*_differing(desired.get("spec"), live.get("spec"), ("f:spec",))]
    labels = desired["metadata"].get("labels") or {}
    paths += _differing(labels, labels_of(live), ("f:metadata", "f:labels"))
    owners = [e for e in others if any(_owns(e.get("fieldsV1"), path) for path in paths)]
    return _latest(owners or others)


def other_manager_of_status(live: Object, ours: str) -> FieldManager | None:
    """Returns the other field manager that wrote the status last; None if there is none."""
    return _latest([e for e in _others(live, ours) if e.get("subresource") == STATUS_SUBRESOURCE])


def _others(live: Object, ours: str) -> list[Object]:
    entries = live["metadata"].get("managedFields") or []
    return [entry for entry in entries if entry.get("manager") != ours]


def _latest(entries: list[Object]) -> FieldManager | None:
    if not entries:
        return None
    entry = max(entries, key=lambda entry: str(entry.get("time", "")))
    return FieldManager(*(str(entry.get(key, "")) for key in ("manager", "operation", "time")))


def _differing(desired: Any, live: Any, path: FieldPath) -> Iterator[FieldPath]:
    """Yields the path of every desired value that the live one lacks; lists count as one value."""
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in desired.items():
            yield from _differing(value, live.get(key), (*path, f"f:{key}"))
    elif desired != live:
        yield path


def _owns(fields: Any, path: FieldPath) -> bool:
    """Whether a ``fieldsV1`` set contains a path, or a value that contains it."""
    for name in path:
        if not isinstance(fields, dict) or name not in fields:
            return False
        fields = fields[name]
        if not fields:
            return True  # owned as one value, with everything in it
    return True
