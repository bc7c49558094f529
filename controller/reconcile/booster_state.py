"""What the controller keeps in memory about a ModelBooster from one pass to the next.

All of it may be lost. A restart costs at most an additional request or status write, never a wrong
one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from app.apis.kinds import MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING, REVISION
from app.model.children import revision
from app.values.meta import Object, labels_of
from app.values.value import value
from controller.plan.actions import ChildRef
from controller.plan.route_shares import RouteState
from controller.reconcile.conflict_state import ConflictState
from controller.reconcile.failure import Severity, worst
from controller.reconcile.plan_result import FailureStreak, PlanResult
from controller.status.forgotten_pods import PodTouch
from controller.status.podless import PODLESS_SECONDS

MAX_REPAIRS = 5
"""How many times in a row the same child, or status, is repaired before it counts as a conflict."""

REPAIR_RESET_SECONDS = 60.0
"""After this time without a repair, repairs are counted from the start."""


@value
class Rejection:
    """A child that the API server rejected.

    Args:
        digest: hash of the spec that was rejected.
        error: the error of the last attempt.
        attempts: how many times in a row this spec was rejected.
        retry_at: when it may be sent again, in seconds of the clock.
    """

    digest: str
    error: Exception
    attempts: int
    retry_at: float


@value
class RepairCount:
    """How many times in a row a change by another client was repaired.

    Args:
        digest: hash of what was written; another one restarts the count.
        count: the repairs, at most ``MAX_REPAIRS``.
        last: time of the last one, in seconds of the clock.
    """

    digest: str
    count: int
    last: float

    @classmethod
    def next(cls, old: RepairCount | None, digest: str, now: float) -> RepairCount:
        """Counts one more repair; another digest, or a quiet time before, restarts the count."""
        if old is None or old.digest != digest or now - old.last > REPAIR_RESET_SECONDS:
            return cls(digest, 1, now)
        return cls(digest, min(old.count + 1, MAX_REPAIRS), now)

    @property
    def is_conflict(self) -> bool:
        """Whether another controller seems to revert each repair."""
        return self.count >= MAX_REPAIRS


@dataclass(slots=True)
class BoosterState:
    """What is kept in memory about one ModelBooster. Times are seconds of the reconciler's clock.

    Args:
        uid: uid of the ModelBooster; a new one with the same name gets a new state.
        written_generations: generation after our last write of each ModelServing, by name, until
            kthena's serving controller has observed it.
        applied_revisions: revision label of our last write of each ModelServing, by name.
        rejections: children that the API server rejected.
        repairs: children that others changed and we repaired.
        conflicts: children whose writes another controller reverts.
        edited_generation: the last generation that was an edit of the spec, so that its pods may
            restart; None if there was none.
        status_writes: how often in a row the same status was written.
        status_conflict: set while another controller reverts the status.
        failing_since: time of the first of a row of failures; None if the last pass succeeded.
        failed_passes: number of passes in that row.
        waiting_since: since when passes wait for a deletion; None if they do not.
        details_since: since when a change of status details waits to be written; None if none does.
        status_write_times: times of the last status writes.
        rejected_status_version: resource version of the ModelBooster at which a precondition of a
            status write last failed; ``""`` if none did.
        schema_event_at: time of the last Event about a replaced CustomResourceDefinition.
        podless_since: since when ModelServings have no pod although they should, by name.
        route: which backends get requests.
        held_servers: ModelServers that kept some fields in the last pass, until a new pod is there.
        touches: annotations for the router that pods need, by uid of the pod.
    """

    uid: str
    written_generations: dict[str, int] = field(default_factory=dict)
    applied_revisions: dict[str, str] = field(default_factory=dict)
    rejections: dict[ChildRef, Rejection] = field(default_factory=dict)
    repairs: dict[ChildRef, RepairCount] = field(default_factory=dict)
    conflicts: dict[ChildRef, ConflictState] = field(default_factory=dict)
    edited_generation: int | None = None
    status_writes: RepairCount | None = None
    status_conflict: ConflictState | None = None
    failing_since: float | None = None
    failed_passes: int = 0
    waiting_since: float | None = None
    details_since: float | None = None
    status_write_times: tuple[float, ...] = ()
    rejected_status_version: str = ""
    schema_event_at: float | None = None
    podless_since: dict[str, float] = field(default_factory=dict)
    route: RouteState = field(default_factory=RouteState)
    held_servers: frozenset[str] = frozenset()
    touches: dict[str, PodTouch] = field(default_factory=dict)

    def record_result(self, result: PlanResult, now: float) -> FailureStreak:
        """Records the result of a pass; returns how long passes have been failing or waiting."""
        if not result.failures:
            self.failed_passes, self.failing_since = 0, None
        elif worst(result.failures).severity is Severity.TRANSIENT:
            self.failed_passes += 1
            if self.failing_since is None:
                self.failing_since = now
        if not result.waiting:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now
        return FailureStreak(
            self.failed_passes,
            0 if self.failing_since is None else now - self.failing_since,
            0 if self.waiting_since is None else now - self.waiting_since,
        )

    def active_rejection(self, child: Object, now: float) -> Rejection | None:
        """Returns the rejection of the same child if it is too early for another attempt."""
        rejection = self.rejections.get(ChildRef.of_object(child))
        if rejection is None or now >= rejection.retry_at or rejection.digest != revision(child):
            return None
        return rejection

    def rejected_attempts(self, child: Object) -> int:
        """How many times in a row the same child was rejected."""
        rejection = self.rejections.get(ChildRef.of_object(child))
        return rejection.attempts if rejection and rejection.digest == revision(child) else 0

    def record_rejection(
        self, child: Object, error: Exception, attempts: int, retry_at: float
    ) -> None:
        """Records that the API server rejected a child; see ``Rejection`` for the arguments."""
        rejection = Rejection(revision(child), error, attempts, retry_at)
        self.rejections[ChildRef.of_object(child)] = rejection

    def record_applied(self, child: Object) -> None:
        """Records that the API server accepted a child."""
        self.rejections.pop(ChildRef.of_object(child), None)
        if child["kind"] == MODEL_SERVING.kind:
            self.applied_revisions[child["metadata"]["name"]] = labels_of(child)[REVISION]

    def record_repair(self, child: Object, now: float) -> None:
        """Records a repair of a child; ``MAX_REPAIRS`` of them in a row begin a conflict."""
        ref, digest = ChildRef.of_object(child), revision(child)
        repairs = self.repairs[ref] = RepairCount.next(self.repairs.get(ref), digest, now)
        if repairs.is_conflict and ref not in self.conflicts:
            self.conflicts[ref] = ConflictState(digest)

    def is_repair(self, ref: ChildRef) -> bool:
        """Whether a write of a child, which no edit required, undoes a change by another client.

        A ModelRoute also follows what is available, and a ModelServer its new pods.
        """
        if ref.kind == MODEL_ROUTE.kind:
            return self.route.is_told
        return ref.kind != MODEL_SERVER.kind or ref.name not in self.held_servers

    def conflict(self, child: Object) -> ConflictState | None:
        """Returns the conflict over a child; None if there is none."""
        return self.conflicts.get(ChildRef.of_object(child))

    def clear_conflict(self, child: Object) -> None:
        """Ends the conflict over a child and restarts the count of its repairs."""
        self.conflicts.pop(ChildRef.of_object(child), None)
        self.repairs.pop(ChildRef.of_object(child), None)

    def record_status_write(self, digest: str, now: float) -> None:
        """Records a status write; ``MAX_REPAIRS`` equal ones in a row begin a conflict."""
        self.status_writes = RepairCount.next(self.status_writes, digest, now)
        if self.status_writes.is_conflict and self.status_conflict is None:
            self.status_conflict = ConflictState(digest)

    def prune(self, desired: Collection[ChildRef]) -> None:
        """Removes the entries of children that are not desired any more."""
        for entries in (self.rejections, self.repairs, self.conflicts):
            for ref in entries.keys() - desired:
                del entries[ref]

    def drop_observed_generations(self, servings: Mapping[str, Object]) -> None:
        """Removes written generations that the serving controller has observed.

        Args:
            servings: the live ModelServings, by name; entries of all others are removed too.
        """
        for name, generation in list(self.written_generations.items()):
            status = servings.get(name, {}).get("status")
            seen = status.get("observedGeneration") if isinstance(status, dict) else None
            if name not in servings or (isinstance(seen, int) and seen >= generation):
                del self.written_generations[name]

    def record_podless(self, names: Iterable[str], now: float) -> set[str]:
        """Records the ModelServings without pods; returns those that have had none for long."""
        self.podless_since = {name: self.podless_since.get(name, now) for name in names}
        long_ago = now - PODLESS_SECONDS
        return {name for name, since in self.podless_since.items() if since <= long_ago}

    def podless_wait(self, now: float) -> float | None:
        """Returns after how many seconds the next ModelServing has had no pods for long."""
        left = [since + PODLESS_SECONDS - now for since in self.podless_since.values()]
        return min((seconds for seconds in left if seconds > 0), default=None)

    def next_retry_at(self) -> float | None:
        """Returns when the first rejected child may be sent again; None if there is none."""
        return min((rejection.retry_at for rejection in self.rejections.values()), default=None)

    def next_conflict_check_at(self, error: Exception) -> float:
        """Returns when the conflict with this error is checked again; 0 if there is none."""
        return min((c.until for c in self.conflicts.values() if c.error is error), default=0)
