"""What a controller remembers of a ModelBooster between two passes.

All of it may be lost: a restart costs at most a request or a report too many, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.apis.kinds import MODEL_SERVING, REVISION
from app.model.children import revision
from app.values.meta import Object, labels_of
from controller.plan.actions import ChildRef, ref_of_object
from controller.reconcile.conflict_state import Contest
from controller.reconcile.failure import Weight, worst
from controller.reconcile.plan_result import Done, Trouble

PATIENT_REPAIRS = 5
"""So many times in a row a child, or a status, is put right. Then it is contested."""

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

    @classmethod
    def after(cls, old: Repairs | None, digest: str, now: float) -> Repairs:
        """Counts one more; another digest, or a calm time before, begins anew."""
        if old is None or old.digest != digest or now - old.last > CALM_SECONDS:
            return cls(digest, 1, now)
        return cls(digest, min(old.count + 1, PATIENT_REPAIRS), now)

    @property
    def are_too_many(self) -> bool:
        """Whether somebody else seems to change it back each time."""
        return self.count >= PATIENT_REPAIRS


@dataclass(slots=True)
class Memory:
    """What is remembered of one ModelBooster.

    Args:
        uid: whose memory it is; a successor of the same name gets one of its own.
        written: generation that our own last write gave a ModelServing, by name, until the
            serving controller has seen it.
        refused: children that the server did not take, by kind and name.
        repairs: children that were put right, by kind and name.
        contests: children that another controller changes back, by kind and name.
        applied: revision label that our own last write gave a ModelServing, by name.
        released: generation that was seen to be an edit, so its pods may restart.
        status_repairs: how often in a row the very same status was written.
        contest_of_status: set while another controller changes the status back.
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
    refused: dict[ChildRef, Refusal] = field(default_factory=dict)
    repairs: dict[ChildRef, Repairs] = field(default_factory=dict)
    contests: dict[ChildRef, Contest] = field(default_factory=dict)
    applied: dict[str, str] = field(default_factory=dict)
    released: int | None = None
    status_repairs: Repairs | None = None
    contest_of_status: Contest | None = None
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
        refusal = self.refused.get(ref_of_object(child))
        if refusal is None or now >= refusal.until or refusal.digest != revision(child):
            return None
        return refusal

    def tries(self, child: Object) -> int:
        """How many times in a row this very child was refused."""
        refusal = self.refused.get(ref_of_object(child))
        return refusal.tries if refusal and refusal.digest == revision(child) else 0

    def refuse(self, child: Object, error: Exception, tries: int, until: float) -> None:
        """Notes that the server did not take a child."""
        self.refused[ref_of_object(child)] = Refusal(revision(child), error, tries, until)

    def took(self, child: Object) -> None:
        """Notes that the server took a child."""
        self.refused.pop(ref_of_object(child), None)
        if child["kind"] == MODEL_SERVING.kind:
            self.applied[child["metadata"]["name"]] = labels_of(child)[REVISION]

    def repaired(self, child: Object, now: float) -> None:
        """Notes that a child was put right; after so many times in a row it is contested."""
        place, digest = ref_of_object(child), revision(child)
        repairs = self.repairs[place] = Repairs.after(self.repairs.get(place), digest, now)
        if repairs.are_too_many and place not in self.contests:
            self.contests[place] = Contest(digest)

    def contest(self, child: Object) -> Contest | None:
        """Returns the contest over a child; None if nobody changes it back."""
        return self.contests.get(ref_of_object(child))

    def forget_contest(self, child: Object) -> None:
        """Lets a child be written as if nobody had ever changed it back."""
        self.contests.pop(ref_of_object(child), None)
        self.repairs.pop(ref_of_object(child), None)

    def status_written(self, digest: str, now: float) -> None:
        """Notes that a status is written; the same one so many times in a row is contested."""
        self.status_repairs = Repairs.after(self.status_repairs, digest, now)
        if self.status_repairs.are_too_many and self.contest_of_status is None:
            self.contest_of_status = Contest(digest)

    def keep(self, places: Collection[ChildRef]) -> None:
        """Drops what is remembered of children that are not wanted any more."""
        for known in (self.refused, self.repairs, self.contests):
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

    def next_look(self, error: Exception) -> float:
        """Returns when a contest is looked at again, by the error that it raises."""
        return min((c.until for c in self.contests.values() if c.error is error), default=0)
