"""What a controller remembers of a ModelBooster between two passes.

All of it may be lost: a restart costs at most a request or a report too many, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.apis.children import revision
from app.apis.meta import Object
from controller.failure import Weight, worst
from controller.outcome import Done, Trouble

PATIENT_REPAIRS = 5
"""So many times in a row a child is put right at once."""

CALM_SECONDS = 60.0
"""Time without a repair after which the next one counts as the first."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A child that the server did not take, and when it may be sent again."""

    digest: str
    error: Exception
    tries: int
    until: float


@dataclass(frozen=True, slots=True)
class Repairs:
    """How often in a row a child was put right that somebody had changed."""

    digest: str
    count: int
    last: float

    @property
    def pause_seconds(self) -> float:
        """How long to wait before it is put right again: somebody may never give in."""
        return 0 if self.count < PATIENT_REPAIRS else min(2.0 ** (self.count - 4), 120)


@dataclass(slots=True)
class Memory:
    """What is remembered of one ModelBooster.

    Args:
        uid: whose memory it is; a successor of the same name gets one of its own.
        written: generation that our own last write gave a ModelServing, by name, until the
            serving controller has seen it.
        refused: children that the server did not take, by kind and name.
        repairs: children that were put right, by kind and name.
        failing_since: when the first of a row of failures was, None if the last pass went well.
        failures: how many there were in that row.
        waiting_since: since when we wait for an object to go, None if for none.
        held_since: since when a change of mere details waits to be reported.
        reported: times of the last reports.
        unwritten: version of the ModelBooster at which a precondition of a report failed last.
        told_at: when an Event last told that another schema is installed.
    """

    uid: str
    written: dict[str, int] = field(default_factory=dict)
    refused: dict[tuple[str, str], Refusal] = field(default_factory=dict)
    repairs: dict[tuple[str, str], Repairs] = field(default_factory=dict)
    failing_since: float | None = None
    failures: int = 0
    waiting_since: float | None = None
    held_since: float | None = None
    reported: tuple[float, ...] = ()
    unwritten: str = ""
    told_at: float | None = None

    def trouble(self, done: Done, now: float) -> Trouble:
        """Takes in how a pass went, and returns how long it has not been going well."""
        if not done.failures:
            self.failures, self.failing_since = 0, None
        elif worst(done.failures).weight is Weight.TRANSIENT:
            self.failures += 1
            if self.failing_since is None:
                self.failing_since = now
        if not done.waiting:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now
        return Trouble(
            self.failures,
            0 if self.failing_since is None else now - self.failing_since,
            0 if self.waiting_since is None else now - self.waiting_since,
        )

    def standing_refusal(self, child: Object, now: float) -> Refusal | None:
        """Returns why a child need not be sent now: the same was refused a moment ago."""
        refusal = self.refused.get(_place(child))
        if refusal is None or now >= refusal.until or refusal.digest != revision(child):
            return None
        return refusal

    def tries(self, child: Object) -> int:
        """How many times in a row this very child was refused."""
        refusal = self.refused.get(_place(child))
        return refusal.tries if refusal and refusal.digest == revision(child) else 0

    def refuse(self, child: Object, error: Exception, tries: int, until: float) -> None:
        """Notes that the server did not take a child."""
        self.refused[_place(child)] = Refusal(revision(child), error, tries, until)

    def took(self, child: Object) -> None:
        """Notes that the server took a child."""
        self.refused.pop(_place(child), None)

    def repaired(self, child: Object, now: float) -> float:
        """Notes that a child was put right, and returns how long not to do so again."""
        digest, old = revision(child), self.repairs.get(_place(child))
        count = 1
        if old is not None and old.digest == digest:
            is_calm = now - old.last > max(CALM_SECONDS, 2 * old.pause_seconds)
            count = 1 if is_calm else min(old.count + 1, 20)
        repairs = self.repairs[_place(child)] = Repairs(digest, count, now)
        return repairs.pause_seconds

    def keep(self, places: Collection[tuple[str, str]]) -> None:
        """Drops what is remembered of children that are not wanted any more."""
        for known in (self.refused, self.repairs):
            for place in known.keys() - places:
                del known[place]

    def forget_written(self, servings: Mapping[str, Object]) -> None:
        """Drops what the serving controller has seen by now, or what is gone."""
        for name, generation in list(self.written.items()):
            status = servings.get(name, {}).get("status")
            seen = status.get("observedGeneration") if isinstance(status, dict) else None
            if name not in servings or (isinstance(seen, int) and seen >= generation):
                del self.written[name]

    def next_try(self) -> float | None:
        """Returns when the first of the refused children may be sent again."""
        return min((refusal.until for refusal in self.refused.values()), default=None)


def _place(child: Object) -> tuple[str, str]:
    return child["kind"], child["metadata"]["name"]
